"""Why a Dask cluster did not start, in words that people, tests and dashboards can rely on."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """The vocabulary of a failed start. The value is what a person reads first."""

    IMAGE_PULL = "the image cannot be pulled"
    QUOTA = "the namespace's quota or limits do not allow the pod"
    POD_SECURITY = "Pod Security refuses the pod"
    UNSCHEDULABLE = "no node can take the pod"
    CRASH_LOOP = "the container keeps ending"
    CONTAINER = "the container cannot be created"
    POD_SETUP = "the node cannot set the pod up"
    OPERATOR = "the Dask operator does not react"
    CRDS = "the Dask custom resource definitions are missing or too old"
    RBAC = "a Kubernetes right is missing"
    REFUSED = "Kubernetes refuses an object"
    UNREACHABLE = "the scheduler runs but cannot be reached"
    NO_WORKER = "no worker has joined the scheduler"
    ENVIRONMENT = "the Dask pods do not run what the flow pod runs"
    UNKNOWN = "nothing names a cause"
