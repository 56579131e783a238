"""What 1 and 50 Dask clusters ask of Kubernetes when they start at the same moment.

Run it with `make bench-many-starts`; `CLUSTERS="1 50"` sets how many start together. The API server, its
controllers and the Dask operator are real, and so is the code with which a run starts its cluster. A stand-in for a
node says of each pod that it runs, and a stand-in for a scheduler knows a worker as soon as its pod runs. No peer is
measured: starts that begin together are compared with one alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock
from uuid import uuid4

import httpx
import psutil
import pytest
from distributed.versions import get_versions

from benchmarks import requests
from benchmarks.dask_processes import processor
from ephemeral_dask import connection
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.kube import Kind, Kube
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.startup import Startup
from infra.components.namespace import flow_run_rules
from tests.engine import operator_process, pods_namespace, service_account
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import NAMESPACE, PLATFORM
from tools.cluster.api import Api

_IMAGE: Final = f"registry.example.com/flow@sha256:{'a' * 64}"
_GONE_WITHIN: Final = 300.0
_LOOK: Final = 0.5
"""Seconds between two looks of the stand-in for a scheduler at the pods."""
_ACCOUNT: Final = "bench-flow-run"


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What clusters cost that started together.

    Attributes:
        seconds: of each start.
        recreated: clusters that were created a second time.
        requests: number of requests of each start.
        received: bytes of the answers, per start.
        events: lists of events, per start.
        processor: program -> seconds of processor time, per start.

    """

    seconds: Sequence[float]
    recreated: int
    requests: Sequence[int]
    received: float
    events: float
    processor: Mapping[str, float]


class CountingKube(Kube):
    """A run's access to Kubernetes, which counts."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.requests, self.received = Counter[str](), 0

    @asynccontextmanager
    async def _answer(self, method: str, kind: Kind, path: str, **kwargs: Any) -> AsyncIterator[httpx.Response]:
        self.requests[kind.plural] += 1
        async with super()._answer(method, kind, path, **kwargs) as answer:
            try:
                yield answer
            finally:
                self.received += answer.num_bytes_downloaded


class Workers:
    """Knows which Dask clusters have a worker whose pod runs."""

    def __init__(self, api: Api) -> None:
        self._api, self._ended = api, threading.Event()
        self._clusters: frozenset[str] = frozenset()

    def of(self, cluster: str) -> bool:
        """Return whether a cluster has a worker."""
        return cluster in self._clusters

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the pods until the end of the context."""
        thread = threading.Thread(target=self._watch, name="stand-in-schedulers")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            listing = self._api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=dask.org/component=worker")
            if listing is not None:
                running = [pod for pod in listing["items"] if pod["status"]["phase"] == "Running"]
                self._clusters = frozenset(pod["metadata"]["labels"]["dask.org/cluster-name"] for pod in running)


class Scheduler:
    """A stand-in for a connection to the scheduler of a Dask cluster."""

    def __init__(self, cluster: str, workers: Workers) -> None:
        self._cluster, self._workers = cluster, workers

    async def ncores(self) -> Mapping[str, int]:
        return {"tcp://192.0.2.1:1": 1} if self._workers.of(self._cluster) else {}

    async def versions(self, packages: Sequence[str]) -> Any:
        return get_versions(packages)

    async def broadcast(self, **_: Any) -> Mapping[str, Any]:
        return {}

    async def close_rpc(self) -> None: ...


class Bench:
    """A control plane with an operator.

    Args:
        kubernetes: the control plane.
        operator: process of the operator.
        workers: which clusters have workers.

    """

    def __init__(self, kubernetes: Kubernetes, operator: int, workers: Workers) -> None:
        self._workers = workers
        servers = [each for each in psutil.process_iter(["cmdline"]) if _is_api_server(each, kubernetes)]
        self._programs = {"API server": servers[0], "operator": psutil.Process(operator)}

    async def measure(self, count: int) -> Measures:
        """Start clusters together, wait until all are up, and remove them."""

        async def connect(cluster: str, *_: Any) -> tuple[Any, str]:
            return Scheduler(cluster, self._workers), ""

        starts = [_startup() for _ in range(count)]
        names = [startup.name for startup, _ in starts]
        before = {name: processor(each) for name, each in self._programs.items()}
        with mock.patch.object(connection, "connect", connect):
            seconds = await asyncio.gather(*(_timed(startup) for startup, _ in starts))
        after = {name: processor(each) for name, each in self._programs.items()}
        apis = [api for _, api in starts]
        measures = Measures(
            seconds=seconds,
            recreated=sum(startup.name != name for (startup, _), name in zip(starts, names, strict=True)),
            requests=[api.requests.total() for api in apis],
            received=sum(api.received for api in apis) / count,
            events=sum(api.requests["events"] for api in apis) / count,
            processor={name: (after[name] - before[name]) / count for name in after},
        )
        await asyncio.gather(*(startup.remove(_GONE_WITHIN) for startup, _ in starts))
        return measures


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 50], help="how many start together")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, _bench(Path(scratch)) as bench:
        results = asyncio.run(_measure(bench, sorted(options.clusters)))
    print(_table(results))
    misses = requests.misses({count: statistics.mean(each.requests) for count, each in results.items()}, "start")
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


async def _measure(bench: Bench, counts: Sequence[int]) -> dict[int, Measures]:
    await bench.measure(1)  # a first one finds colder caches
    results = {}
    for count in counts:
        results[count] = await bench.measure(count)
        print(f"{count} at once: {results[count]}", file=sys.stderr, flush=True)
    return results


@contextmanager
def _bench(scratch: Path) -> Iterator[Bench]:
    for name in ("kubernetes", "operator"):
        (scratch / name).mkdir()
    with pods_namespace.running(scratch / "kubernetes") as kubernetes, pytest.MonkeyPatch.context() as patch:
        pods_namespace.serve_dask(kubernetes)
        rules = flow_run_rules(tls=False)
        service_account.create(kubernetes, _ACCOUNT, namespace=NAMESPACE, rules=rules, rules_in=NAMESPACE)
        access = service_account.kubeconfig(kubernetes, _ACCOUNT, namespace=NAMESPACE, folder=scratch)
        workers = Workers(Api(kubernetes.place.pki, kubernetes.place.ports.api))
        with (
            operator_process.running(kubernetes, scratch / "operator", platform=PLATFORM, runs=NAMESPACE) as operator,
            workers.watched(),
        ):
            patch.setenv("KUBECONFIG", str(access))
            yield Bench(kubernetes, operator.pid, workers)


def _is_api_server(process: psutil.Process, kubernetes: Kubernetes) -> bool:
    words = process.info["cmdline"] or [""]
    return "kube-apiserver" in words[0] and any(str(kubernetes.place.root) in word for word in words)


def _startup() -> tuple[Startup, CountingKube]:
    api = CountingKube(NAMESPACE)
    startup = Startup(
        api,
        run=RunIdentity(flow="bench", flow_run_id=str(uuid4()), flow_run_name="bench"),
        context=PodContext(namespace=NAMESPACE, image=_IMAGE, passed_on={}),
        settings=DaskSettings.from_env({}, CodeSizes()),
        log=logging.getLogger(__name__),
        abandoned=threading.Event(),
    )
    return startup, api


async def _timed(startup: Startup) -> float:
    began = time.monotonic()
    await startup.bring_up(_joined)
    return time.monotonic() - began


async def _joined(_connection: Any) -> None:
    """Take a connection that is not used."""


def _table(results: Mapping[int, Measures]) -> str:
    programs = sorted({program for each in results.values() for program in each.processor})
    rows: dict[str, list[str]] = {
        "start, median": [f"{statistics.median(each.seconds):.1f} s" for each in results.values()],
        "start, longest": [f"{max(each.seconds):.1f} s" for each in results.values()],
        "requests per start": [f"{statistics.mean(each.requests):.0f}" for each in results.values()],
        "requests, most of one start": [str(max(each.requests)) for each in results.values()],
        "received per start": [f"{each.received / 1000:.0f} kB" for each in results.values()],
        "lists of events per start": [f"{each.events:.1f}" for each in results.values()],
        "created a second time": [str(each.recreated) for each in results.values()],
        **{
            f"processor per start, {program}": [f"{each.processor[program]:.2f} s" for each in results.values()]
            for program in programs
        },
    }
    return requests.table("clusters at once", list(results), rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
