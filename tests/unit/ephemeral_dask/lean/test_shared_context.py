"""What is written out once, sent once, and read once: without Dask and without a server."""

from __future__ import annotations

import gc
import inspect
import pickle
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError
from prefect import context, flow, tags
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, SettingsContext, serialize_context
from prefect.results import ResultStore
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_TASK_DEFAULT_RETRIES,
    temporary_settings,
)
from prefect_dask import DaskTaskRunner
from prefect_dask import client as client_of_prefect_dask

from ephemeral_dask.lean import shared_context, worker
from ephemeral_dask.lean.shared_context import Reference, SharedContext, TaskContext, publish, task_context


class Scheduler:
    """Stands for a client: it only takes what the scheduler would keep."""

    def __init__(self) -> None:
        self.metadata: dict[tuple[str, ...], bytes] = {}

    def set_metadata(self, key: list[str], value: bytes) -> None:
        assert tuple(key) not in self.metadata
        self.metadata[tuple(key)] = value


@flow(task_runner=DaskTaskRunner(address="tcp://127.0.0.1:1"))
def example(numbers: list[int]) -> None: ...


@pytest.fixture
def run() -> Iterator[FlowRunContext]:
    """The context of a flow run, with settings that need no server."""
    settings = {
        PREFECT_API_URL: "http://prefect.invalid/api",
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
    }
    with (
        temporary_settings(settings),
        FlowRunContext(
            flow=example,
            flow_run=FlowRun(id=uuid4(), flow_id=uuid4(), name="a-run"),
            client=SyncPrefectClient("http://prefect.invalid/api"),
            task_runner=example.task_runner,
            parameters={"numbers": [1]},
            result_store=ResultStore(),
            persist_result=False,
        ) as entered,
    ):
        yield entered


@pytest.fixture
def scheduler() -> Any:
    return Scheduler()


@pytest.fixture
def known(scheduler: Any, run: FlowRunContext, monkeypatch: pytest.MonkeyPatch) -> worker.KnownContext:  # noqa: ARG001
    """The shared context of the run, as a worker has read it."""
    monkeypatch.setattr(worker, "_contexts", type(worker._contexts)())
    shared = task_context(scheduler, {}).shared
    assert isinstance(shared, SharedContext)
    monkeypatch.setattr(worker, "_fetched", lambda digest: scheduler.metadata[shared_context.METADATA, digest])
    return worker._known(shared.reference.digest)


def test_prefect_dask_still_writes_the_whole_context_for_each_task() -> None:
    assert "context = serialize_context(" in source_of(client_of_prefect_dask.PrefectDaskClient.submit)
    assert "SettingsContext(**settings_context)" in source_of(context.hydrated_context)


def source_of(function: Any) -> str:
    return inspect.getsource(inspect.unwrap(function))


def test_all_parts_of_prefects_context_are_known() -> None:
    assert serialize_context().keys() == shared_context.SHARED | shared_context.OWN


@pytest.mark.usefixtures("run")
def test_a_new_part_of_prefects_context_is_refused(monkeypatch: pytest.MonkeyPatch, scheduler: Any) -> None:
    write = serialize_context
    monkeypatch.setattr(context, "serialize_context", lambda: {**write(), "weather_context": {}})
    with pytest.raises(shared_context.UnknownContextError, match="weather_context"):
        task_context(scheduler, {})


@pytest.mark.usefixtures("run")
def test_a_run_is_written_and_sent_once_and_each_task_carries_a_reference(
    monkeypatch: pytest.MonkeyPatch, scheduler: Any
) -> None:
    written: list[None] = []
    write = serialize_context
    monkeypatch.setattr(context, "serialize_context", lambda: written.append(None) or write())
    contexts = [task_context(scheduler, {"task_run_id": number}) for number in range(5)]
    assert (len(written), len(scheduler.metadata)) == (1, 1)
    travelled = pickle.loads(pickle.dumps(contexts[4]))
    assert travelled == TaskContext(contexts[0].shared.reference, {**contexts[4].own})  # type: ignore[union-attr]
    assert len(pickle.dumps(contexts[4])) < 500


@pytest.mark.usefixtures("run")
def test_another_cluster_gets_the_context_of_a_task_that_is_submitted_again(scheduler: Any) -> None:
    submitted = task_context(scheduler, {})
    other: Any = Scheduler()
    for _ in range(2):
        publish(other, submitted)
    assert other.metadata == scheduler.metadata
    publish(other, {"settings_context": {}})
    assert other.metadata == scheduler.metadata


@pytest.mark.usefixtures("run")
def test_a_scheduler_that_is_gone_is_reported_as_dask_does_for_a_task() -> None:
    class Lost(Scheduler):
        def set_metadata(self, key: list[str], value: bytes) -> None:  # noqa: ARG002 - that of a client
            raise CommClosedError("gone")

    lost: Any = Lost()
    for _ in range(2):
        with pytest.raises(ClosedClientError):
            task_context(lost, {})


def test_other_settings_tags_and_parameters_are_other_contexts(scheduler: Any, run: FlowRunContext) -> None:
    plain = task_context(scheduler, {})
    with tags("a"):
        tagged = task_context(scheduler, {})
    assert tagged.shared is plain.shared
    assert (plain.own["tags_context"], tagged.own["tags_context"]) == ({}, {"current_tags": {"a"}})
    with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: 3}):
        assert task_context(scheduler, {}).shared != plain.shared
    assert task_context(scheduler, {}).shared is plain.shared
    run.parameters = {"numbers": [2]}
    assert task_context(scheduler, {}).shared != plain.shared
    run.flow_run.tags = ["later"]  # type: ignore[union-attr]
    assert len({task_context(scheduler, {}).shared for _ in range(2)} | {plain.shared}) == 2
    assert len(scheduler.metadata) == 4


@pytest.mark.usefixtures("run")
def test_the_same_settings_entered_again_are_not_sent_again(scheduler: Any) -> None:
    for _ in range(2 * shared_context._KEPT):
        with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: 3}):
            task_context(scheduler, {})
    assert len(scheduler.metadata) == 1


def test_a_client_that_is_gone_is_forgotten(scheduler: Any, run: FlowRunContext) -> None:  # noqa: ARG001
    before = len(shared_context._sent)
    client: Any = Scheduler()
    task_context(client, {})
    assert len(shared_context._sent) == before + 1
    del client
    gc.collect()
    assert len(shared_context._sent) == before


def test_a_task_gets_the_settings_and_the_flow_run_of_its_run(known: worker.KnownContext, run: FlowRunContext) -> None:
    with known.entered():
        entered = FlowRunContext.get()
        settings = SettingsContext.get()
        assert entered is not None
        assert entered is not run
        assert settings is not None
        assert settings.settings.api.url == "http://prefect.invalid/api"
        assert entered.flow_run.id == run.flow_run.id  # type: ignore[union-attr]
        assert entered.flow.name == "example"  # type: ignore[union-attr]
        assert (entered.detached, entered.persist_result, entered.parameters) == (True, False, {"numbers": [1]})
    assert FlowRunContext.get() is run


@pytest.mark.usefixtures("run")
def test_nothing_that_a_task_changes_reaches_the_next_one(known: worker.KnownContext) -> None:
    with known.entered():
        first = FlowRunContext.get()
        assert first is not None
        first.parameters["numbers"].append(2)  # type: ignore[index]
        first.flow_run.name = "other"  # type: ignore[union-attr]
        first.task_run_dynamic_keys["key"] = 1
        first.run_results[1] = ()  # type: ignore[assignment]
        first.result_store.cache["key"] = ()  # type: ignore[assignment]
    with known.entered():
        second = FlowRunContext.get()
        assert second is not None
        assert second.parameters == {"numbers": [1]}
        assert second.flow_run.name == "a-run"  # type: ignore[union-attr]
        assert (second.task_run_dynamic_keys, second.run_results, len(second.result_store.cache)) == ({}, {}, 0)
        assert second.task_runner is not first.task_runner
        assert second.client is not first.client


@pytest.mark.usefixtures("run")
def test_a_task_that_submits_tasks_hands_on_what_its_worker_knows(
    known: worker.KnownContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Any = Scheduler()
    with known.entered():
        monkeypatch.setattr(context, "serialize_context", None)
        assert task_context(other, {}).shared == known.reference
    assert other.metadata == {}


@pytest.mark.usefixtures("run")
def test_a_worker_reads_its_settings_again_when_they_would_be_other_ones(
    known: worker.KnownContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = known.reference.digest
    assert worker._known(digest) is known
    monkeypatch.setenv("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", "elsewhere")
    assert worker._known(digest) is not known


def test_a_context_that_the_scheduler_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        loop = scheduler = type("Rpc", (), {"get_metadata": None})

    monkeypatch.setattr(worker, "get_worker", Worker)
    monkeypatch.setattr(worker, "sync", lambda *_, **__: None)
    with pytest.raises(LookupError, match="does not have the context of this flow run"):
        worker._known("unknown")


def test_the_call_bears_the_name_of_the_task() -> None:
    assert pickle.loads(pickle.dumps(worker.TaskCall(named))).__name__ == "named"  # type: ignore[arg-type]


def named() -> None: ...


def test_a_reference_is_its_digest() -> None:
    assert pickle.loads(pickle.dumps(SharedContext(Reference("d"), b"long"))) == Reference("d")
