"""The sample flows: the only unit tests that a project which replaces them has to delete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import yaml
from prefect.artifacts import Artifact
from prefect.exceptions import ParameterTypeError
from prefect.testing.utilities import prefect_test_harness
from sklearn.datasets import load_digits

from ephemeral_dask.contract import environment as env
from flows import components, digits, drift, leaderboard

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def outside_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(env.PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_every_deployment_of_the_samples_names_a_sample_flow() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert [each["entrypoint"] for each in declared] == [
        "flows.digits.search",
        "flows.components.components",
        "flows.leaderboard.leaderboard",
        "flows.drift.drift",
    ]


@pytest.mark.usefixtures("prefect_server")
def test_the_digits_search_finds_the_best_point_and_publishes_the_ranking() -> None:
    best = digits.search(folds=2, trees=2)
    assert isinstance(best, digits.Score)
    assert 0.5 < best.accuracy < 1
    published = Artifact.get("digits-search")
    assert published is not None
    assert published.description == f"Best: {best}"


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("wrong", [{"folds": 1}, {"folds": 11}, {"trees": 0}, {"folds": "many"}])
def test_the_digits_search_refuses_parameters_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError):
        digits.search(**wrong)


@pytest.mark.usefixtures("prefect_server")
def test_a_dask_array_in_a_task_gives_what_numpy_gives() -> None:
    images = load_digits().data
    shares = np.linalg.eigvalsh(np.cov(images.T, bias=True))[::-1]
    needed = int(np.searchsorted(np.cumsum(shares / shares.sum()), 0.8)) + 1
    assert components.components(copies=3, noise=0, share=0.8) == needed


@pytest.mark.usefixtures("prefect_server")
def test_a_subflow_whose_tasks_all_fail_once_ends_with_the_same_accuracy() -> None:
    accuracy = leaderboard.evaluate("bayes", folds=2, shaky=True)
    assert accuracy == mean(leaderboard.score.fn("bayes", fold, 2, shaky=False) for fold in range(2))


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_of_subflows_ranks_what_they_return_and_publishes_it() -> None:
    assert leaderboard.leaderboard(folds=2) == ["neighbours", "bayes"]
    published = Artifact.get("leaderboard")
    assert published is not None
    assert [each["model"] for each in json.loads(str(published.data))] == ["neighbours", "bayes"]


@pytest.mark.usefixtures("prefect_server")
def test_the_nightly_flow_returns_the_mean_of_its_parts_and_publishes_it() -> None:
    day = date(2026, 3, 1)
    assert drift.drift(day=day, least=0.5) == mean(drift.accuracy.fn(day, part) for part in range(drift.PARTS))
    published = Artifact.get("drift")
    assert published is not None
    assert str(published.data).startswith("2026-03-01: accuracy 0.9")


@pytest.mark.usefixtures("prefect_server")
def test_the_nightly_flow_does_the_same_work_for_the_same_day_at_any_time() -> None:
    assert drift.accuracy.fn(date(2026, 3, 1), 0) == drift.accuracy.fn(date(2026, 3, 1), 0)
    assert drift.accuracy.fn(date(2026, 3, 1), 0) != drift.accuracy.fn(date(2026, 3, 2), 0)
    assert drift.accuracy.fn(date(2026, 3, 1), 0) > 0.9
    with pytest.raises(ValueError, match=r"2026-03-01.*100\.0%"):
        drift.drift(day=date(2026, 3, 1), least=1)
