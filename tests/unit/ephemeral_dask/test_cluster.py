"""RunCluster against a Kubernetes API of a few lines and a real Dask scheduler in this process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, Event, LocalCluster
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from distributed.security import Security

from ephemeral_dask import connection, kube
from ephemeral_dask.certificates import Certificates
from ephemeral_dask.cluster import RunCluster
from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.contract.profiles import LargeWorkers, Profile
from ephemeral_dask.diagnosis import ClusterStartError
from ephemeral_dask.groups import LARGE
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.kube import Kind, KubeError
from ephemeral_dask.pod_context import Owner, PodContext
from ephemeral_dask.raw_client import RawClient
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.startup import StartAbandonedError
from tests.support.fake_kubernetes import FakeKubernetes, complete, half, nothing
from tools.cluster.wait import until

CONTEXT = PodContext(namespace="flows", image="i", owner=Owner(name="job", uid="u-1"), passed_on={})
RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111")
LOG = logging.getLogger("test.cluster")


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0") as local:
        # It would keep telling the scheduler its own name, and every RunCluster would take that for its own.
        local.loop.add_callback(local._sync_cluster_info_task.cancel)
        yield local


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, dask: LocalCluster) -> None:
    dask.scheduler.task_metadata.pop("cluster-manager-info", None)
    monkeypatch.setattr("ephemeral_dask.contract.ports.SCHEDULER_COMM", int(dask.scheduler_address.rpartition(":")[2]))
    monkeypatch.setattr("ephemeral_dask.upstream.scheduler_host", lambda *_: "127.0.0.1")
    monkeypatch.setattr("ephemeral_dask.start_policy.CONFIRMED_AFTER", 0.2)
    monkeypatch.setattr("ephemeral_dask.start_policy.LOST_AFTER", 0.5)
    monkeypatch.setattr("ephemeral_dask.start_policy.NAMED_AFTER", 0.2)
    monkeypatch.setattr("ephemeral_dask.cluster.CLOSE_TIMEOUT", 1.0)


@pytest.fixture
def certificates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificates]:
    """Provide certificates, and a scheduler with a worker that have those of the pods."""
    made = Certificates.new()
    monkeypatch.setattr("ephemeral_dask.certificates.Certificates.new", lambda: made)
    security = Security(
        require_encryption=True,
        tls_ca_file=made.authority,
        **{f"tls_{role}_cert": made.pods.certificate for role in ("scheduler", "worker", "client")},
        **{f"tls_{role}_key": made.pods.key for role in ("scheduler", "worker", "client")},
    )
    with LocalCluster(
        n_workers=1, processes=False, protocol="tls://", security=security, dashboard_address=None
    ) as one:
        one.loop.add_callback(one._sync_cluster_info_task.cancel)
        monkeypatch.setattr(
            "ephemeral_dask.contract.ports.SCHEDULER_COMM", int(one.scheduler_address.rpartition(":")[2])
        )
        yield made


def start(
    monkeypatch: pytest.MonkeyPatch, kubernetes: FakeKubernetes, profile: Profile | None = None, **sizes: Any
) -> RunCluster:
    monkeypatch.setattr("ephemeral_dask.cluster.Kube", kubernetes)
    start_timeout = sizes.pop("start_timeout", 2)  # below what a person may set
    secure = sizes.pop("secure", False)
    settings = DaskSettings.from_env({}, CodeSizes(**sizes))
    settings = replace(settings, start_timeout=start_timeout, profile=profile or Profile())
    return RunCluster(run=RUN, context=replace(CONTEXT, tls=secure), settings=settings, log=LOG)


def failure(monkeypatch: pytest.MonkeyPatch, kubernetes: FakeKubernetes, **sizes: Any) -> ClusterStartError:
    with pytest.raises(ClusterStartError) as caught:
        start(monkeypatch, kubernetes, **sizes)
    return caught.value


def test_a_cluster_runs_tasks_when_the_constructor_returns_and_is_gone_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes) as cluster:
        assert kubernetes.clusters == [cluster.name]
        with Client(cluster, set_as_default=False) as client:
            assert client.submit(sum, [1, 2], pure=False).result(timeout=10) == 3
    assert kubernetes.clusters == []
    assert cluster.usage is not None
    assert cluster.usage.peak == 1


def test_a_cluster_with_certificates_puts_them_into_a_secret_of_its_own_and_takes_no_other_client(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes, secure=True, start_timeout=20) as cluster:
        [name] = kubernetes.created
        secret = kubernetes.objects[kube.SECRETS, f"{name}.job.dask-tls"]
        assert secret["metadata"]["ownerReferences"][0]["uid"] == f"uid-{name}"
        assert secret["stringData"]["tls.key"] == certificates.pods.key
        assert cluster.scheduler_address.startswith("tls://")
        with Client(cluster, set_as_default=False) as client:
            assert client.submit(sum, [1, 2], pure=False).result(timeout=10) == 3
        with RawClient(cluster.scheduler_address, security=cluster.security, set_as_default=False) as client:
            assert client.submit(sum, [1, 3], pure=False).result(timeout=10) == 4
        with pytest.raises((OSError, TypeError)):
            Client(cluster.scheduler_address, set_as_default=False, timeout=2)


def test_a_run_that_may_not_create_its_secret_fails_with_the_cause_without_a_key_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes = FakeKubernetes(complete)
    create, keys = kubernetes.create, list[str]()

    async def refuse_secrets(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        if kind == kube.SECRETS:
            keys.append(manifest["stringData"]["tls.key"].splitlines()[1])
            raise KubeError(403, "cannot create secrets")
        return await create(kind, manifest)

    monkeypatch.setattr(kubernetes, "create", refuse_secrets)
    caught = failure(monkeypatch, kubernetes, secure=True)
    assert caught.diagnosis.cause is Cause.RBAC
    assert kubernetes.clusters == []
    assert keys[0] not in f"{caught!r}{caplog.text}"


def test_a_secret_whose_answer_was_lost_does_not_end_the_start(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    assert certificates
    kubernetes = FakeKubernetes(complete)
    create = kubernetes.create

    async def secrets_arrive_unheard(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        stored = await create(kind, manifest)
        if kind == kube.SECRETS:
            raise KubeError(None, "read timeout")
        return stored

    kubernetes.create = secrets_arrive_unheard  # type: ignore[method-assign]  # only answers are lost
    start(monkeypatch, kubernetes, secure=True, start_timeout=20).close()


def test_each_cluster_has_certificates_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes, secrets = FakeKubernetes(nothing), dict[str, str]()
    create = kubernetes.create

    async def keep(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        if kind == kube.SECRETS:
            secrets[manifest["metadata"]["name"]] = manifest["stringData"]["ca.crt"]
        return await create(kind, manifest)

    kubernetes.create = keep  # type: ignore[method-assign]  # as above
    failure(monkeypatch, kubernetes, secure=True)  # after a second cluster, which does not come up either
    assert len(set(secrets.values())) == len(secrets) == 2


@pytest.mark.parametrize(("maximum", "asked"), [(2, [2]), (1, [])])
def test_a_backlog_asks_for_the_maximum_at_once_and_a_fixed_size_is_never_changed(
    monkeypatch: pytest.MonkeyPatch, maximum: int, asked: list[int]
) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.05)
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes, maximum=maximum) as cluster, Client(cluster, set_as_default=False) as client:
        hold_up(client, lambda: len(kubernetes.patched) >= len(asked))
    group = f"{cluster.name}-default"
    assert kubernetes.patched == [(kube.DASK_WORKER_GROUPS, group, replicas(count)) for count in asked]


def test_a_run_that_may_not_scale_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.05)
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes, maximum=3) as cluster, Client(cluster, set_as_default=False) as client:
        kubernetes.refusals = [KubeError(403, "cannot patch groups")] * 100
        hold_up(client, lambda: len(kubernetes.refusals) < 98)
    said = [one.message for one in caplog.records if "stays as it is" in one.message]
    sentence = "The number of workers of Dask cluster {} stays as it is for now (workers: 1): cannot patch groups"
    assert said == [sentence.format(cluster.name)]


SPLIT = Profile(large=LargeWorkers(maximum=2, cpu="4", memory="16Gi"))


def test_large_tasks_scale_a_group_of_their_own_that_is_made_empty_and_belongs_to_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.05)
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes, profile=SPLIT, maximum=1) as cluster:
        made = kubernetes.objects[kube.DASK_WORKER_GROUPS, f"{cluster.name}-large"]
        assert made["metadata"]["ownerReferences"][0]["uid"] == f"uid-{cluster.name}"
        with Client(cluster, set_as_default=False) as client:
            future = client.submit(sum, [1, 2], resources={LARGE: 1}, pure=False)
            assert until(lambda: bool(kubernetes.patched), seconds=10)
            client.cancel([future])
        assert kubernetes.patched[0] == (kube.DASK_WORKER_GROUPS, f"{cluster.name}-large", replicas(1))


def test_a_run_that_may_not_make_the_second_group_fails_with_the_cause_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes = FakeKubernetes(complete)
    create = kubernetes.create

    async def refuse_groups(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        if kind == kube.DASK_WORKER_GROUPS:
            raise KubeError(403, "cannot create daskworkergroups")
        return await create(kind, manifest)

    monkeypatch.setattr(kubernetes, "create", refuse_groups)
    caught = failure(monkeypatch, kubernetes, profile=SPLIT)
    assert caught.diagnosis.cause is Cause.RBAC
    assert kubernetes.clusters == []


def test_workers_that_do_not_come_are_explained_once_for_each_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ephemeral_dask.autoscaler.INTERVAL", 0.05)
    monkeypatch.setattr("ephemeral_dask.autoscaler.EXPLAINED_AFTER", 0.2)
    kubernetes = FakeKubernetes(complete)

    def said() -> list[str]:
        return [one.message for one in caplog.records if "waits for" in one.message]

    with start(monkeypatch, kubernetes, maximum=2) as cluster, Client(cluster, set_as_default=False) as client:
        kubernetes.pods = [unschedulable("0/3 nodes are available: 3 Insufficient memory.")]
        hold_up(client, lambda: bool(said()))
    why = "no node can take the pod: pod etl-worker: 0/3 nodes are available: 3 Insufficient memory."
    assert said() == [f"Dask cluster {cluster.name} waits for workers (1 to come): {why}"]


def unschedulable(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"metadata": {"name": "etl-worker"}, "status": {"phase": "Pending", "conditions": [condition]}}


def hold_up(client: Client, enough: Callable[[], bool]) -> None:
    """Give the cluster more work than one worker can do, until enough has come of it."""
    go = Event("go", client=client)
    backlog = client.map(lambda _: Event("go").wait(), range(40), pure=False)
    try:
        assert until(enough, seconds=10)
    finally:
        go.set()
    client.gather(backlog)
    go.clear()


def replicas(count: int) -> dict[str, Any]:
    return {"spec": {"worker": {"replicas": count}}}


def test_the_forgotten_phase_of_968_does_not_stop_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete)  # nothing here ever says `Running`
    start(monkeypatch, kubernetes).close()
    assert len(kubernetes.created) == 1


def test_a_cluster_whose_worker_group_never_comes_is_recreated_under_another_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes = FakeKubernetes(lambda name: half(name) if len(kubernetes.created) == 1 else complete(name))
    with start(monkeypatch, kubernetes, start_timeout=10) as cluster:
        first, second = kubernetes.created
        assert first != second == cluster.name
        assert kubernetes.clusters == [second]
    assert "is being recreated under a new name" in caplog.text


def test_an_operator_that_never_reacts_is_named_after_two_attempts_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes = FakeKubernetes(nothing)
    assert failure(monkeypatch, kubernetes).diagnosis.cause is Cause.OPERATOR
    assert len(kubernetes.created) == 2
    assert kubernetes.clusters == []


def test_a_start_ends_at_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    failure(monkeypatch, FakeKubernetes(nothing), start_timeout=1)
    assert time.monotonic() - began < 5


def test_a_crash_loop_ends_the_start_at_once_with_the_last_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete)
    monkeypatch.setattr("ephemeral_dask.contract.ports.SCHEDULER_COMM", 1)  # no process listens there
    status = {"name": "scheduler", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}
    kubernetes.pods = [{"metadata": {"name": "c-scheduler-1"}, "status": {"containerStatuses": [status]}}]
    error = failure(monkeypatch, kubernetes, start_timeout=60)
    assert error.diagnosis.cause is Cause.CRASH_LOOP
    assert "last words of c-scheduler-1/scheduler" in str(error)
    assert kubernetes.clusters == []


def test_a_cluster_that_runs_another_image_than_its_flow_pod_is_refused_before_the_first_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes = FakeKubernetes(complete)

    async def pods(kind: Kind, *, labels: str = "", **_: str) -> list[dict[str, Any]]:
        own = labels.startswith("batch.kubernetes.io")
        statuses = [{"name": "c", "imageID": f"registry/flow@sha256:{'a' if own else 'b'}"}]
        status = {"phase": "Running", "containerStatuses": statuses}
        return [{"metadata": {"name": "flow" if own else "etl-worker"}, "status": status}] if kind == kube.PODS else []

    monkeypatch.setattr(kubernetes, "list", pods)
    error = failure(monkeypatch, kubernetes, start_timeout=60)
    assert error.diagnosis.cause is Cause.ENVIRONMENT
    assert "pod etl-worker runs image sha256:b" in str(error)
    assert kubernetes.clusters == []


@pytest.mark.parametrize("ends_during", ["ncores", "versions", "live_comm"])
def test_a_start_whose_scheduler_ends_after_its_first_answer_goes_on_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch, ends_during: str
) -> None:
    connect, connections = connection.connect, list[Any]()

    async def ends_once(*words: Any) -> tuple[Any, str]:
        comm, trouble = await connect(*words)
        connections.append(comm)
        if len(connections) > 1:
            return comm, trouble
        return Ending(comm, ends_during), trouble

    monkeypatch.setattr(connection, "connect", ends_once)
    with start(monkeypatch, FakeKubernetes(complete), start_timeout=20) as cluster:
        assert len(connections) == (1 if ends_during == "versions" else 2)
        with Client(cluster, set_as_default=False) as client:
            assert client.submit(sum, [1, 2], pure=False).result(timeout=10) == 3


class Ending:
    """A connection to a scheduler that ends at the first request of a kind."""

    def __init__(self, comm: Any, ends_during: str) -> None:
        self._comm, self._ends_during = comm, ends_during

    def __getattr__(self, name: str) -> Any:
        async def ended(*_: Any, **__: Any) -> Any:
            raise CommClosedError("the scheduler has ended")

        return ended if name == self._ends_during else getattr(self._comm, name)


def test_a_refused_right_ends_the_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete, refusals=[KubeError(403, "cannot create resource daskclusters")])
    error = failure(monkeypatch, kubernetes, start_timeout=60)
    assert error.diagnosis.cause is Cause.RBAC
    assert "cannot create resource daskclusters" in str(error)


def test_an_api_that_fails_for_a_moment_does_not_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete, refusals=[KubeError(None, "connection reset"), KubeError(503, "busy")])
    start(monkeypatch, kubernetes, start_timeout=10).close()


def test_a_request_whose_answer_was_lost_does_not_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete)
    create = kubernetes.create

    async def arrives_unheard(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        await create(kind, manifest)
        kubernetes.create = create  # type: ignore[method-assign]  # only the first answer is lost
        raise KubeError(None, "read timeout")

    kubernetes.create = arrives_unheard  # type: ignore[method-assign]  # as above
    start(monkeypatch, kubernetes, start_timeout=10).close()
    assert len(kubernetes.created) == 1


def test_definitions_that_drop_a_field_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete)
    create = kubernetes.create

    async def old(kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        stored = await create(kind, manifest)
        return stored | {"spec": {name: one for name, one in stored["spec"].items() if name != "idleTimeout"}}

    kubernetes.create = old  # type: ignore[method-assign]  # an API of another age
    error = failure(monkeypatch, kubernetes)
    assert error.diagnosis.cause is Cause.CRDS
    assert "spec.idleTimeout" in str(error)
    assert kubernetes.clusters == []


def test_a_caller_that_goes_away_during_the_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(half)

    class Terminated(BaseException):
        """What Prefect raises in the main thread on SIGTERM."""

    def leave(_cluster: RunCluster, func: Any, *args: Any, **kwargs: Any) -> None:
        _cluster.loop.add_callback(func, *args, **kwargs)
        assert kubernetes.looked.wait(10)
        raise Terminated

    monkeypatch.setattr(RunCluster, "sync", leave)
    with pytest.raises(Terminated):
        start(monkeypatch, kubernetes, start_timeout=60)
    assert len(kubernetes.created) == 1
    assert kubernetes.clusters == []


def test_a_close_that_the_operator_holds_up_ends_in_time_and_says_who_will_clean_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes = FakeKubernetes(complete, stuck=True)
    cluster = start(monkeypatch, kubernetes)
    began = time.monotonic()
    cluster.close(timeout=1)
    assert time.monotonic() - began < 5
    assert "could not be removed within 1 s" in caplog.text
    assert cluster.name in caplog.text


def test_a_flow_that_has_no_task_for_long_keeps_its_cluster_and_one_that_is_gone_does_not(
    monkeypatch: pytest.MonkeyPatch, dask: LocalCluster
) -> None:
    def idle_since() -> float:
        return asyncio.run_coroutine_threadsafe(as_the_operator_asks(), dask.loop.asyncio_loop).result() or 0

    async def as_the_operator_asks() -> float | None:
        dask.scheduler.check_idle()  # the first one after a change only notices the change
        since: float | None = dask.scheduler.check_idle()
        return since

    monkeypatch.setattr("ephemeral_dask.keepalive.LONGEST_SILENCE", 0.05)
    with start(monkeypatch, FakeKubernetes(complete)):
        first = idle_since()
        assert until(lambda: idle_since() > first, seconds=5, interval=0.05)
    last = idle_since()
    assert not until(lambda: idle_since() > last, seconds=0.5, interval=0.05)


def test_the_performance_report_is_written_only_when_the_settings_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for report in ("html", "none"):
        cluster = start(monkeypatch, FakeKubernetes(complete), report=report)
        cluster.close()
        assert cluster.usage is not None
        assert cluster.usage.report.lstrip().startswith("<!DOCTYPE html>") == (report == "html")


def test_a_second_close_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = start(monkeypatch, FakeKubernetes(complete))
    cluster.close()
    cluster.close()


def test_the_dashboard_is_linked_by_service_name_and_nothing_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dask_kubernetes.operator.networking.port_forward_service", None)
    with start(monkeypatch, FakeKubernetes(complete)) as cluster:
        assert cluster.dashboard_link == "http://127.0.0.1:8787/status"


def test_a_cluster_whose_scheduler_is_gone_says_why_and_is_deleted_without_asking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ephemeral_dask.scheduler_loss._NAMED_WITHIN", 0.0)
    kubernetes = FakeKubernetes(complete)
    labels = {"dask.org/component": "scheduler"}
    kubernetes.pods = [{"metadata": {"name": "etl-scheduler", "uid": "u-1", "labels": labels}, "status": {}}]
    asked: list[str] = []
    monkeypatch.setattr("ephemeral_dask.scheduler_plugin.call", lambda *_: asked.append("counters"))
    cluster = start(monkeypatch, kubernetes)
    assert until(lambda: bool(asked), seconds=10)  # the first heartbeat; the next one is a minute away
    asked.clear()
    kubernetes.pods = []
    kubernetes.events = [{"reason": "Preempted", "message": "by pod ml/train", "involvedObject": {}}]
    summaries: list[Any] = []
    monkeypatch.setattr("ephemeral_dask.artifacts.summary", lambda *_, losses, **__: summaries.append(losses))
    why = cluster.why_lost()
    assert why == f"{cluster.name}: the pod was preempted by one of higher priority: pod etl-scheduler: by pod ml/train"
    cluster.discard([why], last=False)
    assert kubernetes.clusters == []
    assert summaries == []
    assert asked == []


def test_the_last_cluster_of_a_run_shows_the_summary_with_those_that_were_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    summaries: list[Any] = []
    monkeypatch.setattr("ephemeral_dask.artifacts.summary", lambda *_, losses, **__: summaries.append(losses))
    start(monkeypatch, FakeKubernetes(complete)).discard(["evicted"], last=True)
    assert summaries == [["evicted"]]


def test_a_start_that_no_one_waits_for_any_more_ends_at_once_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes, abandoned = FakeKubernetes(half), threading.Event()
    abandoned.set()
    monkeypatch.setattr("ephemeral_dask.cluster.Kube", kubernetes)
    settings = DaskSettings.from_env({}, CodeSizes())
    with pytest.raises(StartAbandonedError):
        RunCluster(run=RUN, context=CONTEXT, settings=settings, log=LOG, abandoned=abandoned)
    assert kubernetes.clusters == []


def test_workers_that_died_are_explained_to_the_task_that_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes = FakeKubernetes(complete)
    with start(monkeypatch, kubernetes) as cluster:
        ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        status = {"containerStatuses": [{"name": "worker", "lastState": ended}]}
        status["podIP"] = "10.0.0.7"
        kubernetes.pods = [{"metadata": {"name": "etl-worker-1-x"}, "status": status}]
        worker = SimpleNamespace(
            name="etl-worker-1",
            address="tcp://10.0.0.7:8790",
            metrics={"memory": 500 * 2**20},
            memory_limit=416 * 2**20,
        )
        text = cluster.why_killed(KilledWorker("fill-1", worker, 3))  # type: ignore[arg-type]  # as far as it goes
    assert "the container ran out of memory" in text
    assert "500 MiB in its last report, limit 416 MiB" in text
    assert "last words of etl-worker-1-x/worker" in text
