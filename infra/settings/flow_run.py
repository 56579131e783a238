"""The pod in which a flow's own code runs."""

from __future__ import annotations

from pydantic import Field, model_validator

from infra.settings.pod_extras import PodExtras
from infra.settings.types import Bytes, Cpu, Model


class FlowRun(Model):
    """The pod in which a flow's own code runs. Most keys are the default of a job variable."""

    cpu_request: Cpu = "250m"
    memory_request: Bytes = "512Mi"
    memory_limit: Bytes = "1Gi"
    finished_job_ttl: int = Field(default=60, ge=0)
    """Seconds until a finished Job is deleted, together with its Dask cluster if that still exists."""
    grace_seconds: int = Field(default=90, ge=30)
    """Seconds between SIGTERM and SIGKILL. Prefect needs up to 30 of them to report the end of a run."""
    active_deadline: int | None = Field(default=None, ge=60)
    """Seconds after which Kubernetes stops a run; no limit when unset."""
    pending_timeout: int = Field(default=600, ge=60)
    """Seconds that a run may be Pending: then it is Crashed with the cause, and its Job is deleted."""
    heartbeat_seconds: int = Field(default=60, ge=30)
    """Seconds between two heartbeats of a run."""
    crashed_after: int | None = Field(default=300, ge=90)
    """Seconds without a heartbeat after which a run without a Job is marked as Crashed; with null it stays Running.
    Whether a run with a Job is alive is decided by its pod."""
    pod: PodExtras = PodExtras()
    """Additions to flow pods."""

    @model_validator(mode="after")
    def _survives_lost_heartbeats(self) -> FlowRun:
        if self.crashed_after is not None and self.crashed_after < 3 * self.heartbeat_seconds:
            message = (
                f"crashedAfter is {self.crashed_after} and heartbeatSeconds {self.heartbeat_seconds}: heartbeats"
                f" can be late or lost, so crashedAfter must be at least {3 * self.heartbeat_seconds}"
            )
            raise ValueError(message)
        return self
