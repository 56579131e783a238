from __future__ import annotations

from typing import Any

import pytest

from tools import runs
from tools.errors import Problem


def test_a_parameter_is_json_where_it_can_be_and_text_otherwise() -> None:
    given = runs.parameters(["folds=3", "name=Berlin", 'lines=["a b", "c"]', "note=a=b"])
    assert given == {"folds": 3, "name": "Berlin", "lines": ["a b", "c"], "note": "a=b"}


def test_a_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(Problem, match="'folds' is no parameter"):
        runs.parameters(["folds"])


def pod(component: str, phase: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"labels": {"dask.org/component": component}}, "status": {"phase": phase}}


def test_what_is_told_of_a_dask_cluster_counts_its_pods_by_what_they_are() -> None:
    cluster = {"kind": "DaskCluster", "metadata": {"name": "digits-1"}}
    items = [cluster, pod("scheduler", "Running"), pod("worker", "Running"), pod("worker", "Running")]
    assert runs._described(items) == "Dask cluster digits-1: 1 scheduler Running, 2 worker Running"


def test_a_dask_cluster_of_which_nothing_is_left_is_gone() -> None:
    assert runs._described([]) == "Dask cluster: gone"
