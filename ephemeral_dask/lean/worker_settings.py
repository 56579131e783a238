"""Workaround: Prefect reads environment, `.env`, profiles and TOML files again for each task, 40 ms of processor time.

Settings that come with a task are completed with those of the worker. https://github.com/PrefectHQ/prefect/pull/20853
kept them per process for another task runner, and was closed. Here a worker keeps them for as long as nothing changes
that they were read from.
"""

from __future__ import annotations

import os
from typing import Any, Final

from ephemeral_dask.lean.tls import file_version

_FILES: Final = (".env", "prefect.toml", "pyproject.toml")
"""Where Prefect looks for settings, relative to the working directory."""


def sources(profiles: str | os.PathLike[str] | None) -> tuple[Any, ...]:
    """Return what changes when Prefect would read other settings in this process.

    Args:
        profiles: the file with Prefect's profiles.

    """
    variables = sorted(variable for variable in os.environ.items() if variable[0].upper().startswith("PREFECT_"))
    return (*variables, *(file_version(path) for path in (profiles, *_FILES)))
