from __future__ import annotations

import io
import json
from typing import Any

import pytest
from prefect.client.schemas.objects import Artifact
from rich.console import Console

from ephemeral_dask import artifacts as runtime
from ephemeral_dask import flow_result, trend
from tools.runs.artifacts import PLATFORM_KEYS, RESULT_KEY, TREND_PREFIX, print_artifact


def printed(kind: str, data: Any) -> list[str]:
    output = io.StringIO()
    print_artifact(Artifact(key="a-key", type=kind, data=data, description="What"), Console(file=output, width=80))
    return [line.rstrip() for line in output.getvalue().splitlines()]


ROWS = [{"n": 1, "accuracy": 0.95833333333, "name": "a"}, {"n": 10, "accuracy": 0.5, "name": "b [c]"}]


@pytest.mark.parametrize("data", [ROWS, {name: [row[name] for row in ROWS] for name in ROWS[0]}])
def test_a_table_is_printed_as_a_table(data: Any) -> None:
    lines = printed("table", json.dumps(data))
    assert lines[:3] == ["", "a-key: What", " n  accuracy  name"] or lines[2].split() == ["n", "accuracy", "name"]
    assert [line.split() for line in lines[4:]] == [["1", "0.958333", "a"], ["10", "0.5", "b", "[c]"]]


def test_a_long_table_says_how_many_rows_are_left_out() -> None:
    lines = printed("table", json.dumps([{"n": n} for n in range(12)]))
    assert lines[-1] == "... and 2 more rows in Prefect's UI"


def test_markdown_is_printed_as_it_is_without_a_terminal() -> None:
    assert printed("markdown", "# Title\n\n*a*\n")[2:] == ["# Title", "", "*a*"]


def test_characters_of_any_language_are_printed_as_they_are() -> None:
    assert "毎日" in printed("table", json.dumps([{"名前": ["毎日"]}]))[-1]
    assert printed("result", {"名前": "毎日 🙂"})[2:] == ["{", '  "名前": "毎日 🙂"', "}"]


def test_the_runtimes_own_artifacts_are_known_by_their_keys() -> None:
    assert {runtime.DASHBOARD_KEY, runtime.SUMMARY_KEY} == PLATFORM_KEYS
    assert trend.PREFIX == TREND_PREFIX
    assert flow_result.RESULT_KEY == RESULT_KEY
