from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ephemeral_dask import costs
from ephemeral_dask.bill import Bill
from ephemeral_dask.contract.prices import Prices, decode, encode
from ephemeral_dask.contract.profiles import LargeWorkers, Profile
from ephemeral_dask.costs import Costs, Requests, Share
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.usage import GroupUsage, Usage

PRICES = Prices(core_hour=1.0, gib_hour=0.1, gpu_hour=10.0, currency="EUR")
RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000")
CONTEXT = PodContext(namespace="flows", image="flow@sha256:1", passed_on={}, prices=PRICES)
LOG = logging.getLogger("test.costs")


def container(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": requests}}


def test_prices_travel_as_they_are() -> None:
    assert decode(encode(PRICES)) == PRICES


@pytest.mark.parametrize("text", ["[]", '{"core_hour": "x"}', "{", '{"unknown": 1}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json, of float and of ours
        decode(text)


def test_a_pod_requests_what_its_containers_and_sidecars_do_together() -> None:
    pod = {
        "containers": [container(cpu="500m", memory="1Gi"), container(cpu="1")],
        "initContainers": [{**container(memory="1Gi"), "restartPolicy": "Always"}, container(cpu="4")],
    }
    assert Requests.of(pod) == Requests(cores=4.0, gib=2.0)


def test_a_limit_is_a_request_where_there_is_no_other_and_gpus_are_known_by_their_name() -> None:
    limits = {"memory": "2Gi", "nvidia.com/gpu": "2", "example.com/fpga": 3, "ephemeral-storage": "1Gi"}
    pod = {"containers": [{"resources": {"requests": {"memory": "1Gi"}, "limits": limits}}, {}]}
    assert Requests.of(pod) == Requests(gib=1.0, gpus=2.0)


def test_an_hour_costs_the_sum_of_its_prices() -> None:
    assert Requests(cores=2, gib=5, gpus=1).cost(3600, PRICES) == pytest.approx(12.5)


def test_a_flow_pod_costs_since_a_node_has_it() -> None:
    now = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
    pod = {"spec": {"containers": [container(cpu="1")]}, "status": {"startTime": "2026-11-28T12:00:00Z"}}
    share = costs.of_flow_pod(pod, now)
    assert share == Share(name=costs.FLOW, requests=Requests(cores=1.0), seconds=1800.0)
    assert costs.of_flow_pod({"spec": {}, "status": {}}, now) is None
    assert costs.of_flow_pod(None, now) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (12.345, "12.35"), (0.5, "0.50"), (0.0123, "0.012"), (0.00000042, "0.00000042")]
)
def test_small_amounts_keep_two_digits(value: float, text: str) -> None:
    assert costs.money(value) == text


def test_a_cost_names_its_parts_and_that_one_is_not_known() -> None:
    whole = Costs(parts={costs.FLOW: 0.5, costs.WORKERS: 2.0}, currency="EUR")
    assert str(whole) == "2.50 EUR (flow pod 0.50, workers 2.00)"
    assert "without the flow pod" in str(replace(whole, parts={costs.WORKERS: 2.0}))


def settings(**sizes: Any) -> DaskSettings:
    return DaskSettings.from_env({}, CodeSizes(worker_cpu="2", worker_memory="4Gi", **sizes))


def usage(**groups: float) -> Usage:
    return Usage(seconds=3540.0, groups={name: GroupUsage(seconds=seconds) for name, seconds in groups.items()})


async def _no_pod() -> None:
    return None


async def _flow_pod() -> dict[str, Any]:
    started = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"spec": {"containers": [container(cpu="1", memory="10Gi")]}, "status": {"startTime": started}}


def test_a_run_pays_for_flow_pod_schedulers_and_workers_of_all_its_clusters() -> None:
    bill = Bill(run=RUN, context=CONTEXT, log=LOG)
    bill.add(usage(ordinary=3600.0), 60.0, settings())
    bill.add(usage(large=7200.0), 60.0, settings())  # the only workers take large tasks too
    total = asyncio.run(bill.costs(_flow_pod))
    assert total is not None
    assert total.parts[costs.FLOW] == pytest.approx(4.0, rel=0.01)
    assert total.parts[costs.WORKERS] == pytest.approx(3 * 2.4)
    assert total.parts[costs.SCHEDULER] == pytest.approx(2 * (0.1 + 0.025))


def test_large_workers_have_the_price_of_their_size() -> None:
    large = LargeWorkers(maximum=1, cpu="8", memory="20Gi")
    split = replace(settings(), profile=Profile(large=large), profile_name="split")
    bill = Bill(run=RUN, context=CONTEXT, log=LOG)
    bill.add(usage(ordinary=3600.0, large=3600.0), 0.0, split)
    total = asyncio.run(bill.costs(_no_pod))
    assert total is not None
    assert total.parts[costs.WORKERS] == pytest.approx(2.4 + 10.0)
    assert costs.FLOW not in total.parts


def test_without_prices_nothing_is_asked_of_kubernetes() -> None:
    def never() -> Any:
        raise AssertionError

    assert asyncio.run(Bill(run=RUN, context=replace(CONTEXT, prices=None), log=LOG).costs(never)) is None


def test_a_kubernetes_that_does_not_answer_costs_the_flow_pods_part_only(caplog: pytest.LogCaptureFixture) -> None:
    def refused() -> Any:
        raise OSError("connection refused")

    bill = Bill(run=RUN, context=CONTEXT, log=LOG)
    bill.add(usage(ordinary=3600.0), 0.0, settings())
    total = asyncio.run(bill.costs(refused))
    assert total is not None
    assert total.total > 2.4
    assert "connection refused" in caplog.text
