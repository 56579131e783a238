from __future__ import annotations

from typing import Any

import pytest
from infra.dask_profile import DaskProfile, complaints

from ephemeral_dask.contract import profiles
from infra.specs.deployment import DeploymentSpec

KNOWN = {"large": DaskProfile(maximum=8), "small": DaskProfile()}


def complain(**job_variables: Any) -> list[str]:
    spec = DeploymentSpec(flow_name="etl", name="nightly", entrypoint="flows.etl.etl", job_variables=job_variables)
    return complaints([spec], KNOWN)


def test_a_deployment_with_an_unknown_profile_is_refused_in_the_words_that_a_run_uses() -> None:
    [sentence] = complain(dask_profile="hughe")
    assert sentence == profiles.unknown("hughe", ["small", "large"], "deployment 'etl/nightly'")
    assert "choose one of large, small" in sentence


def test_sizes_that_no_run_could_have_are_refused() -> None:
    [order] = complain(dask_minimum=4, dask_maximum=2)
    [memory] = complain(dask_worker_memory="64Mi")
    [cpu] = complain(dask_worker_cpu="half")
    assert "dask_maximum is 2 and dask_minimum 4" in order
    assert "384Mi or more" in memory
    assert "dask_worker_cpu" in cpu


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"dask_profile": "large", "dask_minimum": 9},
        {"dask_profile": "{{ $SIZE }}"},
        {"dask_worker_memory": "{{ prefect.variables.memory }}"},
        {"dask_maximum": 2},
    ],
)
def test_what_a_run_may_have_or_only_prefect_can_know_passes(fine: dict[str, Any]) -> None:
    assert complain(**fine) == []
