from __future__ import annotations

from typing import Any

import pytest

from infra import validation
from infra.admission.allowed import Allowed, dask_pods, flow_pods, images
from infra.admission.names import Names
from infra.settings import Settings

BUILD = {"builder": "docker-build", "registry": "registry.example.com/data"}
CLOUD = {"mode": "cloud", "apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/b"}


def stack(**values: Any) -> Settings:
    return validation.load_settings({"image": BUILD, **values}, stack="dev")


def test_a_stack_without_additions_allows_its_own_account_and_the_prefect_credential() -> None:
    own = {"secrets": Names.of("prefect-api")}
    assert flow_pods(stack()) == Allowed(accounts=Names.of("flow-run"), **own)
    assert dask_pods(stack()) == Allowed(accounts=Names.of("dask"), **own)


@pytest.mark.parametrize(
    ("values", "attribute", "name"),
    [
        ({"prefect": {"mode": "embedded", "authSecret": {"name": "own", "key": "k"}}}, "secrets", "own"),
        ({"prefect": {**CLOUD, "keySecret": {"name": "own", "key": "k"}}}, "secrets", "own"),
        ({"results": {"store": "volume"}}, "claims", "results"),
        ({"results": {"store": "volume", "existingClaim": "own"}}, "claims", "own"),
        ({"caBundle": {"configMap": "own"}}, "config_maps", "own"),
        ({"caBundle": {"secret": "own"}}, "secrets", "own"),
        ({"image": {**BUILD, "pullSecrets": ["own"]}}, "pull_secrets", "own"),
        ({"pods": {"priorityClass": "own"}}, "priority_classes", "own"),
        ({"workPools": {"dask": {"pods": {"envFrom": [{"secret": "own"}]}}}}, "secrets", "own"),
    ],
)
def test_what_all_pods_of_a_run_get_is_allowed_in_all(values: dict[str, Any], attribute: str, name: str) -> None:
    for allowed in (flow_pods(stack(**values)), dask_pods(stack(**values))):
        assert name in getattr(allowed, attribute).exact


ENV = {"secretEnv": {"KEY": {"name": "own", "key": "k"}}}
LARGE = {"maximum": 1, "cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    "dask",
    [
        {"scheduler": ENV},
        {"workerPod": ENV},
        {"profiles": {"a": ENV}},
        {"profiles": {"a": {"scheduler": ENV}}},
        {"profiles": {"a": {"largeWorkers": {**LARGE, **ENV}}}},
    ],
)
def test_what_one_kind_of_dask_pod_gets_is_allowed_in_dask_pods_alone(dask: dict[str, Any]) -> None:
    settings = stack(dask=dask)
    assert "own" in dask_pods(settings).secrets.exact
    assert "own" not in flow_pods(settings).secrets.exact


def test_what_flow_pods_get_is_allowed_in_them_alone() -> None:
    settings = stack(workPools={"a": {"flowRun": {"pod": ENV}}, "b": {}})
    assert "own" in flow_pods(settings).secrets.exact
    assert "own" not in dask_pods(settings).secrets.exact


@pytest.mark.parametrize(
    ("spec", "attribute"),
    [
        ({"serviceAccountName": "own"}, "accounts"),
        ({"priorityClassName": "own"}, "priority_classes"),
        ({"imagePullSecrets": [{"name": "own"}]}, "pull_secrets"),
        ({"containers": [{"name": "x", "image": "own"}]}, "images"),
        ({"initContainers": [{"name": "x", "image": "own"}]}, "images"),
        ({"volumes": [{"name": "x", "secret": {"secretName": "own"}}]}, "secrets"),
        ({"volumes": [{"name": "x", "secret": {"secretName": "own", "optional": True}}]}, "secrets"),
        ({"volumes": [{"name": "x", "configMap": {"name": "own"}}]}, "config_maps"),
        ({"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": "own"}}]}, "claims"),
        ({"volumes": [{"name": "x", "projected": {"sources": [{"secret": {"name": "own"}}]}}]}, "secrets"),
        ({"volumes": [{"name": "x", "csi": {"driver": "own"}}]}, "drivers"),
        (
            {"volumes": [{"name": "x", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "own"}}}]},
            "secrets",
        ),
        (
            {
                "containers": [
                    {
                        "name": "x",
                        "image": "i",
                        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}],
                    }
                ]
            },
            "secrets",
        ),
        ({"containers": [{"name": "x", "image": "i", "envFrom": [{"configMapRef": {"name": "own"}}]}]}, "config_maps"),
    ],
)
def test_what_a_patch_names_is_allowed(spec: dict[str, Any], attribute: str) -> None:
    allowed = flow_pods(stack(flowRun={"pod": {"patch": {"spec": spec}}}))
    assert "own" in getattr(allowed, attribute).exact


def test_a_claim_in_the_pod_itself_is_allowed_where_a_patch_has_one() -> None:
    volume = {"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    assert dask_pods(stack(dask={"workerPod": {"patch": {"spec": {"volumes": [volume]}}}})).ephemeral
    assert not dask_pods(stack()).ephemeral


def pool(patch: dict[str, Any], **variables: Any) -> Settings:
    return stack(workPools={"dask": {"jobVariables": variables, "pods": {"patch": {"spec": patch}}}})


def test_a_part_of_a_pod_that_only_a_run_knows_may_name_anything() -> None:
    allowed = flow_pods(pool({"volumes": [{"name": "x", "secret": "{{ more }}"}]}, more={"type": "object"}))
    assert allowed.secrets.contain("x") == allowed.accounts.contain("x") == "true"
    harmless = flow_pods(pool({"nodeSelector": "{{ more }}"}, more={"type": "object"}))
    assert harmless == flow_pods(stack())


def test_the_images_of_a_stack_are_those_of_its_registry() -> None:
    assert images(stack()) is None
    names = images(stack(image={**BUILD, "only": True}))
    assert names
    assert names.patterns == {"registry\\.example\\.com/data/.*"}


def test_the_images_of_prebuilt_ones_are_those_of_their_folders() -> None:
    digest = f"@sha256:{'a' * 64}"
    prebuilt = {
        "builder": "prebuilt",
        "flow": f"ghcr.io/acme/flow{digest}",
        "platform": f"registry.example.com:5000/platform{digest}",
        "flows": {"gpu": f"flow-gpu{digest}"},
        "only": True,
    }
    names = images(stack(image=prebuilt))
    assert names
    assert names.patterns == {"ghcr\\.io/acme/.*", "registry\\.example\\.com:5000/.*"}
    assert names.exact == {f"flow-gpu{digest}"}
