"""Names and labels of the stack's objects. No Pulumi at run time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pulumi import Input

PROJECT: Final = "ephemeral-dask"

PART_OF: Final = f"app.kubernetes.io/part-of={PROJECT}"
"""Label selector of what the program creates, that of one stack in its namespaces."""

SERVER: Final = "prefect-server"
SERVICES: Final = "prefect-services"
WORKER: Final = "prefect-worker"
OPERATOR: Final = "dask-operator"
REAPER: Final = "dask-reaper"
SCHEDULERS: Final = "dask-schedulers"
FLOW_RUN: Final = "flow-run"
DASK: Final = "dask"

SERVER_PORT: Final = 4200
"""Port of the Prefect API and UI, Prefect's own default."""

API_CREDENTIAL: Final = "prefect-api"
"""The Secret with the Prefect credential, where the API requires one."""

RESULTS: Final = "results"
"""The PersistentVolumeClaim with task results."""

DATABASE: Final = "prefect-database"
"""The Secret with the address of an embedded server's PostgreSQL."""

REDIS: Final = "prefect-redis"
"""The Secret with the address of an embedded server's Redis."""

STACK: Final = f"{PROJECT}/stack"
"""Annotation of the namespace: the stack that owns it, `organization/project/stack`."""

DASK_VERSION: Final = f"{PROJECT}/dask-kubernetes"
"""Annotation of Dask's CRDs: the version of dask-kubernetes that they belong to."""


def metadata(component: str, namespace: Input[str], *, instance: str | None = None, **annotations: str) -> Any:
    """Return the metadata of one component's object: name, namespace, labels.

    Args:
        component: the component that the object is part of.
        namespace: of the object.
        instance: becomes part of the name, for components with several instances.
        annotations: of the object.

    """
    name = component if instance is None else f"{component}-{instance}"
    result: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels(component, instance)}
    return {**result, "annotations": annotations} if annotations else result


def labels(component: str, instance: str | None = None) -> Mapping[str, str]:
    """Return the recommended Kubernetes labels of one component.

    Source: the label conventions of Kubernetes, `app.kubernetes.io/*`.
    """
    return {**selector(component, instance), "app.kubernetes.io/managed-by": "pulumi"}


def selector(component: str, instance: str | None = None) -> Mapping[str, str]:
    """Return the labels that never change: a Deployment's selector cannot be edited."""
    own = {} if instance is None else {"app.kubernetes.io/instance": instance}
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": PROJECT, **own}


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Return a resource name for each key: its joined name, with a suffix where another key has the same.

    `a/b-c` and `a-b/c` are both `a-b-c`. A name that no other has stays as it is in the state of existing stacks, and a
    suffix depends on the key alone, not on the order.

    Args:
        names: what is unique -> its joined name.

    """
    numbers = Counter(names.values())
    return {key: name if numbers[name] == 1 else f"{name}-{_digest(key)}" for key, name in names.items()}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
