"""An attack from inside a flow pod: what it asks for, how it is refused, and what refuses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.attacks.defence import Defence
from tests.support.manifests import Manifest

DRY_RUN = {"dryRun": "All"}
"""The API server decides, and stores nothing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request.

    Attributes:
        method: `GET`, `POST`, `PATCH` (a merge patch) or `DELETE`.
        path: below the address of the API.
        content: JSON; none if None.
        parameters: of the query.
        headers: beside those of every request.
        api: `kubernetes` or `prefect`.

    """

    method: str
    path: str
    content: Any = None
    parameters: Mapping[str, str] = field(default_factory=lambda: DRY_RUN)
    headers: Mapping[str, str] = field(default_factory=dict)
    api: str = "kubernetes"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an attacker in a flow pod can know.

    Attributes:
        cluster: the Dask cluster that its run would create.
        raised: the same after its code has raised the ceiling in its own environment.
        pod: its own name.
        victim: name of another run's Dask cluster.
        victim_job: name of that run's Job.
        victim_pod: name of that Job's pod.
        deployment: id of a Prefect deployment.

    """

    cluster: Manifest
    raised: Manifest
    pod: str
    victim: str
    victim_job: str
    victim_pod: str
    deployment: str


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack.

    Attributes:
        request: makes it.
        words: of the refusal.
        defence: what refuses it; without all of it, the attack succeeds.

    """

    request: Callable[[Target], Request]
    words: str
    defence: Defence

    @property
    def status(self) -> int:
        """Return the HTTP status of the refusal."""
        return 403 if self.defence.rights else 422
