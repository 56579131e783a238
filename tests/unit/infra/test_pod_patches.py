"""Parts of pods in Kubernetes' own words, checked without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from infra import pod_patches, settings
from infra.pod_patches import errors

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}


def parsed(**values: Any) -> settings.Settings:
    return settings.parse({"image": IMAGE, **values}, stack="dev")


def flow_patch(spec: dict[str, Any]) -> settings.Settings:
    return parsed(flowRun={"pod": {"patch": {"spec": spec}}})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("flowRun.pod", {"flowRun": {"pod": {}}}),
        ("dask.scheduler", {"dask": {"scheduler": {}}}),
        ("dask.workerPod", {"dask": {"workerPod": {}}}),
        ("dask.profiles.p", {"dask": {"profiles": {"p": {}}}}),
        ("dask.profiles.p.scheduler", {"dask": {"profiles": {"p": {"scheduler": {}}}}}),
        (
            "dask.profiles.p.largeWorkers",
            {"dask": {"profiles": {"p": {"largeWorkers": {"maximum": 1, "cpu": "1", "memory": "1Gi"}}}}},
        ),
    ],
)
def test_an_unknown_field_of_a_patch_is_refused_with_its_key_for_every_kind_of_pod(
    key: str, values: dict[str, Any]
) -> None:
    part: Any = values
    for name in key.split("."):
        part = part[name]
    part["patch"] = {"spec": {"dnsPolcy": "Default"}}
    [error] = errors(parsed(**values))
    assert error.startswith(f"{key}: spec.dnsPolcy is not a field of the Kubernetes API; known there:")
    assert "dnsPolicy" in error
    part["patch"] = {"spec": {"hostNetwork": True}}
    [error] = errors(parsed(**values))
    assert error.startswith(f"{key}.patch: would break the restricted Pod Security Standard")


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"terminationGracePeriodSeconds": "ten"}, "spec.terminationGracePeriodSeconds must be an integer"),
        ({"tolerations": [{}], "readinessGates": [{}]}, "spec.readinessGates[0] needs conditionType"),
        ({"initContainers": [{"name": "a", "image": "b", "volumeDevices": [{"devicePath": "/a"}]}]}, "[0] needs name"),
        ({"shareProcessNamespace": 1}, "spec.shareProcessNamespace must be true or false"),
        ({"hostAliases": {"ip": "1.2.3.4"}}, "spec.hostAliases must be a list"),
        ({"dnsConfig": ["a"]}, "spec.dnsConfig must be a mapping"),
        ({"schedulerName": 3}, "spec.schedulerName must be a string"),
        ({"nodeSelector": {"a": 3}}, "spec.nodeSelector.a must be a string"),
        (
            {"containers": [{"name": "prefect-job", "resources": {"limits": ["x"]}}]},
            ".resources.limits must be a mapping",
        ),
        (
            {"containers": [{"name": "prefect-job", "resources": {"limits": {"memory": "1 Gi"}}}]},
            ".resources.limits.memory: '1 Gi' is not a Kubernetes quantity: write one such as 500m or 2Gi",
        ),
        (
            {"containers": [{"name": "prefect-job", "resources": {"limits": {"nvidia.com/gpu": 0.5}}}]},
            ".resources.limits.nvidia.com/gpu must be a whole number",
        ),
        ({"containers": [{"name": "prefect-job", "livenessProbe": {"httpGet": {"prt": 1}}}]}, ".httpGet.prt is not a"),
    ],
)
def test_a_value_of_another_type_is_refused(spec: dict[str, Any], error: str) -> None:
    [text] = errors(flow_patch(spec))
    assert error in text


def test_an_affinity_is_checked_like_a_patch() -> None:
    affinity = {"affinity": {"nodeAfinity": {}}}
    [error] = errors(parsed(pods=affinity, workPools={"a": {}, "b": {}}))
    assert error.startswith("pods: spec.affinity.nodeAfinity is not a field")
    [error] = errors(parsed(workPools={"a": {}, "b": {"pods": affinity}}))
    assert error.startswith("workPools.b.pods: spec.affinity.nodeAfinity is not a field")
    [error] = errors(parsed(pods={"patch": {"spec": {"hostPID": True}}}))
    assert error.startswith("pods.patch: would break")


def test_a_part_without_a_field_that_the_api_requires_is_refused() -> None:
    [error] = errors(parsed(pods={"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone"}]}))
    assert error == "pods: spec.topologySpreadConstraints[0] needs whenUnsatisfiable"


def test_a_placeholder_stands_for_a_value_of_any_type_and_quantities_may_be_numbers() -> None:
    limits = {"limits": {"cpu": 2}}
    spec = {
        "terminationGracePeriodSeconds": "{{ finished_job_ttl }}",
        "containers": [{"name": "prefect-job", "resources": limits}],
    }
    assert errors(flow_patch(spec)) == []


def test_without_parts_in_kubernetes_own_words_nothing_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_patches, "unknown_fields", lambda *_: pytest.fail("no look at the models"))
    assert errors(parsed(pods={"env": {"A": "b"}})) == []
