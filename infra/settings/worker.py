"""The Prefect worker of a work pool."""

from __future__ import annotations

from pydantic import Field

from infra.settings.pod import Pod
from infra.settings.types import Model


class Worker(Model):
    """The Prefect worker of a work pool."""

    replicas: int = Field(default=1, ge=1)
    poll_seconds: int = Field(default=2, ge=1)
    """Seconds between two polls of the work pool, and so the longest wait until a run's Job is created."""
    limit: int | None = Field(default=None, ge=1)
    """Concurrent runs of one worker process; no limit when unset."""
    pod: Pod = Pod()
