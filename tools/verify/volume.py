"""Whether the volume of a stack's own Prefect server has room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.settings import Settings
from tools import server_volume
from tools.errors import Problem
from tools.verify.report import Row, failed, ok, unknown, warning

_TITLE = "volume of the Prefect server"


def rows(settings: Settings, environment: Mapping[str, str]) -> Iterator[Row]:
    """Yield a row if the server keeps its database on a volume."""
    if not server_volume.has_volume(settings):
        return
    try:
        volume = server_volume.read(settings, environment)
    except Problem as problem:
        yield unknown(_TITLE, problem.what, problem.remedy)
        return
    if volume.problem:
        yield failed(_TITLE, f"{volume.problem}; it is {volume.usage}", server_volume.REMEDY)
    elif volume.usage.is_nearly_full:
        yield warning(_TITLE, f"it is {volume.usage}", server_volume.REMEDY)
    else:
        yield ok(_TITLE, f"it is {volume.usage}")
