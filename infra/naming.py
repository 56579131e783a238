"""Names and labels of what the stack makes in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi import Input

PROJECT: Final = "ephemeral-dask"

SERVER: Final = "prefect-server"
SERVICES: Final = "prefect-services"
WORKER: Final = "prefect-worker"
OPERATOR: Final = "dask-operator"
REAPER: Final = "dask-reaper"
FLOW_RUN: Final = "flow-run"
DASK: Final = "dask"

SERVER_PORT: Final = 4200
"""Port of the Prefect API and UI, Prefect's own default."""

API_CREDENTIAL: Final = "prefect-api"
"""The Secret that holds the Prefect credential where the API asks for one."""

RESULTS: Final = "results"
"""The claim of the volume with task results."""
DATABASE: Final = "prefect-database"
REDIS: Final = "prefect-redis"
"""The Secret that holds the address of an embedded server's PostgreSQL."""

STACK: Final = f"{PROJECT}/stack"
"""Annotation of the namespace: the stack that made it, `organization/project/stack`."""

DASK_VERSION: Final = f"{PROJECT}/dask-kubernetes"
"""Annotation of Dask's definitions: the version of dask-kubernetes that they came with."""


def metadata(component: str, namespace: Input[str], *, instance: str | None = None, **annotations: str) -> Any:
    """Return the metadata of one component's object: its name, where it is, its labels.

    Args:
        component: what it is part of.
        namespace: where it is.
        instance: which one, where a component is there more than once: part of the name.
        annotations: its annotations.

    """
    name = component if instance is None else f"{component}-{instance}"
    found: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels(component, instance)}
    return {**found, "annotations": annotations} if annotations else found


def labels(component: str, instance: str | None = None) -> Mapping[str, str]:
    """Return the recommended Kubernetes labels of one component.

    Source: the label conventions of Kubernetes, `app.kubernetes.io/*`.
    """
    return {**selector(component, instance), "app.kubernetes.io/managed-by": "pulumi"}


def selector(component: str, instance: str | None = None) -> Mapping[str, str]:
    """Return the labels that never change: a Deployment's selector cannot be edited."""
    of = {} if instance is None else {"app.kubernetes.io/instance": instance}
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": PROJECT, **of}
