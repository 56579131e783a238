"""What may be said about the pods of one component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from infra.dask_profile import Toleration
from infra.model import Bytes, Cpu, Model


class Pod(Model):
    """Where the pods run, what they get and how they are marked; what is unset is the component's own default."""

    cpu_request: Cpu | None = None
    cpu_limit: Cpu | None = None
    memory_request: Bytes | None = None
    memory_limit: Bytes | None = None
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """As Kubernetes writes it: `nodeAffinity`, `podAffinity`, `podAntiAffinity`."""
    topology_spread_constraints: tuple[Mapping[str, Any], ...] = Field(default=(), strict=False)
    """As Kubernetes writes them."""
    priority_class: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    env: Mapping[str, str] = Field(default_factory=dict)
    """Further environment variables. Secrets do not belong here: state and diffs show them."""
