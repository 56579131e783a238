"""What runs that start at the same time ask of Kubernetes, and what that costs the platform.

Run it with `make bench-starts` on a stack of the local cluster that is up; `RUNS="1 3"` sets how many runs start
together. Each is a run of the verification flow: a Job, a Dask cluster with one worker, one task. Requests are counted
in the API server's audit log, from the creation of the runs until the last of them has ended; processor time is the
kubelet's. No peer is measured. Runs that start together are compared with a run that starts alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from benchmarks import flow_pod, requests
from tests.support import audit
from tools.churn.pods import COMPONENTS
from tools.cluster import Layout
from tools.cluster.wait import until
from tools.errors import Problem
from tools.kubernetes import Kubernetes, node_statistics
from tools.verify import registered

_TIMEOUT: Final = 900.0


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What some runs that started together cost, per run.

    Attributes:
        seconds: from the creation of the runs to the end of each.
        requests: account -> requests to Kubernetes.
        events: lists of events by the runs.
        processor: component -> seconds of processor time.

    """

    seconds: Sequence[float]
    requests: Mapping[str, float]
    events: float
    processor: Mapping[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and return 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 3], help="how many start together, ascending")
    parser.add_argument("--pool", default="dask", help="work pool")
    options = parser.parse_args(arguments)
    platform = flow_pod.platform_output()
    results = {}
    try:
        with get_client(sync_client=True) as client:
            namespaces = platform["namespace"], platform["runsNamespace"]
            bench = Bench(client, Kubernetes({}), *namespaces, options.pool)
            bench.measure(1)  # a first run finds colder caches
            for count in sorted(options.runs):
                results[count] = bench.measure(count)
                print(f"{count} at once: {results[count]}", file=sys.stderr, flush=True)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(_table(results))
    misses = requests.misses({count: each.requests.get("flow-run", 0) for count, each in results.items()}, "run")
    for miss in misses:
        print(f"missed: {miss}")
    return 1 if misses else 0


class Bench:
    """A stack.

    Args:
        client: of its Prefect API.
        cluster: Kubernetes.
        platform: namespace of the platform.
        namespace: that of runs.
        pool: work pool in which the runs are.

    """

    def __init__(
        self, client: SyncPrefectClient, cluster: Kubernetes, platform: str, namespace: str, pool: str
    ) -> None:
        self._client, self._cluster = client, cluster
        self._platform, self._namespace, self._pool = platform, namespace, pool
        self._log = Layout().audit_log

    def measure(self, count: int) -> Measures:
        """Start some runs together and wait for their end.

        Raises:
            Problem: the audit log is missing, or a run did not complete.

        """
        if not self._log.exists():
            raise Problem("this machine has no audit log of a local cluster", remedy="Use a stack of CLUSTER=local")
        since, before, began = datetime.now(UTC).isoformat(), self._processor(), time.time()
        runs = [registered.register(self._client, pool=self._pool, stack="bench-starts") for _ in range(count)]
        ids = [each.run.id for each in runs]
        finished = until(
            lambda: all(run.state and run.state.is_final() for run in self._read(ids)), seconds=_TIMEOUT, interval=1
        )
        ended = self._read(ids)
        if not finished or any(run.state_name != "Completed" for run in ended):
            raise Problem(f"of {count} runs, some did not complete", remedy="make logs RUN=<name> shows why")
        after = self._processor()
        for each in runs:
            registered.delete(self._client, each)
        accounts, events = Counter[str](), 0
        for request in audit.requests(self._log, since=since):
            if request.user.startswith((audit.account(self._platform, ""), audit.account(self._namespace, ""))):
                account = request.user.rpartition(":")[2]
                accounts[account] += 1
                events += (account, request.verb, request.resource) == ("flow-run", "list", "events")
        return Measures(
            seconds=[run.end_time.timestamp() - began for run in ended if run.end_time],
            requests={account: number / count for account, number in accounts.items()},
            events=events / count,
            processor={
                name: (after[name] - before[name]) / count for name in COMPONENTS if name in after and name in before
            },
        )

    def _read(self, ids: Sequence[Any]) -> Sequence[Any]:
        return self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))))

    def _processor(self) -> dict[str, float]:
        """Return component -> seconds of processor time since its container began."""
        used: dict[str, float] = {}
        for summary in node_statistics(self._cluster):
            for pod in summary.get("pods") or ():
                name = next((each for each in COMPONENTS if pod["podRef"]["name"].startswith(each)), None)
                if name and pod["podRef"]["namespace"] == self._platform:
                    used[name] = sum(each["cpu"].get("usageCoreNanoSeconds", 0) for each in pod["containers"]) / 1e9
        return used


def _table(results: Mapping[int, Measures]) -> str:
    accounts = sorted({account for each in results.values() for account in each.requests})
    rows: dict[str, list[str]] = {
        "creation to end, median": [f"{statistics.median(each.seconds):.0f} s" for each in results.values()],
        "creation to end, longest": [f"{max(each.seconds):.0f} s" for each in results.values()],
        **{
            f"requests per run, {account}": [f"{each.requests.get(account, 0):.0f}" for each in results.values()]
            for account in accounts
        },
        "lists of events per run": [f"{each.events:.1f}" for each in results.values()],
        **{
            f"processor per run, {name}": [f"{each.processor.get(name, 0):.1f} s" for each in results.values()]
            for name in COMPONENTS
        },
    }
    return requests.table("runs at once", list(results), rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
