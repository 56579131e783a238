from __future__ import annotations

from ephemeral_dask import task_input
from tools.runs import log


def test_arguments_are_logged_by_name_and_long_ones_are_cut() -> None:
    text = task_input.describe({"features": 4, "path": "s3://bucket/key", "rows": [*range(999)], "blob": "x" * 9999})
    assert text.startswith("features=4, path='s3://bucket/key', rows=[0, 1, 2, 3, 4, 5, ...], blob='xxx")
    assert len(text) < 250


def test_the_verbs_about_runs_know_how_the_line_begins() -> None:
    assert log.INPUT == task_input.INPUT
