"""The warning that the volume with task results is nearly full, before writing to it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract.volumes import Usage


def warning(environment: Mapping[str, str]) -> str:
    """Return a warning for the log of the run, or an empty string."""
    folder = environment.get(env.RESULTS_PATH)
    if not folder:
        return ""
    try:
        usage = Usage.of(Path(folder))
    except OSError:
        return ""
    if not usage.is_nearly_full:
        return ""
    return (
        f"The volume with task results is {usage}. A task whose result it cannot hold fails: set results.keepDays, or"
        " enlarge results.size."
    )
