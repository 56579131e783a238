"""What the run's log and a given-up task say about workers that are gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from distributed import Client, LocalCluster
from distributed.core import rpc

from ephemeral_dask import scheduler_plugin, worker_deaths
from ephemeral_dask.losses import Memory
from ephemeral_dask.worker_deaths import Death, WorkerDeaths
from tests.support.fake_kubernetes import FakeKubernetes, nothing

LOG = logging.getLogger("test.deaths")
DEATH = Death(name="etl-1", address="tcp://10.0.0.7:8790", memory=Memory(used=2**29, limit=2**29), tasks=("fill-1",))

DELETED = (
    "The last one: the object was deleted: the pod of worker etl-1 at tcp://10.0.0.7:8790 "
    "(512 MiB in its last report, limit 512 MiB)."
)


def pod(name: str, address: str, *containers: dict[str, Any], created: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-11-28T10:00:0{created}Z"},
        "status": {"podIP": address, "containerStatuses": list(containers)},
    }


def kubernetes(status: dict[str, Any], log: str) -> FakeKubernetes:
    fake = FakeKubernetes(nothing)
    fake.pods = [pod("etl-1-abc", "10.0.0.7", {"name": "worker", **status})]

    async def lines(pod: str, container: str, *, lines: int, previous: bool) -> str:
        return f"{log} [{pod}/{container}, {lines} lines, previous={previous}]"

    fake.log = lines  # type: ignore[method-assign]  # what this worker wrote
    return fake


def why(fake: FakeKubernetes, *deaths: Death) -> str:
    async def ask() -> str:
        watched = WorkerDeaths(fake, "etl", LOG)  # type: ignore[arg-type]  # a Kubernetes of a few lines
        for death in deaths[:-1]:
            watched._begin(death)
            await asyncio.sleep(0)
        return await watched.why("fill-1", deaths[-1])

    return asyncio.run(ask())


def test_a_container_that_the_kernel_killed_is_named_with_numbers_and_the_lines_before_its_end() -> None:
    ended = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    text = why(kubernetes(ended, "filling"), DEATH)
    assert "the container ran out of memory: pod etl-1-abc: container worker was killed by the kernel" in text
    assert "512 MiB in its last report, limit 512 MiB" in text
    assert "filling [etl-1-abc/worker, 20 lines, previous=True]" in text


def test_a_worker_that_its_nanny_restarted_is_named_by_the_nannys_own_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "test.deaths")
    text = why(kubernetes({}, "Worker tcp://10.0.0.7:8790 (pid=9) exceeded 95% memory budget. Restarting..."), DEATH)
    assert "exceeded 95 % of its memory and was restarted by its nanny" in text
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith("A Dask worker was lost with 1 unfinished task: the container ran out of memory")
    assert "previous=False" in warning


def test_a_pod_that_is_gone_without_a_trace_is_a_deleted_one() -> None:
    assert why(FakeKubernetes(nothing), DEATH) == DELETED


def test_the_pod_that_takes_the_place_of_a_deleted_one_is_not_the_lost_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "test.deaths")
    fake = kubernetes({}, "starting")
    fake.pods = [pod("etl-1-def", "10.0.0.8", {"name": "worker"}, created=1)]
    assert why(fake, Death(**{**vars(DEATH), "tasks": ("fill-1", "fill-2")})) == DELETED
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith("A Dask worker was lost with 2 unfinished tasks: the object was deleted: the pod of")
    assert "starting" not in warning


def test_the_lines_of_a_pod_that_goes_away_during_the_search_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_deaths, "_POLL", 0.0)
    fake = kubernetes({}, "filling")
    once = fake.log

    async def lines(*arguments: Any, **options: Any) -> str:
        fake.pods = []
        return await once(*arguments, **options)

    fake.log = lines  # type: ignore[method-assign]  # the pod is gone after its log was read
    text = why(fake, DEATH)
    assert text.startswith(DELETED)
    assert "filling [etl-1-abc/worker" in text


def test_a_worker_at_an_ipv6_address_is_found() -> None:
    fake = kubernetes({"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}, "filling")
    fake.pods = [pod("etl-1-abc", "fd00::7", *fake.pods[0]["status"]["containerStatuses"])]
    assert "pod etl-1-abc: container worker was killed" in why(
        fake, Death(**{**vars(DEATH), "address": "tcp://[fd00::7]:8790"})
    )


def test_a_run_that_loses_many_workers_logs_the_first_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_deaths, "_NAMED_WITHIN", 0.0)
    monkeypatch.setattr(worker_deaths, "_LOGGED", 2)
    many = [Death(name="w", address=f"tcp://10.0.0.7:{number}", memory=Memory()) for number in range(5)]
    why(FakeKubernetes(nothing), *many, DEATH)
    assert len([record for record in caplog.records if "was lost" in record.getMessage()]) <= 2


def test_the_scheduler_reports_a_lost_worker_with_its_tasks_and_no_retired_one() -> None:
    async def live() -> list[Death]:
        deaths: list[Death] = []
        local: Any = LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, asynchronous=True, dashboard_address=":0"
        )
        async with local, Client(local, asynchronous=True) as client, rpc(local.scheduler_address) as comm:
            await scheduler_plugin.install(comm)
            subscribed, reported = asyncio.Event(), asyncio.Event()

            def note(event: Any) -> None:
                if event[1] == "subscribed":
                    subscribed.set()
                else:
                    deaths.append(Death.of(event[1]))
                    reported.set()

            client.subscribe_topic(scheduler_plugin.DEATHS, note)
            while not subscribed.is_set():
                await client.log_event(scheduler_plugin.DEATHS, "subscribed")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(subscribed.wait(), 1)
            await client.retire_workers([local.workers[0].address], close_workers=True, remove=True)
            lost = local.workers[1]
            await lost.close()
            await asyncio.wait_for(reported.wait(), 60)
            events = [event for _, event in await client.get_events(scheduler_plugin.DEATHS)]
            assert [event["address"] for event in events if event != "subscribed"] == [lost.address]
        return deaths

    [death] = asyncio.run(live())
    assert death.memory.limit > 0
