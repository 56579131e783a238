"""What the reconciler keeps of a Kubernetes object: a few fields, so that its memory does not grow with their size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ephemeral_dask.contract import labels
from ops import causes
from ops.fields import Object, conditions, has_condition, mapping, sequence, shortened, text, time_of

LOST_AFTER: Final = 60.0
"""Seconds after its grace period at which a deleted pod counts as ended, because its node does not answer."""

_FINAL: Final = {"Succeeded", "Failed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowPod:
    """The pod of a flow run.

    Attributes:
        name: of the pod.
        uid: of the pod.
        run: id of the flow run, or empty.
        job: uid of its Job, or empty.
        created: when it was created.
        phase: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        deleted: when its grace period ends, if it was deleted.
        waits: why it is not running yet, or empty.
        ended: how it ended, or empty.
        is_outlived: whether the flow's container has ended, and another one has not.

    """

    name: str
    uid: str
    run: str = ""
    job: str = ""
    created: datetime
    phase: str
    deleted: datetime | None = None
    waits: str = ""
    ended: str = ""
    is_outlived: bool = False

    def is_alive(self, now: datetime) -> bool:
        """Return whether the flow's process may be alive."""
        return self.exists(now) and not self.is_outlived

    def exists(self, now: datetime) -> bool:
        """Return whether it has not ended and is not lost with its node, be it for a sidecar that never ends."""
        if self.phase in _FINAL:
            return False
        return self.deleted is None or (now - self.deleted).total_seconds() < LOST_AFTER

    @property
    def how_it_ended(self) -> str:
        """How it ended, if it is no longer alive."""
        return self.ended or "its node does not answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The Job of a flow run.

    Attributes:
        name: of the Job.
        uid: of the Job.
        run: id of the flow run, or empty.
        created: when it was created.
        is_deleted: whether it is being deleted.
        has_ended: whether it has completed or failed.
        failure: Kubernetes' reason and message if it failed, or empty.

    """

    name: str
    uid: str
    run: str = ""
    created: datetime
    is_deleted: bool = False
    has_ended: bool = False
    failure: str = ""


def flow_pod(item: Object) -> FlowPod:
    """Return what is kept of a flow pod."""
    metadata = mapping(item, "metadata")
    own, phase = mapping(metadata, "labels"), text(mapping(item, "status"), "phase")
    is_outlived = phase == "Running" and _flow_has_ended(item)
    return FlowPod(
        name=str(metadata["name"]),
        uid=text(metadata, "uid"),
        run=text(own, labels.PREFECT_FLOW_RUN),
        job=text(own, labels.JOB_UID),
        created=_created(metadata),
        phase=phase,
        deleted=time_of(metadata, "deletionTimestamp"),
        waits=causes.waiting(item) if phase not in {*_FINAL, "Running"} else "",
        ended=causes.ending(item) if phase in _FINAL or is_outlived else "",
        is_outlived=is_outlived,
    )


def _flow_has_ended(item: Object) -> bool:
    """Return whether the flow's container has ended; no container of the pod is ever restarted."""
    containers = sequence(mapping(item, "status"), "containerStatuses")
    return any(
        text(each, "name") == labels.FLOW_CONTAINER and mapping(mapping(each, "state"), "terminated")
        for each in containers
    )


def job(item: Object) -> Job:
    """Return what is kept of a Job."""
    metadata = mapping(item, "metadata")
    failed = next((each for each in conditions(item) if each.get("type") == "Failed"), {})
    return Job(
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        run=text(mapping(metadata, "labels"), labels.PREFECT_FLOW_RUN),
        created=_created(metadata),
        is_deleted=bool(metadata.get("deletionTimestamp")),
        has_ended=has_condition(item, "Complete", "Failed"),
        failure=shortened(": ".join(filter(None, (text(failed, "reason"), text(failed, "message"))))),
    )


def _created(metadata: Object) -> datetime:
    created = time_of(metadata, "creationTimestamp")
    if created is None:
        raise ValueError("it has no creationTimestamp")
    return created
