"""A process that was forked before its command was known: it has what its parent has imported, and waits.

Prefect runs a flow in the third of three interpreters: the first one follows the run (`prefect flow-run execute`), the
second one runs pull steps, and is replaced by the third. Each imports Prefect, which is most of the time until the
first line of the flow. A copy of the first one needs no import (docs/adr/0023-a-prepared-process.md).
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ephemeral_dask import flow_process

_STARTER: Final = "prefect.runner._starter_engine"
"""The module whose `run_process` starts the second interpreter; Prefect names it as the place to replace."""


@dataclass(frozen=True)
class Order:
    """What a prepared process is to do.

    Attributes:
        command: of the interpreter that it stands for.
        environment: the whole one.
        folder: the working directory.

    """

    command: Sequence[str]
    environment: dict[str, str]
    folder: str


class PreparedProcess:
    """The parent's handle, with the attributes of a process that Prefect uses.

    Attributes:
        pid: of the process, and of its session and process group.
        returncode: its exit status, negative for a signal; None while it lives.

    """

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pipe: int | None = pipe
        self._descriptor = os.pidfd_open(pid)

    @classmethod
    def fork(cls) -> PreparedProcess:
        """Fork this process, which must have one thread and no event loop.

        Raises:
            OSError: it cannot be forked.
            SystemExit: in the child, when it has done its work, or the parent has ended without any for it.

        """
        os.close(os.pidfd_open(os.getpid()))  # not every sandbox has it
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            os.setsid()
            raise SystemExit(_obey(ours))
        os.close(ours)
        return cls(pid, theirs)

    @property
    def waits(self) -> bool:
        """Whether it can still be given an order."""
        return self._pipe is not None

    def start(self, order: Order) -> bool:
        """Give it an order; return whether it was there to take it."""
        if self._pipe is None:
            return False
        pipe, self._pipe = self._pipe, None
        try:
            with os.fdopen(pipe, "wb") as stream:
                stream.write(pickle.dumps(order))
        except BrokenPipeError:
            return False
        return True

    async def wait(self) -> int:
        """Wait for its end and return its exit status."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        if self.returncode is None:
            loop.add_reader(self._descriptor, over.set)
            try:
                await over.wait()
            finally:
                loop.remove_reader(self._descriptor)
        return self._status()

    def kill(self) -> None:
        """End it at once, and wait the moment that this takes."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._status()

    def _status(self) -> int:
        """Return the exit status of the process, which has ended or is ending."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._descriptor)
        return self.returncode


def _obey(pipe: int) -> int:
    """Wait for an order in the child and carry it out; return the exit status."""
    with suppress(ImportError):  # it is noticed where it is needed
        flow_process.preload()
    with os.fdopen(pipe, "rb") as stream:
        data = stream.read()
    if not data:
        return 0
    order: Order = pickle.loads(data)  # noqa: S301  from the parent, by a pipe
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    return flow_process.run(order.command)


def install() -> None:
    """Let the first event loop of this process begin with a prepared process, which then runs pull steps and flow.

    Whatever stands against it, Prefect goes on as released.
    """
    original = asyncio.run

    @wraps(original)
    def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
        asyncio.run = original
        if threading.active_count() == 1:
            try:
                _prepare()
            except SystemExit:
                main.close()
                raise
            except (OSError, ImportError, AttributeError) as error:
                print(f"ephemeral_dask: the flow is started as Prefect does it: {error}", file=sys.stderr)
        return original(main, **options)

    asyncio.run = run


def _prepare() -> None:
    starter: Any = import_module(_STARTER)
    original = starter.run_process
    starter.run_process = _starting(original, PreparedProcess.fork())


def _starting(
    original: Callable[..., Coroutine[Any, Any, Any]], prepared: PreparedProcess
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a `run_process` that gives the prepared process the command for which it was made."""

    @wraps(original)
    async def run_process(
        command: list[str],
        *,
        task_status: Any = None,
        task_status_handler: Callable[[Any], Any] | None = None,
        env: dict[str, str] | None = None,
        cwd: Any = None,
        **options: Any,
    ) -> Any:
        options |= {"task_status": task_status, "task_status_handler": task_status_handler, "env": env, "cwd": cwd}
        order = Order(command, dict(os.environ if env is None else env), str(cwd or Path.cwd()))
        is_its_own = flow_process.can_run(command) and bool(options.get("start_new_session"))
        if not (prepared.waits and is_its_own and prepared.start(order)):
            return await original(command, **options)
        try:
            if task_status is not None:
                task_status.started(task_status_handler(prepared) if task_status_handler else prepared.pid)
            await prepared.wait()
        except BaseException:
            prepared.kill()
            raise
        return prepared

    return run_process
