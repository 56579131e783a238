"""Processes that outlive this program. A pid alone does not identify one: the kernel reuses it."""

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

import psutil

from tools.cluster import files

MARK = "EPHEMERAL_DASK_PROCESS_OF"
"""Environment variable of every process of a local cluster; its value is the cluster's folder. Shims inherit it."""


@dataclass(frozen=True)
class Identity:
    """One process, distinct from a later one with the same pid.

    The start time is not psutil's: `create_time()` is a wall clock's, which moves when the machine's clock is set,
    and pid files outlive that.

    Attributes:
        pid: the process's number.
        started: clock ticks from the machine's start to the process's (field 22 of /proc/PID/stat).
        boot: the kernel's id of that start of the machine.

    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the process that has this pid now; None for one that has ended and was not waited for.

        A process whose first thread has ended reads as a zombie too, although it holds its ports and files until its
        last thread ends: such a process counts as alive.
        """
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, threads, started = parse_stat(stat)
        ended = state == "X" or (state == "Z" and threads <= 1)
        return None if ended else cls(pid, started, boot_id())

    def alive(self) -> bool:
        """Return whether this very process runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal to this process; never to another one that takes over its pid at that moment."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle refers to one process from here on, so checking it before the signal is not a race.
            if self.alive():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)

    def processor(self) -> float:
        """Return the seconds of processor time that the process has used, its threads included.

        Raises:
            psutil.NoSuchProcess: it has ended.

        """
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end; return whether it did in time."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([handle], [], [], max(seconds, 0))[0])
        finally:
            os.close(handle)


def parse_stat(text: str) -> tuple[str, int, int]:
    """Return the state letter, the number of threads and the start time (fields 3, 20 and 22 of /proc/PID/stat).

    The second field, the program's name, may hold blanks and parentheses. Source: proc(5).
    """
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[17]), int(fields[19])


def boot_id() -> str:
    """Return the id that the kernel gave to this start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_pid_file(path: Path) -> Identity | None:
    """Return the process that a pid file names, running or not; None when the file is missing or damaged."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def rotate(log: Path) -> None:
    """Keep the previous log as `.1`."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log; an empty text when there is no log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def start(argv: Sequence[str], *, log: Path, pid_file: Path, mark: str, environment: Mapping[str, str]) -> Identity:
    """Start a program in its own session, with its output in a new log, and write its pid file.

    Args:
        argv: program and arguments.
        log: the file for standard output and standard error; the previous one is kept as `.1`.
        pid_file: the file for the identity.
        mark: the cluster's folder, see `MARK`.
        environment: all variables of the program except the mark.

    Raises:
        OSError: the program cannot be executed.

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
    # The child outlives this program, so subprocess must not wait for it. A zombie counts as ended: see Identity.of.
    child.returncode = 0
    identity = Identity.of(child.pid) or Identity(child.pid, 0, boot_id())
    files.write(pid_file, json.dumps(asdict(identity)))
    return identity


def stop(processes: Iterable[Identity], *, grace: float) -> list[Identity]:
    """Send SIGTERM, after `grace` seconds SIGKILL, and return the processes that still run after that."""
    everyone = list(processes)
    for process in everyone:
        process.signal(signal.SIGTERM)
    end = time.monotonic() + grace
    late = [process for process in everyone if not process.wait(end - time.monotonic())]
    for process in late:
        process.signal(signal.SIGKILL)
    return [process for process in late if not process.wait(10)]


def marked(mark: str | None = None) -> dict[Identity, str]:
    """Return the processes of local clusters and each one's cluster folder; with `mark`, only of that folder."""
    return with_variable(MARK, mark)


def with_variable(name: str, value: str | None = None) -> dict[Identity, str]:
    """Return the processes that were started with an environment variable, and its value in each.

    Args:
        name: the variable.
        value: count only processes in which the variable has this value.

    """
    matches: dict[Identity, str] = {}
    for process in psutil.process_iter():
        # A process may end meanwhile, or belong to another user.
        with contextlib.suppress(psutil.Error, OSError):
            actual = process.environ().get(name)
            if actual is None or value not in (None, actual):
                continue
            if identity := Identity.of(process.pid):
                matches[identity] = actual
    return matches


def command_line(pid: int) -> list[str]:
    """Return program and arguments of a process; an empty list for an ended one and for a kernel thread."""
    try:
        arguments: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
    return arguments


def resident_memory(pid: int) -> int:
    """Return the bytes of memory that a process has in RAM; 0 when it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
