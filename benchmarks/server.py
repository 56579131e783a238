"""A fresh Prefect server for one measurement, which counts what reaches it."""

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
        url: of its API.
        log: its access log.

    """

    url: str
    log: Path

    def writes(self, since: int = 0) -> list[str]:
        """Return the requests that may change something; some questions are POSTs as well.

        Args:
            since: `mark()` from which they count.

        """
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(since)
            found = [f"{method} {path}" for method, path in _ACCESS.findall(log.read())]
        return [each for each in found if not each.endswith(("/filter", "/count", "/read"))]

    def mark(self) -> int:
        """Return where the access log ends now."""
        return self.log.stat().st_size

    def processor(self) -> float:
        """Return the seconds of processor time that it has used since its start."""
        return sum(each.processor() for each in with_variable("PREFECT_HOME", str(self.log.parent)))


@contextmanager
def running(folder: Path, *, as_released: bool = False) -> Iterator[Server]:
    """Start a server with an empty database in `folder`, and end it.

    Args:
        folder: its own.
        as_released: with Prefect's defaults, instead of as the platform image runs it.

    Raises:
        Problem: it did not start.

    """
    folder.mkdir()
    settings = _SERVER | (_as_released(folder) if as_released else _PLATFORM)
    with scratch_prefect.running(folder, "--no-services", settings=settings) as url:
        yield Server(url=url, log=folder / "server.log")


def _as_released(folder: Path) -> dict[str, str]:
    """Return settings with which Python does not find uvloop, which the platform image adds to Prefect."""
    (folder / "uvloop.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(folder)}


def environment(home: Path) -> dict[str, str]:
    """Return this process's environment with Prefect's settings replaced by those of a measurement."""
    return scratch_prefect.environment(home) | _QUIET
