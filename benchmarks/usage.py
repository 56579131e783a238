"""What a command uses, with all programs that it starts: `python -m benchmarks.usage RESULT COMMAND...`.

Pulumi ends its plugins without waiting for them, so that their processor time would count for no one. This program
takes in every process that its command leaves behind (`PR_SET_CHILD_SUBREAPER`) and writes the sums as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
"""Of `linux/prctl.h`."""
_BLOCK: Final = 512
"""Bytes of the blocks that `getrusage` counts."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one command used.

    Attributes:
        processor: seconds of processor time.
        seconds: from start to end.
        written: bytes written to disks; 0 for a file system in memory.

    """

    processor: float
    seconds: float
    written: int


def measure(command: Sequence[str], *, folder: Path, environment: Mapping[str, str], scratch: Path) -> Usage:
    """Run a command and return what it used.

    Args:
        command: with its arguments.
        folder: in which it runs.
        environment: of it.
        scratch: a folder for its output.

    Raises:
        RuntimeError: it failed; the text is the end of its output.

    """
    result, output = scratch / "usage.json", scratch / "output.txt"
    program = [sys.executable, str(Path(__file__).resolve()), str(result), *command]
    with output.open("wb") as stream:
        done = subprocess.run(
            program, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {output.read_text()[-2000:]}")
    return Usage(**json.loads(result.read_text()))


def main(result: str, *command: str) -> int:
    """Run a command, write what it used, and return its exit status."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl refused PR_SET_CHILD_SUBREAPER")
    started = time.perf_counter()
    child = subprocess.Popen(command)
    code, seconds = 1, 0.0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        if pid == child.pid:
            code, seconds = os.waitstatus_to_exitcode(status), time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage = Usage(processor=used.ru_utime + used.ru_stime, seconds=seconds, written=used.ru_oublock * _BLOCK)
    Path(result).write_text(json.dumps(asdict(usage)))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
