"""The verbs behind `make`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tools import tiers, verbs
from tools.errors import Problem
from tools.runs import verbs as run_verbs
from tools.target import EXISTING, LOCAL


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit status: 0 done, 1 a problem or a failed run, 130 interrupted."""
    chosen = _parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = chosen.call
    try:
        return call(chosen)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        how = "; the same command picks up where it was" if chosen.resumes else ""
        print(f"\ninterrupted{how}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools", description="The verbs behind `make`.")
    commands = parser.add_subparsers(required=True, metavar="verb")

    def verb(
        name: str, call: Callable[[argparse.Namespace], int], *, stack: bool = True, resumes: bool = False
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=call.__doc__)
        command.set_defaults(call=call, resumes=resumes)
        if stack:
            command.add_argument("--stack", default="dev")
            command.add_argument("--cluster", default=LOCAL, choices=[LOCAL, EXISTING])
        return command

    verb("up", verbs.up, resumes=True)
    verb("down", verbs.down, resumes=True)
    verb("preview", verbs.preview)
    verb("summary", verbs.summary)
    verb("run", run_verbs.run)
    verb("logs", run_verbs.logs)
    verb("cancel", run_verbs.cancel)
    verb("ui", verbs.ui)
    verb("dashboard", verbs.dashboard)
    verb("image-size", verbs.image_size)
    verb("env", verbs.env)
    verb("doctor", verbs.doctor)
    verb("unlock", verbs.unlock)
    verb("cluster-up", verbs.cluster_up, stack=False, resumes=True)
    verb("cluster-down", verbs.cluster_down, stack=False, resumes=True)
    verb("crd-remove", verbs.crd_remove)
    verb("settings-reference", verbs.settings_reference, stack=False)
    verb("lock", verbs.lock, stack=False)
    test = verb("test", verbs.test, stack=False)
    test.add_argument("tiers", nargs="+", choices=list(tiers.TIERS))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
