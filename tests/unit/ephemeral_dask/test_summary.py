"""The text of a run's summary, and the table of a deployment's last runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ephemeral_dask import trend
from ephemeral_dask.contract.profiles import LargeWorkers, Profile
from ephemeral_dask.costs import Costs
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.summary import Summary
from ephemeral_dask.usage import GroupUsage, Usage

MIB, GIB = 2**20, 2**30
SETTINGS = DaskSettings.from_env({}, CodeSizes(minimum=1, maximum=6, worker_cpu=2, worker_memory="4Gi"))
GROUP = GroupUsage(
    seconds=1000.0,
    idle_seconds=250.0,
    cpu_seconds=500.0,
    cpu_peak=1.5,
    cpu_usual=0.9,
    busy_reports=100,
    memory_peak=int(1.3 * GIB),
    memory_limit=4 * GIB - 96 * MIB,
)
USAGE = Usage(seconds=100.0, peak=5, worker_seconds=1000.0, tasks=60, waited=8.0, groups={"large": GROUP})
RUN = RunIdentity(flow="My ETL", flow_run_id="0198f0c4-1111", flow_run_name="daring-mole")


def summary(**changes: Any) -> Summary:
    return replace(Summary(settings=SETTINGS, started=4.0, usage=USAGE), **changes)


def test_asked_stands_beside_used() -> None:
    text = summary().markdown
    for row in (
        "| worker memory | 4Gi | 1.3 GiB by the largest |",
        "| worker CPU | 2 | 0.50 cores on average, 0.90 usually when busy, 1.50 at most |",
        "| worker time | 1000 s | 250 s without a task (25 %) |",
        "| results on disk | none | none |",
        "| pods | at once | 12 s waited for them |",
        "- `dask_worker_memory: 2Gi` would have been enough: the largest worker used 1.3 GiB of 4Gi",
        "- `dask_worker_cpu: 1100m` would have been enough",
    ):
        assert row in text


def test_what_fits_is_said_to_fit() -> None:
    fitting = replace(GROUP, memory_peak=int(2.5 * GIB), cpu_usual=1.7)
    assert (
        "- What was asked for fits what was used." in summary(usage=replace(USAGE, groups={"large": fitting})).markdown
    )


def test_large_workers_have_rows_of_their_own_once_there_was_one() -> None:
    profile = Profile(large=LargeWorkers(maximum=2, cpu="8", memory="64Gi"))
    split = replace(SETTINGS, profile=profile, profile_name="split")
    both = replace(USAGE, groups={"ordinary": GROUP, "large": replace(GROUP, memory_limit=64 * GIB - 96 * MIB)})
    text = summary(settings=split, usage=both).markdown
    assert "| large worker memory | 64Gi | 1.3 GiB by the largest |" in text
    assert "`dask.profiles.split.largeWorkers.memory: 2Gi` would have been enough: the largest large worker" in text
    assert "large worker" not in summary(settings=split, usage=replace(both, groups={"ordinary": GROUP})).markdown


def test_a_laptop_says_what_it_does_not_have() -> None:
    text = summary(here=True).markdown
    assert "| worker | a process on this machine, 1 thread |" in text
    assert "| pods | at once | none on this machine |" in text
    assert "is enough in Kubernetes" in text
    assert "dask_worker_cpu" not in text


def test_a_scheduler_that_reported_nothing_leaves_a_summary_without_numbers() -> None:
    text = summary(usage=Usage.of({}, seconds=3.0)).markdown
    assert "| worker memory | 4Gi | not reported |" in text
    assert "would have been" not in text


def test_costs_and_lost_workers_are_rows_where_there_are_any() -> None:
    text = summary(costs=Costs(parts={"flow pod": 1.0, "workers": 2.0}, currency="EUR")).markdown
    assert "| cost | 3.00 EUR (flow pod 1.00, workers 2.00) |" in text
    assert "cost" not in summary().markdown
    assert "| workers lost | 2 |" in summary(usage=replace(USAGE, deaths=2)).markdown


def test_a_line_for_the_log_has_no_table() -> None:
    assert "worker memory 1.3 GiB by the largest of 4Gi" in summary().line
    assert "|" not in summary().line


def row(minute: int, name: str = "daring-mole", about: Summary | None = None) -> dict[str, Any]:
    ended = datetime(2026, 11, 28, 12, minute, tzinfo=UTC)
    return trend.row(replace(RUN, flow_run_name=name), about or summary(), ended)


def test_a_deployment_has_a_key_that_prefect_takes() -> None:
    assert trend.key("My ETL", "Über/default_2") == "dask-trend-my-etl-ber-default-2"


def test_a_row_has_what_was_used_of_what_was_asked() -> None:
    made = row(1, about=summary(costs=Costs(parts={"workers": 2.0}, currency="EUR")))
    assert made["ended"] == "2026-11-28 12:01:00"
    assert made["worker memory"] == "1.3 GiB of 4Gi"
    assert made["worker CPU"] == "0.90 of 2"
    assert made["worker idle"] == "25 %"
    assert (made["spilled"], made["waited"]) == ("0 MiB", "12 s")
    assert made["cost (EUR)"] == "2.00"


def test_a_table_keeps_the_last_runs_and_those_of_runs_that_ended_at_the_same_time() -> None:
    first, second = trend.table(row(1, "a"), []), trend.table(row(2, "b"), [])
    both = trend.table(row(3, "c"), [json.dumps(second), first])
    assert [each["run"] for each in both] == ["c", "b", "a"]
    many = trend.table(row(59, "z"), [[row(minute, str(minute)) for minute in range(50)]])
    assert len(many) == trend.RUNS
    assert many[0]["run"] == "z"


def test_a_table_that_is_not_one_is_left_out() -> None:
    assert [each["run"] for each in trend.table(row(1), ["{", None, {"a": 1}, [1, {"run": "x"}]])] == ["daring-mole"]


def test_the_wait_for_a_cluster_of_a_fixed_size_ends_with_its_last_worker() -> None:
    fixed = Usage(seconds=100.0, peak=4, peak_after=7.0)
    assert fixed.waiting(None, 4).waited == 7.0
    assert fixed.waiting(None, 5).waited == 100.0
    assert fixed.waiting(3.0, 5).waited == 3.0
