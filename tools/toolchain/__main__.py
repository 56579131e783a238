"""`python -m tools.toolchain [names...]`: have the programs ready and print where they are."""

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
    """Run the command line; the exit code is 1 when something is missing or a build failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.toolchain", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(GROUPS)}; all without any")
    parser.add_argument("--check", action="store_true", help="only say what would keep them from being built")
    options = parser.parse_args(arguments)
    names = options.names or list(GROUPS)
    if options.check:
        found = preflight(names)
        for problem in found:
            say(str(problem))
        return 1 if found else 0
    try:
        for name, folder in ensure(names).items():
            print(f"{name}\t{folder}")
    except Problem as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("Stopped; what Go has compiled is kept, and the next run goes on from there.")
        return 130
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # tidy up after a polite kill, as after Ctrl-C
    sys.exit(main())
