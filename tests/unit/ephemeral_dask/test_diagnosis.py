from __future__ import annotations

from typing import Any

import pytest

from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis, Observation, diagnose, refused, still_missing

ACTED: dict[str, Any] = {"cluster": {"status": {"phase": "Pending"}}, "service": {}, "worker_group": {}}


def pod(name: str = "c-scheduler-1", role: str = "scheduler", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"dask.org/component": role},
            "ownerReferences": [{"name": name.rpartition("-")[0]}],
        },
        "status": {"phase": "Pending", **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "scheduler", "image": "r/i:1", "state": state, **more}]}


def event(reason: str, message: str, kind: str = "ReplicaSet", name: str = "c-scheduler-abc") -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"kind": kind, "name": name}}


def cause_of(**fields: Any) -> Diagnosis:
    diagnosis = diagnose(Observation(**(ACTED | fields)))
    assert diagnosis is not None
    return diagnosis


def test_a_cluster_on_its_way_has_no_diagnosis() -> None:
    assert diagnose(Observation(**ACTED)) is None
    assert diagnose(Observation(**ACTED, pods=[pod(**waiting("ContainerCreating"))])) is None


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_does_not_come_is_named_and_may_still_come(reason: str) -> None:
    diagnosis = cause_of(pods=[pod(**waiting(reason, "not found"))])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.IMAGE_PULL, False)
    assert "r/i:1" in diagnosis.detail
    assert "not found" in diagnosis.detail


def test_an_invalid_image_name_is_permanent() -> None:
    assert cause_of(pods=[pod(**waiting("InvalidImageName"))]).permanent


def test_a_missing_secret_is_permanent_and_named() -> None:
    diagnosis = cause_of(pods=[pod(**waiting("CreateContainerConfigError", 'secret "prefect" not found'))])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.CONTAINER, True)
    assert 'secret "prefect" not found' in diagnosis.detail


def test_a_crash_loop_names_exit_code_reason_and_the_log_to_read() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    diagnosis = cause_of(pods=[pod(**waiting("CrashLoopBackOff", lastState=ended, restartCount=3))])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.CRASH_LOOP, True)
    assert "OOMKilled" in diagnosis.detail
    assert "137" in diagnosis.detail
    assert "memory" in diagnosis.detail
    assert diagnosis.pod == ("c-scheduler-1", "scheduler")


def test_a_container_that_ended_once_and_runs_again_is_not_a_crash_loop() -> None:
    status = {"name": "scheduler", "state": {"running": {}}, "restartCount": 1, "ready": False}
    assert diagnose(Observation(**ACTED, pods=[pod(phase="Running", containerStatuses=[status])])) is None


def test_a_container_that_ended_often_and_is_ready_now_is_not_a_crash_loop() -> None:
    status = {"name": "worker", "state": {"running": {}}, "restartCount": 5, "ready": True}
    assert diagnose(Observation(**ACTED, pods=[pod(phase="Running", containerStatuses=[status])])) is None


def test_an_unschedulable_pod_passes_on_which_resource_is_short() -> None:
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    diagnosis = cause_of(pods=[pod(conditions=[condition])])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.UNSCHEDULABLE, False)
    assert "Insufficient cpu" in diagnosis.detail


def test_pod_security_is_permanent() -> None:
    diagnosis = cause_of(
        events=[event("FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted:v1.35"')]
    )
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.POD_SECURITY, True)


QUOTA = 'pods "x" is forbidden: exceeded quota: q, requested: {asked}, used: {used}, limited: {limit}'


def test_a_busy_quota_may_become_free_and_one_that_is_too_small_never_does() -> None:
    busy = QUOTA.format(
        asked="limits.memory=1Gi,pods=1", used="limits.memory=8Gi,pods=9", limit="limits.memory=8Gi,pods=9"
    )
    small = QUOTA.format(asked="requests.memory=4Gi", used="requests.memory=0", limit="requests.memory=2Gi")
    assert not cause_of(events=[event("FailedCreate", busy)]).permanent
    assert cause_of(events=[event("FailedCreate", small)]).permanent
    assert cause_of(events=[event("FailedCreate", small)]).cause is Cause.QUOTA


@pytest.mark.parametrize(
    "message",
    [
        "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        "failed quota: q: must specify limits.cpu for: worker",
    ],
)
def test_a_limit_range_and_a_missing_limit_are_permanent(message: str) -> None:
    diagnosis = cause_of(events=[event("FailedCreate", f'pods "x" is forbidden: {message}')])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.QUOTA, True)


def test_a_service_account_that_is_missing_is_named() -> None:
    message = 'pods "x" is forbidden: error looking up service account flows/dask: serviceaccount "dask" not found'
    assert cause_of(events=[event("FailedCreate", message)]).cause is Cause.RBAC


def test_what_is_not_recognised_is_passed_on_in_kubernetes_own_words() -> None:
    diagnosis = cause_of(events=[event("FailedCreate", "admission webhook says no")])
    assert (diagnosis.cause, diagnosis.permanent) == (Cause.REFUSED, False)
    assert "admission webhook says no" in diagnosis.detail


def test_an_event_about_a_pod_that_has_come_since_says_nothing() -> None:
    old = event("FailedCreate", "violates PodSecurity")
    assert diagnose(Observation(**ACTED, events=[old], pods=[pod("c-scheduler-abc-1")])) is None


def test_a_node_that_cannot_mount_is_named_until_the_pod_runs() -> None:
    mount = event("FailedMount", "no such volume", kind="Pod", name="c-scheduler-1")
    assert cause_of(events=[mount]).cause is Cause.POD_SETUP
    assert diagnose(Observation(**ACTED, events=[mount], pods=[pod(phase="Running")])) is None


def test_a_pod_that_was_faster_than_the_secret_with_its_certificates_waits_for_it() -> None:
    words = 'MountVolume.SetUp failed for volume "{}" : secret "etl-1.job.dask-tls" not found'
    for volume, permanent in (("dask-tls", False), ("warehouse", True)):
        mount = event("FailedMount", words.format(volume), kind="Pod", name="c-scheduler-1")
        assert cause_of(events=[mount]).permanent is permanent


def test_an_operator_without_a_right_is_named_by_its_own_event() -> None:
    message = "deployments.apps is forbidden: User ... cannot create"
    fields = {"worker_group": None, "events": [event("Logging", message, kind="DaskCluster", name="c")]}
    assert cause_of(**fields).cause is Cause.RBAC


def test_an_operator_that_made_nothing_or_not_all_does_not_react() -> None:
    nothing = cause_of(cluster={"metadata": {}}, service=None, worker_group=None)
    half = cause_of(worker_group=None)
    assert nothing.cause is half.cause is Cause.OPERATOR
    assert "worker group" in half.detail


def test_the_phase_that_the_operator_forgot_to_set_is_not_asked() -> None:
    assert diagnose(Observation(cluster={"metadata": {}}, service={}, worker_group={})) is None


def test_permanent_causes_take_precedence_over_transient_ones_and_the_scheduler_over_workers() -> None:
    pulling = pod("c-scheduler-1", **waiting("ErrImagePull"))
    looping = pod("c-default-worker-1", "worker", **waiting("CrashLoopBackOff", restartCount=4))
    assert cause_of(pods=[pulling, looping]).cause is Cause.CRASH_LOOP
    also = pod("c-default-worker-1", "worker", **waiting("ImagePullBackOff"))
    assert "c-scheduler-1" in cause_of(pods=[also, pulling]).detail


@pytest.mark.parametrize(
    ("status", "message", "cause", "permanent"),
    [
        (404, "the server could not find the requested resource", Cause.CRDS, True),
        (403, 'daskclusters is forbidden: User "x" cannot create', Cause.RBAC, True),
        (401, "Unauthorized", Cause.RBAC, True),
        (403, QUOTA.format(asked="count/x=1", used="count/x=2", limit="count/x=2"), Cause.QUOTA, False),
        (422, "spec.worker.replicas: Invalid value", Cause.REFUSED, True),
        (500, "etcdserver: request timed out", Cause.REFUSED, False),
        (429, "storage is (re)initializing", Cause.REFUSED, False),
        (None, "connection refused", Cause.UNKNOWN, False),
    ],
)
def test_a_refusal_of_the_cluster_itself_is_named(
    status: int | None, message: str, cause: Cause, permanent: bool
) -> None:
    diagnosis = refused(status, message)
    assert (diagnosis.cause, diagnosis.permanent) == (cause, permanent)


def test_when_nothing_is_wrong_what_has_not_come_yet_is_named() -> None:
    ready = pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    worker = pod("c-default-worker-1", "worker")
    observation = Observation(**ACTED, pods=[ready, worker])
    assert still_missing(observation, connected=True, trouble="").cause is Cause.NO_WORKER
    assert "c-default-worker-1 Pending" in still_missing(observation, connected=True, trouble="").detail
    unreachable = still_missing(observation, connected=False, trouble="timed out")
    assert unreachable.cause is Cause.UNREACHABLE
    assert "timed out" in unreachable.detail
    assert still_missing(Observation(**ACTED), connected=False, trouble="").cause is Cause.UNKNOWN
