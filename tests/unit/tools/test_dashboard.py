from __future__ import annotations

from typing import Any

import pytest

from ephemeral_dask import identity
from ephemeral_dask.contract import labels
from tools.dashboard import choose
from tools.errors import Problem


def cluster(name: str, run: str, run_name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {labels.FLOW_RUN: run, labels.FLOW_RUN_NAME: run_name}}}


TWO = [cluster("etl-1", "0198-a", "daring-mole"), cluster("etl-2", "0198-b", "calm-owl")]


@pytest.mark.parametrize("run", ["0198-b", "calm-owl", "etl-2"])
def test_a_cluster_is_found_by_its_runs_id_its_runs_name_or_its_own(run: str) -> None:
    assert choose(run, TWO) == "etl-2"


@pytest.mark.parametrize("name", ["it's mine", "Daily Report 6:00", "毎日 🙂"])
def test_a_cluster_is_found_by_a_name_that_no_label_can_hold(name: str) -> None:
    odd = cluster("etl-3", "0198-c", identity.slug(name, 63))
    odd["metadata"]["annotations"] = {labels.FLOW_RUN_NAME: name}
    assert choose(name, [*TWO, odd]) == "etl-3"
    with pytest.raises(Problem, match=f"etl-3 of run {name} "):
        choose("", [*TWO, odd])


def test_without_a_name_the_only_cluster_is_meant() -> None:
    assert choose("", TWO[:1]) == "etl-1"


@pytest.mark.parametrize(("run", "clusters"), [("", TWO), ("x", TWO), ("", []), ("0198-a", [*TWO, TWO[0]])])
def test_where_no_one_cluster_is_meant_those_that_exist_are_named(run: str, clusters: list[dict[str, Any]]) -> None:
    with pytest.raises(Problem) as caught:
        choose(run, clusters)
    assert all(name in str(caught.value) for name in (["etl-1", "daring-mole", "0198-a"] if clusters else ["none"]))
