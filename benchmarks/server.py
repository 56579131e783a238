"""A new Prefect server for one measurement, with counts of its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import scratch_prefect
from tools.cluster.process import with_variable

_QUIET: Final = {"PREFECT_LOGGING_LEVEL": "ERROR"}

_SERVER: Final = {
    **_QUIET,
    # At this level the server writes its access log.
    "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
}

_PLATFORM: Final = {
    # As in the platform image, which says why.
    "PYTHONTZPATH": "",
}

_ACCESS: Final = re.compile(r'"(POST|PUT|PATCH|DELETE) (\S+) HTTP')


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        url: the URL of its API.
        log: its access log.

    """

    url: str
    log: Path

    def writes(self, since: int = 0) -> list[str]:
        """Return the write requests. Queries are POST requests as well; they do not count.

        Args:
            since: the result of an earlier `mark()`; requests before it do not count.

        """
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(since)
            requests = [f"{method} {path}" for method, path in _ACCESS.findall(log.read())]
        return [each for each in requests if not each.endswith(("/filter", "/count", "/read"))]

    def mark(self) -> int:
        """Return the present size of the access log, in bytes."""
        return self.log.stat().st_size

    def processor(self) -> float:
        """Return the seconds of processor time that it has used since its start."""
        return sum(each.processor() for each in with_variable("PREFECT_HOME", str(self.log.parent)))


@contextmanager
def running(folder: Path, *, as_released: bool = False) -> Iterator[Server]:
    """Run a server with an empty database in `folder`.

    Args:
        folder: the folder that is created for it.
        as_released: whether to run it with Prefect's defaults instead of those of the platform image.

    Raises:
        Problem: it did not start.

    """
    folder.mkdir()
    settings = _SERVER | (_as_released(folder) if as_released else _PLATFORM)
    with scratch_prefect.running(folder, "--no-services", settings=settings) as url:
        yield Server(url=url, log=folder / "server.log")


def _as_released(folder: Path) -> dict[str, str]:
    """Return settings that hide uvloop, which the platform image adds to Prefect, from the server."""
    (folder / "uvloop.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(folder)}


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment with the Prefect settings of a measurement."""
    return scratch_prefect.environment(home) | _QUIET
