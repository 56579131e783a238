"""The verbs behind `make`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.errors import Problem
from tools.target import CLUSTERS

Call = Callable[[argparse.Namespace], int]


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        target: `<module>:<function>`, imported when the verb is called: Prefect's and Pulumi's clients take seconds.
        on_stack: whether it works on a stack, and so on a cluster.
        on_cluster: whether it works on a cluster alone.
        resumes: whether the same command continues where an interrupted one stopped.

    """

    target: str
    on_stack: bool = True
    on_cluster: bool = False
    resumes: bool = False

    def load(self) -> Call:
        """Import the function."""
        module, _, function = self.target.partition(":")
        call: Call = getattr(importlib.import_module(module), function)
        return call


VERBS: Final[Mapping[str, Verb]] = {
    "up": Verb("tools.verbs.stack:up", resumes=True),
    "down": Verb("tools.verbs.stack:down", resumes=True),
    "preview": Verb("tools.verbs.stack:preview"),
    "summary": Verb("tools.verbs.stack:summarize"),
    "check": Verb("tools.verbs.project:check", on_stack=False),
    "demo": Verb("tools.verbs.demo:demo"),
    "run": Verb("tools.runs.verbs:run"),
    "logs": Verb("tools.runs.verbs:logs"),
    "cancel": Verb("tools.runs.verbs:cancel"),
    "ui": Verb("tools.verbs.views:ui"),
    "dashboard": Verb("tools.verbs.views:dashboard"),
    "screenshots": Verb("tools.screenshots.verbs:screenshots"),
    "image-size": Verb("tools.verbs.stack:sizes"),
    "env": Verb("tools.verbs.shell:env"),
    "doctor": Verb("tools.verbs.machine:examine"),
    "verify": Verb("tools.verify.verbs:verify"),
    "churn": Verb("tools.churn.verbs:churn"),
    "unlock": Verb("tools.verbs.stack:unlock"),
    "stack": Verb("tools.verbs.stack:create"),
    "new-flow": Verb("tools.verbs.project:create_flow"),
    "backup": Verb("tools.verbs.backup:back_up"),
    "restore": Verb("tools.verbs.backup:restore", resumes=True),
    "cluster-up": Verb("tools.verbs.machine:cluster_up", on_stack=False, on_cluster=True, resumes=True),
    "cluster-down": Verb("tools.verbs.machine:cluster_down", on_stack=False, on_cluster=True, resumes=True),
    "pulumi": Verb("tools.verbs.machine:pulumi", on_stack=False),
    "laptop": Verb("tools.laptop.verbs:laptop"),
    "crd-remove": Verb("tools.verbs.machine:crd_remove"),
    "settings-reference": Verb("tools.verbs.project:settings_reference", on_stack=False),
    "api-reference": Verb("tools.verbs.project:api_reference", on_stack=False),
    "docs": Verb("tools.verbs.project:site", on_stack=False),
    "audit": Verb("tools.supply_chain.verbs:check", on_stack=False),
    "pin-base": Verb("tools.supply_chain.verbs:pin"),
    "sbom": Verb("tools.supply_chain.verbs:list_contents"),
    "lock": Verb("tools.verbs.project:lock", on_stack=False),
    "update": Verb("tools.verbs.project:refresh", on_stack=False),
    "test": Verb("tools.verbs.project:test", on_stack=False),
}
"""As in the Makefile, which describes them: `make help`."""


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit status: 0 done, 1 a problem or a failed run, 130 interrupted."""
    parsed = _parser().parse_args(arguments)
    verb = VERBS[parsed.verb]
    try:
        return verb.load()(parsed)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        how = "; the same command continues where it stopped" if verb.resumes else ""
        print(f"\ninterrupted{how}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools", description="The verbs behind `make`.")
    commands = parser.add_subparsers(required=True, metavar="verb", dest="verb")
    for name, verb in VERBS.items():
        command = commands.add_parser(name)
        if verb.on_stack:
            command.add_argument("--stack", default="dev")
        if verb.on_stack or verb.on_cluster:
            command.add_argument("--cluster", default="", choices=["", *CLUSTERS])
        if name == "test":
            command.add_argument("tiers", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
