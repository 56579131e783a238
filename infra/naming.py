"""Names and labels of what the stack makes in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi import Input

PROJECT: Final = "ephemeral-dask"

SERVER: Final = "prefect-server"
WORKER: Final = "prefect-worker"
OPERATOR: Final = "dask-operator"
REAPER: Final = "dask-reaper"
FLOW_RUN: Final = "flow-run"
DASK: Final = "dask"

SERVER_PORT: Final = 4200
"""Port of the Prefect API and UI, Prefect's own default."""

API_CREDENTIAL: Final = "prefect-api"
"""The Secret that holds the Prefect credential where the API asks for one."""


def metadata(component: str, namespace: Input[str], **annotations: str) -> Any:
    """Return the metadata of one component's object: its name, where it is, its labels."""
    found: dict[str, Any] = {"name": component, "namespace": namespace, "labels": labels(component)}
    return {**found, "annotations": annotations} if annotations else found


def labels(component: str) -> Mapping[str, str]:
    """Return the recommended Kubernetes labels of one component.

    Source: the label conventions of Kubernetes, `app.kubernetes.io/*`.
    """
    return {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": PROJECT,
        "app.kubernetes.io/managed-by": "pulumi",
    }


def selector(component: str) -> Mapping[str, str]:
    """Return the labels that never change: a Deployment's selector cannot be edited."""
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": PROJECT}
