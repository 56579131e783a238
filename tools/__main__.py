"""The verbs behind `make`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tools import tiers
from tools.errors import Problem
from tools.runs import verbs as run_verbs
from tools.target import EXISTING, LOCAL
from tools.verbs import demo, machine, project, shell, stack, views


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit status: 0 done, 1 a problem or a failed run, 130 interrupted."""
    parsed = _parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = parsed.call
    try:
        return call(parsed)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        how = "; the same command continues where it stopped" if parsed.resumes else ""
        print(f"\ninterrupted{how}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools", description="The verbs behind `make`.")
    commands = parser.add_subparsers(required=True, metavar="verb")

    def verb(
        name: str, call: Callable[[argparse.Namespace], int], *, on_stack: bool = True, resumes: bool = False
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=call.__doc__)
        command.set_defaults(call=call, resumes=resumes)
        if on_stack:
            command.add_argument("--stack", default="dev")
            command.add_argument("--cluster", default=LOCAL, choices=[LOCAL, EXISTING])
        return command

    verb("up", stack.up, resumes=True)
    verb("down", stack.down, resumes=True)
    verb("preview", stack.preview)
    verb("summary", stack.summarize)
    verb("demo", demo.demo)
    verb("run", run_verbs.run)
    verb("logs", run_verbs.logs)
    verb("cancel", run_verbs.cancel)
    verb("ui", views.ui)
    verb("dashboard", views.dashboard)
    verb("image-size", stack.sizes)
    verb("env", shell.env)
    verb("doctor", machine.examine)
    verb("unlock", stack.unlock)
    verb("stack", stack.create).add_argument("name", nargs="?", default="")
    verb("cluster-up", machine.cluster_up, on_stack=False, resumes=True)
    verb("cluster-down", machine.cluster_down, on_stack=False, resumes=True)
    verb("crd-remove", machine.crd_remove)
    verb("settings-reference", project.settings_reference, on_stack=False)
    verb("lock", project.lock, on_stack=False)
    verb("test", project.test, on_stack=False).add_argument("tiers", nargs="+", choices=list(tiers.TIERS))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
