from __future__ import annotations

from typing import Any

import pytest

from ephemeral_dask import losses
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.losses import Memory, Pod

POD = Pod(name="etl-scheduler-1", uid="u-1")
MEMORY = Memory(used=497 * 2**20, limit=512 * 2**20)


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": POD.name, "uid": POD.uid, **metadata}, "status": status}


def ended(where: str, **terminated: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "scheduler", where: {"terminated": terminated}}]}


def disrupted(reason: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("status", "cause", "words"),
    [
        (ended("state", reason="OOMKilled", exitCode=137), Cause.OUT_OF_MEMORY, "killed by the kernel (497 MiB"),
        (ended("lastState", reason="OOMKilled", exitCode=137), Cause.OUT_OF_MEMORY, "limit 512 MiB"),
        (ended("lastState", reason="Error", exitCode=1), Cause.ENDED, "Error with exit code 1"),
        (
            disrupted("PreemptionByScheduler", "preempting to accommodate a higher priority pod"),
            Cause.PREEMPTED,
            "higher",
        ),
        (disrupted("DeletionByTaintManager"), Cause.NODE_LOST, "DeletionByTaintManager"),
        (disrupted("EvictionByEvictionAPI", "Eviction API: evicting"), Cause.EVICTED, "Eviction API"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, Cause.EVICTED, "low on memory"),
    ],
)
def test_a_pods_own_status_names_the_cause(status: dict[str, Any], cause: Cause, words: str) -> None:
    why = losses.why_pod(POD, [pod(status)], [], MEMORY)
    assert why is not None
    assert (why.cause, words in why.detail) == (cause, True), why


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Evicted", Cause.EVICTED),
        ("Preempted", Cause.PREEMPTED),
        ("NodeNotReady", Cause.NODE_LOST),
        ("TaintManagerEviction", Cause.NODE_LOST),
    ],
)
def test_events_name_the_cause_of_a_pod_that_is_gone(reason: str, cause: Cause) -> None:
    events = [{"reason": "Pulled"}, {"reason": reason, "message": "because"}]
    why = losses.why_pod(POD, [], events)
    assert why is not None
    assert why.sentence == f"{cause.value}: pod etl-scheduler-1: because"


def test_a_pod_that_runs_or_is_gone_without_a_trace_has_no_cause() -> None:
    running = pod({"phase": "Running", "conditions": None, "containerStatuses": None})
    assert losses.why_pod(POD, [running], [{"reason": "Killing"}]) is None
    assert losses.why_pod(POD, [], []) is None


def test_a_pod_is_gone_when_it_is_deleted_is_being_deleted_or_has_a_successor_of_the_same_name() -> None:
    assert not losses.gone(POD, [pod({})])
    assert losses.gone(POD, [])
    assert losses.gone(POD, [pod({}, deletionTimestamp="now")])
    assert losses.gone(POD, [pod({}, uid="u-2")])


def test_a_nanny_that_restarted_its_worker_is_quoted_with_the_numbers() -> None:
    log = "Worker tcp://10.0.0.7:8790 (pid=21) exceeded 95% memory budget. Restarting..."
    why = losses.why_process("etl-worker-1", log, MEMORY)
    assert why is not None
    assert why.cause is Cause.OUT_OF_MEMORY
    assert "95 % of its memory" in why.detail
    assert "497 MiB in its last report, limit 512 MiB" in why.detail


def test_a_kill_by_the_kernel_is_distinguished_from_other_signals() -> None:
    killed = losses.why_process("w", "Worker process 21 was killed by signal 9", MEMORY)
    aborted = losses.why_process("w", "Worker process 21 was killed by signal 6", Memory())
    assert killed is not None
    assert "which the kernel sends" in killed.detail
    assert aborted is not None
    assert aborted.detail == "worker w was killed by signal 6"
    assert losses.why_process("w", "Worker closed", MEMORY) is None
