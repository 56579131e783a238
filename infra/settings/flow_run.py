"""The pod in which a flow's own code runs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from infra.settings.pod import Toleration
from infra.settings.types import Bytes, Cpu, Model


class FlowPod(Model):
    """Where flow pods run, and how they are marked."""

    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    priority_class: str | None = None
    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Such as one that tells a cluster's autoscaler not to move the pod."""


class FlowRun(Model):
    """The pod in which a flow's own code runs; each value is the default of a job variable."""

    cpu_request: Cpu = "250m"
    memory_request: Bytes = "512Mi"
    memory_limit: Bytes = "1Gi"
    finished_job_ttl: int = Field(default=60, ge=0)
    """Seconds that an ended Job is kept; with it goes whatever is left of its Dask cluster."""
    grace_seconds: int = Field(default=90, ge=30)
    """Seconds between SIGTERM and SIGKILL: Prefect alone takes up to 30 to end a run in order."""
    active_deadline: int | None = Field(default=None, ge=60)
    """Seconds after which Kubernetes ends a run, come what may."""
    heartbeat_seconds: int = Field(default=60, ge=30)
    """Seconds between two signs of life of a run."""
    crashed_after: int | None = Field(default=300, ge=90)
    """Seconds without a sign of life after which Prefect takes a run for Crashed; null leaves it Running for ever."""
    pod: FlowPod = FlowPod()

    @model_validator(mode="after")
    def _patient(self) -> FlowRun:
        if self.crashed_after is not None and self.crashed_after < 3 * self.heartbeat_seconds:
            message = (
                f"crashedAfter is {self.crashed_after} and heartbeatSeconds {self.heartbeat_seconds}: a sign of life"
                f" may come late or be lost, so crashedAfter must be at least {3 * self.heartbeat_seconds}"
            )
            raise ValueError(message)
        return self
