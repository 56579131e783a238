from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ephemeral_dask import proposal
from ephemeral_dask.proposal import Asked
from ephemeral_dask.usage import GroupUsage

MIB, GIB = 2**20, 2**30
ASKED = Asked(
    who="worker",
    memory=4 * GIB,
    memory_text="4Gi",
    outside=96 * MIB,
    memory_key="dask_worker_memory",
    cpu=2.0,
    cpu_text="2",
    cpu_key="dask_worker_cpu",
)


def used(**values: Any) -> GroupUsage:
    return GroupUsage(**{"memory_peak": int(1.3 * GIB), "seconds": 600.0, **values})


def sizes(use: GroupUsage, *, deaths: int = 0, asked: Asked = ASKED) -> list[str]:
    return proposal.next_sizes(asked, use, deaths=deaths)


def test_memory_that_was_never_used_is_named_in_the_words_of_the_job_variable() -> None:
    sentence = "`dask_worker_memory: 2Gi` would have been enough: the largest worker used 1.3 GiB of 4Gi"
    assert sizes(used()) == [sentence]


@pytest.mark.parametrize("peak", [150 * MIB, 600 * MIB, 1300 * MIB, 3 * GIB, 11 * GIB, 60 * GIB])
def test_the_proposed_size_spills_nothing_and_wastes_little(peak: int) -> None:
    size = proposal.size_for(used(memory_peak=peak), 96 * MIB)
    assert peak <= 0.7 * (size - 96 * MIB)
    assert size <= max(512 * MIB, peak / 0.7 + 96 * MIB + GIB)
    assert size % (128 * MIB) == 0


def test_results_stay_below_the_share_at_which_dask_moves_them_to_disk() -> None:
    size = proposal.size_for(used(managed_peak=int(1.3 * GIB)), 0)
    assert size * 0.6 >= 1.3 * GIB
    assert size > proposal.size_for(used(), 0)


def test_what_was_spilled_is_counted_in() -> None:
    use = used(memory_peak=int(2.7 * GIB), spilled_peak=2 * GIB, managed_peak=int(3.8 * GIB))
    [sentence] = sizes(use)
    assert sentence == (
        "`dask_worker_memory: 7Gi` would have kept all results in memory: the largest worker used 2.7 GiB of 4Gi, "
        "and had 2.0 GiB more on disk"
    )


def test_a_size_that_fits_needs_no_word() -> None:
    assert sizes(used(memory_peak=int(2.7 * GIB))) == []
    assert sizes(used(memory_peak=int(3.6 * GIB))) == []


def test_without_any_report_nothing_is_proposed() -> None:
    assert sizes(GroupUsage()) == []


def test_less_memory_is_not_proposed_when_workers_were_lost() -> None:
    [sentence] = sizes(used(), deaths=2)
    assert sentence.startswith("`dask_worker_memory` stays as it is, although ")
    assert sentence.endswith("2 workers were lost, after an unknown use")


def test_the_processor_is_what_busy_workers_usually_take_and_a_margin() -> None:
    most = used(memory_peak=0, cpu_usual=0.9, busy_reports=100)
    assert sizes(most) == [
        "`dask_worker_cpu: 1100m` would have been enough: a busy worker usually takes up to 0.90 cores and requested 2"
    ]
    [more] = sizes(replace(most, cpu_usual=3.5))
    assert more.startswith("`dask_worker_cpu: 4100m` is what it needs on a node without spare cores")
    assert sizes(replace(most, cpu_usual=1.7)) == []
    assert "100m" in sizes(replace(most, cpu_usual=0.0))[0]


def test_a_run_of_a_moment_says_nothing_about_the_processor() -> None:
    assert sizes(used(memory_peak=0, cpu_usual=0.1, busy_reports=3)) == []


def test_on_this_machine_the_memory_that_a_pod_needs_is_named() -> None:
    here = replace(ASKED, here=True, memory_text="7.8 GiB", cpu=0.0)
    assert sizes(used(cpu_usual=3.0, busy_reports=100), asked=here) == [
        "`dask_worker_memory: 2Gi` is enough in Kubernetes: the largest worker used 1.3 GiB of 7.8 GiB on this machine"
    ]


@pytest.mark.parametrize(
    ("minimum", "scaling", "adaptive", "expected"),
    [
        (4, "fast", True, "`dask_minimum: 1`"),
        (4, "fast", False, "`dask_minimum: 1`"),
        (1, "fast", True, "`dask_scaling: cheap`"),
        (1, "cheap", True, ""),
        (1, "fast", False, ""),
    ],
)
def test_workers_without_work_are_named_with_what_changes_it(
    minimum: int, scaling: str, adaptive: bool, expected: str
) -> None:
    idle = used(idle_seconds=400.0)
    sentences = proposal.fewer_workers(idle, minimum=minimum, scaling=scaling, adaptive=adaptive)
    assert [each[: len(expected)] for each in sentences] == ([expected] if expected else [])
    assert all("67 % of their time" in each for each in sentences)


def test_a_few_idle_minutes_are_accepted() -> None:
    short = used(idle_seconds=200.0, seconds=210.0)
    assert proposal.fewer_workers(short, minimum=4, scaling="fast", adaptive=True) == []
