"""Limits of pods of runs that are below their requests."""

from __future__ import annotations

from typing import Any

import pytest

from infra import job_template, limits, settings, validation

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
LARGE = {"maximum": 1, "cpu": "4", "memory": "8Gi", "cpuLimit": "1"}


def parsed(**values: Any) -> settings.Settings:
    return validation.load_settings({"image": IMAGE, **values}, stack="dev")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"flowRun": {"memoryRequest": "2Gi"}}, "flowRun: the memory limit of these pods is 1Gi and their request 2Gi"),
        ({"flowRun": {"cpuRequest": "1", "pod": {"cpuLimit": "500m"}}}, "flowRun: the CPU limit of these pods is 500m"),
        ({"workPools": {"a": {"flowRun": {"memoryLimit": "256Mi"}}}}, "workPools.a.flowRun: the memory limit"),
        ({"dask": {"workerPod": {"cpuLimit": "100m"}}}, "dask.workerPod: the CPU limit of these pods is 100m"),
        ({"dask": {"scheduler": {"cpu": 2, "cpuLimit": 1}}}, "dask.scheduler: the CPU limit of these pods is 1"),
        (
            {"dask": {"workerPod": {"cpuLimit": 1}, "profiles": {"p": {"workerCpu": 2}}}},
            "dask.profiles.p: the CPU limit of these pods is 1 and their request 2, so Kubernetes would refuse them",
        ),
        ({"dask": {"profiles": {"p": {"largeWorkers": LARGE}}}}, "dask.profiles.p.largeWorkers: the CPU limit"),
    ],
)
def test_a_limit_below_its_request_is_refused_with_its_key(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        parsed(**values)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "clause"),
    [
        ({"memory_request": "2Gi"}, "'memory_request' is 2Gi and memory_limit 1Gi, so Kubernetes would refuse the pod"),
        ({"memory_limit": 10**6}, "'memory_request' is 512Mi and memory_limit 1000000"),
        ({"cpu_request": 2, "cpu_limit": "1"}, "'cpu_request' is 2 and cpu_limit 1"),
        ({"dask_worker_cpu": 4}, "'dask_worker_cpu' is 4 and cpuLimit of these workers 2"),
        ({"dask_worker_cpu": 4, "dask_profile": "p"}, "cpuLimit of these workers 3"),
    ],
)
def test_job_variables_with_a_limit_below_the_request_are_refused(variables: dict[str, Any], clause: str) -> None:
    stack = parsed(dask={"workerPod": {"cpuLimit": 2}, "profiles": {"p": {"cpuLimit": 3}}})
    schema = job_template.variables_schema(stack, "dask")
    [error] = limits.variable_errors(variables, schema, stack, "dask")
    assert clause in error


@pytest.mark.parametrize(
    "variables", [{}, {"memory_request": "1Gi"}, {"memory_request": "{{ $SIZE }}"}, {"cpu_request": 64}]
)
def test_job_variables_that_fit_or_are_not_known_yet_pass(variables: dict[str, Any]) -> None:
    stack = parsed()
    assert limits.variable_errors(variables, job_template.variables_schema(stack, "dask"), stack, "dask") == []
