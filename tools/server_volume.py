"""How full the volume of a stack's own Prefect server is, as its pod sees it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ephemeral_dask.contract.volumes import Usage
from infra import naming
from infra.components.prefect_server import DATA
from infra.settings import EmbeddedPrefect, Settings, Sqlite
from tools.errors import Problem

_TIMEOUT: Final = 30.0
"""Seconds for a command in the server's pod."""

REMEDY: Final = (
    "Enlarge `prefect.database.storage` if the storage class allows it, lower `prefect.retention.runDays`, or move to"
    " PostgreSQL"
)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """The volume.

    Attributes:
        usage: how full it is.
        problem: why the server cannot write to it, or empty.

    """

    usage: Usage
    problem: str


def has_volume(settings: Settings) -> bool:
    """Return whether the stack's server keeps its database on a volume."""
    return isinstance(settings.prefect, EmbeddedPrefect) and isinstance(settings.prefect.database, Sqlite)


def read(settings: Settings, environment: Mapping[str, str]) -> Volume:
    """Ask the server's pod.

    Args:
        settings: of the stack.
        environment: of the target, with kubectl on its PATH.

    Raises:
        Problem: the pod cannot be asked.

    """
    command = ["kubectl", "exec", "--namespace", settings.namespaces.platform, f"deployment/{naming.SERVER}", "--"]
    command += ["python", "-S", "-m", "ops.server_probe", "--usage", DATA]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise _unknown("no answer") from None
    if done.returncode != 0:
        raise _unknown((done.stderr.strip().splitlines() or ["no answer"])[-1])
    answer = json.loads(done.stdout)
    return Volume(usage=Usage(total=answer["total"], free=answer["free"]), problem=answer["problem"])


def problems(settings: Settings, environment: Mapping[str, str]) -> list[Problem]:
    """Return a problem if the volume cannot be written to, or is nearly full."""
    if not has_volume(settings):
        return []
    volume = read(settings, environment)
    if volume.problem:
        return [Problem(f"The Prefect server cannot write: {volume.problem}; it is {volume.usage}", remedy=REMEDY)]
    if volume.usage.is_nearly_full:
        return [Problem(f"The volume of the Prefect server is {volume.usage}", remedy=REMEDY)]
    return []


def _unknown(why: str) -> Problem:
    return Problem(
        f"The volume of the Prefect server could not be read ({why})",
        remedy="Give the kubeconfig's user `create` of `pods/exec`, and see that the server's pod runs",
    )
