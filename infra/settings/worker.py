"""The Prefect worker of a work pool."""

from __future__ import annotations

from pydantic import Field

from infra.settings.pod import Pod
from infra.settings.types import Model


class Worker(Model):
    """The Prefect worker of a work pool."""

    replicas: int = Field(default=1, ge=1)
    poll_seconds: int = Field(default=2, ge=1)
    """Seconds between two looks at the work pool: what a run waits at worst before its Job is made."""
    limit: int | None = Field(default=None, ge=1)
    """Runs that one worker process starts at the same time."""
    pod: Pod = Pod()
