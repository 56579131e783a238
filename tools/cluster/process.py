"""Processes that outlive us, known by more than a number: a pid alone is soon somebody else's."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.cluster import files

MARK = "EPHEMERAL_DASK_PROCESS_OF"
"""Environment variable of all our processes; its value is the cluster's folder. Shims of pods inherit it."""


@dataclass(frozen=True)
class Identity:
    """One process, never to be mixed up with a later one of the same number.

    Attributes:
        pid: its number.
        started: clock ticks between the machine's start and its own (field 22 of /proc/PID/stat).
        boot: tells that start of the machine from others.

    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the process that has this number now; one that has ended but was not waited for counts as none.

        A first thread that has ended while others have not reads as a zombie too, and the process still holds its
        ports and files until its last thread has gone.
        """
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, threads, started = parse_stat(stat)
        ended = state == "X" or (state == "Z" and threads <= 1)
        return None if ended else cls(pid, started, boot_id())

    def alive(self) -> bool:
        """Whether this very process runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal to this process and to no other, even when its number is taken over this instant."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle now stands for one process, so looking at it before sending is no race.
            if self.alive():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)

    def processor(self) -> float:
        """Return the seconds of processor time that it has used (fields 14 and 15 of /proc/PID/stat in proc(5))."""
        fields = _fields_from_third(Path(f"/proc/{self.pid}/stat").read_text())
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, seconds: float) -> bool:
        """Wait for the end of this process; whether it came in time."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([handle], [], [], max(seconds, 0))[0])
        finally:
            os.close(handle)


def parse_stat(text: str) -> tuple[str, int, int]:
    """State letter, number of threads and start time out of /proc/PID/stat (fields 3, 20 and 22 in proc(5)).

    The second field may hold blanks and parentheses.
    """
    fields = _fields_from_third(text)
    return fields[0], int(fields[17]), int(fields[19])


def _fields_from_third(stat: str) -> list[str]:
    return stat[stat.rindex(")") + 2 :].split()


def boot_id() -> str:
    """Tell this start of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_pid_file(path: Path) -> Identity | None:
    """Return the process that a pid file names, alive or not; None when there is no file or it is damaged."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def rotate(log: Path) -> None:
    """Keep the last log beside the new one."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log, or nothing."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def start(argv: Sequence[str], *, log: Path, pid_file: Path, mark: str, environment: Mapping[str, str]) -> Identity:
    """Start a program in a session of its own, with its output in a fresh log, and note who it is.

    Args:
        argv: program and arguments.
        log: the file for both outputs; the last one is kept as `.1`.
        pid_file: where the identity is kept.
        mark: the cluster's folder, see `MARK`.
        environment: all variables of the program but the mark.

    Raises:
        OSError: when the program cannot be executed.

    """
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={**environment, MARK: mark},
        )
    # The child is not ours to wait for: it is to outlive this program. A zombie reads as dead, see Identity.of.
    child.returncode = 0
    identity = Identity.of(child.pid) or Identity(child.pid, 0, boot_id())
    files.write(pid_file, json.dumps(asdict(identity)))
    return identity


def stop(processes: Iterable[Identity], *, grace: float) -> list[Identity]:
    """Ask processes to end, make them end after `grace` seconds, and return those that even then did not."""
    everyone = list(processes)
    for process in everyone:
        process.signal(signal.SIGTERM)
    end = time.monotonic() + grace
    late = [process for process in everyone if not process.wait(end - time.monotonic())]
    for process in late:
        process.signal(signal.SIGKILL)
    return [process for process in late if not process.wait(10)]


def marked(mark: str | None = None) -> dict[Identity, str]:
    """Find processes of local clusters and the folder each belongs to; only those of `mark` when given."""
    return with_variable(MARK, mark)


def with_variable(name: str, wanted: str | None = None) -> dict[Identity, str]:
    """Find processes that were started with an environment variable, and its value; only of that value when given."""
    found: dict[Identity, str] = {}
    prefix = f"{name}=".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        value = next((v[len(prefix) :].decode() for v in variables if v.startswith(prefix)), None)
        if value is None or (wanted is not None and value != wanted):
            continue
        if identity := Identity.of(int(entry.name)):
            found[identity] = value
    return found


def command_line(pid: int) -> list[str]:
    """Program and arguments of a process; empty for one that is gone and for kernel threads."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process has in RAM (VmRSS), 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
