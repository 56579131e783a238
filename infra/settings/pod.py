"""Placement, resources and metadata of the pods of one component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from infra.settings.metadata import AnnotationValues, LabelValues, ObjectName
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes every value: remove value, or the operator")
        if self.operator == "Equal" and not self.key:
            raise ValueError("needs a key, or operator: Exists without one, which tolerates every taint")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds has a meaning for effect NoExecute only: set the effect, or remove it")
        return self

    def manifest(self) -> dict[str, Any]:
        """Return it in the form of the Kubernetes API."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Pod(Model):
    """Placement, resources and metadata of a component's pods. Unset keys have the component's default."""

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Bytes | None = None
    memory_limit: Bytes | None = None
    node_selector: LabelValues = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """In the form of the Kubernetes API: `nodeAffinity`, `podAffinity`, `podAntiAffinity`."""
    topology_spread_constraints: tuple[Mapping[str, Any], ...] = Field(default=(), strict=False)
    """In the form of the Kubernetes API."""
    priority_class: ObjectName | None = None
    labels: LabelValues = Field(default_factory=dict)
    annotations: AnnotationValues = Field(default_factory=dict)
    env: Mapping[str, str] = Field(default_factory=dict)
    """Additional environment variables. No secrets: state and diffs show them."""
