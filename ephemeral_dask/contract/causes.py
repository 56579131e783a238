"""Why a Dask cluster did not start, or was lost: texts that people, tests and dashboards can rely on."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """The cause of a failed start, or of a loss. Its value begins the error message."""

    IMAGE_PULL = "the image cannot be pulled"
    QUOTA = "the namespace's quota or limits do not allow the pod"
    POD_SECURITY = "Pod Security refuses the pod"
    UNSCHEDULABLE = "no node can take the pod"
    CRASH_LOOP = "the container is crash-looping"
    CONTAINER = "the container cannot be created"
    POD_SETUP = "the node cannot set the pod up"
    OPERATOR = "the Dask operator does not respond"
    CRDS = "the Dask custom resource definitions are missing or too old"
    RBAC = "a Kubernetes permission is missing"
    REFUSED = "Kubernetes refuses an object"
    UNREACHABLE = "the scheduler runs but cannot be reached"
    NO_WORKER = "no worker has joined the scheduler"
    ENVIRONMENT = "the Dask pods do not run what the flow pod runs"
    OUT_OF_MEMORY = "the container ran out of memory"
    EVICTED = "the pod was evicted"
    PREEMPTED = "the pod was preempted by one of higher priority"
    NODE_LOST = "the node was lost"
    DELETED = "the object was deleted"
    ENDED = "the process ended"
    UNKNOWN = "the cause is unknown"
