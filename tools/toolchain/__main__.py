"""`python -m tools.toolchain [names...]`: build the programs that are missing and print their folders."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from tools.errors import Problem
from tools.progress import say
from tools.toolchain.build import ensure
from tools.toolchain.modules import GROUPS
from tools.toolchain.preflight import preflight


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 when a precondition is not met or a build failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.toolchain", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--check", action="store_true", help="only print what prevents the build")
    options = parser.parse_args(arguments)
    names = options.names or list(GROUPS)
    if options.check:
        problems = preflight(names)
        for problem in problems:
            say(str(problem))
        return 1 if problems else 0
    try:
        for name, folder in ensure(names).items():
            print(f"{name}\t{folder}")
    except Problem as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("Stopped. Go keeps what it has compiled, and the next run continues from there.")
        return 130
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # clean up after SIGTERM as after Ctrl-C
    sys.exit(main())
