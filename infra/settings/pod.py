"""Placement, resources and metadata of the pods of one component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from infra.settings.types import Bytes, Cpu, Model

PLATFORM: Final = {
    "server": ("250m", "512Mi", "1Gi"),
    "services": ("250m", "512Mi", "1Gi"),
    "worker": ("100m", "256Mi", "768Mi"),
    "operator": ("100m", "192Mi", "512Mi"),
    "reaper": ("10m", "48Mi", "128Mi"),
}
"""Component -> default CPU request, memory request and memory limit."""


class Toleration(Model):
    """A Kubernetes toleration."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(default=None, ge=0)

    def manifest(self) -> dict[str, Any]:
        """Return it in the form of the Kubernetes API."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Pod(Model):
    """Placement, resources and metadata of a component's pods. Unset keys have the component's default."""

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Bytes | None = None
    memory_limit: Bytes | None = None
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """In the form of the Kubernetes API: `nodeAffinity`, `podAffinity`, `podAntiAffinity`."""
    topology_spread_constraints: tuple[Mapping[str, Any], ...] = Field(default=(), strict=False)
    """In the form of the Kubernetes API."""
    priority_class: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    env: Mapping[str, str] = Field(default_factory=dict)
    """Additional environment variables. No secrets: state and diffs show them."""
