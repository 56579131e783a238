from __future__ import annotations

import io

import pytest
from rich.console import Console

from tools.runs.counts import Progress, TaskCounts
from tools.runs.dask_cluster import ClusterView, unfinished_tasks
from tools.runs.screen import Screen

METRICS = """
# HELP dask_scheduler_tasks Number of tasks known by scheduler
dask_scheduler_tasks{state="released"} 2.0
dask_scheduler_tasks{state="waiting"} 1.0
dask_scheduler_tasks{state="no-worker"} 0.0
dask_scheduler_tasks{state="queued"} 30.0
dask_scheduler_tasks{state="processing"} 7.0
dask_scheduler_tasks{state="memory"} 23.0
dask_scheduler_tasks{state="erred"} 1.0
dask_scheduler_tasks_forgotten_total 5.0
"""


def test_unfinished_are_the_tasks_that_wait_or_run() -> None:
    assert unfinished_tasks(METRICS) == 38
    assert unfinished_tasks("<html>404</html>") is None


@pytest.mark.parametrize(
    ("counts", "cluster", "text"),
    [
        (TaskCounts(27, 23, 0), ClusterView(True, 4, 38), "tasks 23 of 61, 0 failed, 4 workers"),
        (TaskCounts(5, 3, 1), ClusterView(True, 1, 6), "tasks 4 of 10, 1 failed, 1 worker"),
        (TaskCounts(27, 23, 0), None, "tasks 23 ended, 4 running, 0 failed"),
        (TaskCounts(61, 61, 0), ClusterView(), "tasks 61 of 61, 0 failed"),
        (TaskCounts(0, 0, 0), ClusterView(True, 2, 60), "tasks 0 of 60, 0 failed, 2 workers"),
        (TaskCounts(), None, ""),
    ],
)
def test_progress_counts_what_prefect_knows_and_what_still_waits_in_dask(
    counts: TaskCounts, cluster: ClusterView | None, text: str
) -> None:
    assert Progress().text(counts, cluster) == text


def test_a_total_does_not_shrink_while_prefect_lags_behind_dask() -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    progress.text(TaskCounts(27, 23, 0), ClusterView(True, 4, 38))
    now[0] = 2.0
    assert progress.text(TaskCounts(27, 23, 0), ClusterView(True, 4, 34)).startswith("tasks 23 of 61")
    now[0] = 9.0
    assert progress.text(TaskCounts(30, 30, 0), ClusterView(True, 4, 10)).startswith("tasks 30 of 40")


def test_without_a_terminal_progress_is_a_line_now_and_then_and_at_once_for_a_failure() -> None:
    output = io.StringIO()
    with Screen(Console(file=output, width=80)) as screen:
        for second in range(10):
            screen.progress("Running", f"tasks {second} of 61, 0 failed", second, urgent="0 failed")
        screen.progress("Running", "tasks 10 of 61, 1 failed", 72, urgent="1 failed")
        screen.line("a long line " + "x" * 200)
    lines = output.getvalue().splitlines()
    assert lines == ["    tasks 10 of 61, 1 failed, 1:12", "a long line " + "x" * 200]


def test_on_a_terminal_progress_is_one_live_line() -> None:
    output = io.StringIO()
    with Screen(Console(file=output, force_terminal=True, width=80)) as screen:
        screen.progress("Running", "tasks 23 of 61, 0 failed, 4 workers", 72)
        screen.line("a line [of] the flow")
    assert "a line [of] the flow" in output.getvalue()
    assert "tasks 23 of 61, 0 failed, 4 workers, 1:12" in output.getvalue()
