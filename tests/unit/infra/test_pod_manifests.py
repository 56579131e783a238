from __future__ import annotations

import json
from typing import Any

from infra import settings
from infra.pod_manifests import manifests, rendered
from infra.specs.deployment import DeploymentSpec

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
PATCH = {"patch": {"spec": {"hostname": "{{ name }}", "priority": "{{ rank }}"}}}


def made(*specs: DeploymentSpec, **values: Any) -> list[tuple[str, Any]]:
    parsed = settings.parse({"image": IMAGE, **values}, stack="dev")
    return [(each["key"], json.loads(each["manifest"])) for each in manifests(parsed, {"dask": specs})]


def deployment(**values: Any) -> DeploymentSpec:
    return DeploymentSpec(flow_name="etl", name="nightly", entrypoint="flows.etl.etl", **values)


def test_a_patched_flow_pod_is_a_job_with_the_values_of_each_deployment() -> None:
    jobs = made(
        deployment(job_variables={"cpu_request": "3", "memory_limit": "9Gi"}),
        deployment(job_variables={"cpu_request": "3", "memory_limit": "9Gi"}),
        flowRun={"pod": PATCH},
    )
    assert {key for key, _ in jobs} == {"flowRun.pod"}
    pods = [job["spec"]["template"]["spec"] for _, job in jobs]
    assert {job["kind"] for _, job in jobs} == {"Job"}
    assert {pod["hostname"] for pod in pods} == {"checked-by-preview"}
    assert all("priority" not in pod for pod in pods)  # a job variable without a value
    resources = [pod["containers"][0]["resources"] for pod in pods]
    assert {each["requests"]["cpu"] for each in resources} == {"250m", "3"}
    assert {each["limits"]["memory"] for each in resources} == {"1Gi", "9Gi"}
    assert "{{" not in json.dumps(pods)


def test_values_from_the_environment_are_not_in_a_manifest() -> None:
    secret = deployment(job_variables={"cpu_request": "3"}, secret_fields=frozenset({"job_variables"}))
    [(_, job)] = made(secret, flowRun={"pod": PATCH})
    assert "3" not in json.dumps(job["spec"]["template"]["spec"]["containers"][0]["resources"])


def test_patched_dask_pods_are_pods() -> None:
    patch = {"patch": {"spec": {"dnsPolicy": "Default"}}}
    pods = made(dask={"scheduler": patch, "profiles": {"gpu": {**patch, "resources": {"nvidia.com/gpu": 1}}}})
    assert {key for key, _ in pods} == {"dask.scheduler", "dask.profiles.gpu"}
    for _, pod in pods:
        assert (pod["kind"], pod["spec"]["dnsPolicy"]) == ("Pod", "Default")
        assert pod["metadata"]["name"]


def test_a_stack_without_such_parts_asks_about_nothing() -> None:
    assert made(pods={"env": {"A": "b"}, "resources": {"nvidia.com/gpu": 1}}) == []


def test_a_placeholder_within_a_text_becomes_a_part_of_it() -> None:
    assert rendered({"a": ["x {{ name }} y", 3]}, {"name": "n"}) == {"a": ["x n y", 3]}
