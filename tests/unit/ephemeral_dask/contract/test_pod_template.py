from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ephemeral_dask.contract import pod_template, security, strategic_merge
from ephemeral_dask.contract.pods import PodExtras

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"ephemeral-dask/component": "dask"}},
    "spec": {
        "securityContext": security.pod_security(),
        "containers": [
            {
                "name": "worker",
                "env": [{"name": "HOME", "value": "/tmp"}],
                "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
                "securityContext": security.container_security(),
                "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    },
}
CLAIM = {"source": {"persistentVolumeClaim": {"claimName": "cache"}}, "mount": {"mountPath": "/cache"}}
SECRET = {"source": {"secret": {"secretName": "tls"}}, "mount": {"mountPath": "/etc/tls", "readOnly": True}}


def extended(**extras: Any) -> dict[str, Any]:
    before = deepcopy(TEMPLATE)
    made = pod_template.extended(TEMPLATE, PodExtras(**extras))
    assert before == TEMPLATE
    return made


def container(made: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = made["spec"]["containers"][0]
    return first


def patched(patch: dict[str, Any]) -> dict[str, Any]:
    return pod_template.patched(TEMPLATE, [patch])


def test_without_additions_a_template_stays_as_it_is() -> None:
    assert extended() == TEMPLATE
    assert pod_template.patched(TEMPLATE, []) == TEMPLATE


def test_secrets_are_references_that_a_dask_pod_waits_for_and_a_flow_pod_starts_without() -> None:
    extras = PodExtras(
        secret_env={"PGPASSWORD": {"name": "warehouse", "key": "password"}},
        env_from=({"secretRef": {"name": "warehouse"}, "prefix": "PG_"},),
        volumes={
            "tls": SECRET,
            "all": {
                "source": {"projected": {"sources": [{"configMap": {"name": "app"}}]}},
                "mount": {"mountPath": "/etc/app", "readOnly": True},
            },
        },
    )
    for waits, optional in ((True, {}), (False, {"optional": True})):
        made = pod_template.extended(TEMPLATE, extras, waits=waits)
        reference = {"name": "warehouse", "key": "password", **optional}
        assert container(made)["env"][-1] == {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": reference}}
        assert container(made)["envFrom"] == [{"secretRef": {"name": "warehouse", **optional}, "prefix": "PG_"}]
        volumes = {each["name"]: each for each in made["spec"]["volumes"]}
        assert volumes["tls"]["secret"] == {"secretName": "tls", **optional}
        assert volumes["all"]["projected"]["sources"] == [{"configMap": {"name": "app", **optional}}]


def test_volumes_are_mounted_and_only_a_writable_claim_gives_the_pod_the_images_group() -> None:
    made = extended(volumes={"tls": SECRET})
    assert {"name": "tls", "mountPath": "/etc/tls", "readOnly": True} in container(made)["volumeMounts"]
    assert "fsGroup" not in made["spec"]["securityContext"]
    assert extended(volumes={"cache": CLAIM})["spec"]["securityContext"]["fsGroup"] == security.GROUP
    read_only = {**CLAIM, "mount": {**CLAIM["mount"], "readOnly": True}}
    assert "fsGroup" not in extended(volumes={"cache": read_only})["spec"]["securityContext"]


def test_extended_resources_and_local_disk_are_request_and_limit_and_the_scratch_folder_has_its_size() -> None:
    made = extended(resources={"nvidia.com/gpu": "2"}, ephemeral_storage="8Gi", scratch="4Gi", cpu_limit="2")
    both = {"nvidia.com/gpu": "2", "ephemeral-storage": "8Gi"}
    assert container(made)["resources"] == {
        "requests": {"cpu": "1", **both},
        "limits": {"memory": "1Gi", "cpu": "2", **both},
    }
    assert made["spec"]["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}}]


def test_placement_and_metadata_are_in_the_pod_and_a_label_of_the_platform_stays() -> None:
    made = extended(
        node_selector={"pool": "gpu"},
        tolerations=({"key": "gpu", "operator": "Exists"},),
        affinity={"podAntiAffinity": {}},
        topology_spread=({"maxSkew": 1},),
        priority_class="batch",
        runtime_class="nvidia",
        labels={"team": "data", "ephemeral-dask/component": "other"},
        annotations={"safe-to-evict": "false"},
    )
    assert made["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert made["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert made["spec"]["affinity"] == {"podAntiAffinity": {}}
    assert made["spec"]["topologySpreadConstraints"] == [{"maxSkew": 1}]
    assert (made["spec"]["priorityClassName"], made["spec"]["runtimeClassName"]) == ("batch", "nvidia")
    assert made["metadata"] == {
        "labels": {"team": "data", "ephemeral-dask/component": "dask"},
        "annotations": {"safe-to-evict": "false"},
    }


def test_a_patch_adds_a_container_that_gets_our_security_context() -> None:
    made = patched({"spec": {"containers": [{"name": "sidecar", "image": "i"}], "dnsPolicy": "Default"}})
    assert [each["name"] for each in made["spec"]["containers"]] == ["worker", "sidecar"]
    assert made["spec"]["containers"][1]["securityContext"] == security.container_security()
    assert made["spec"]["dnsPolicy"] == "Default"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"hostNetwork": True}, "hostNetwork must not be true"),
        ({"securityContext": None}, "securityContext.runAsNonRoot must be true"),
        ({"securityContext": {"runAsNonRoot": False}}, "securityContext.runAsNonRoot must be true"),
        ({"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser must not be 0"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile.type must be RuntimeDefault"),
        ({"securityContext": {"sysctls": [{"name": "a", "value": "1"}]}}, "securityContext.sysctls must not be set"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "volume 'host' must not be of kind hostPath"),
        ({"containers": [{"name": "worker", "securityContext": {"privileged": True}}]}, "privileged must not be true"),
        (
            {"containers": [{"name": "worker", "securityContext": {"readOnlyRootFilesystem": False}}]},
            "container 'worker': readOnlyRootFilesystem must be true",
        ),
        (
            {"containers": [{"name": "worker", "securityContext": {"allowPrivilegeEscalation": None}}]},
            "",
        ),
        (
            {"containers": [{"name": "worker", "securityContext": {"capabilities": {"drop": []}}}]},
            "capabilities.drop must contain ALL",
        ),
        (
            {"containers": [{"name": "worker", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
            "capabilities.add must not be set",
        ),
        ({"containers": [{"name": "worker", "ports": [{"containerPort": 1, "hostPort": 1}]}]}, "hostPort"),
        ({"initContainers": [{"name": "i", "securityContext": {"runAsUser": 0}}]}, "container 'i'"),
    ],
)
def test_a_patch_cannot_undo_the_security_context(spec: dict[str, Any], why: str) -> None:
    if not why:  # what a patch removes is there again
        made = patched({"spec": spec})
        assert container(made)["securityContext"]["allowPrivilegeEscalation"] is False
        return
    with pytest.raises(ValueError, match="would break the restricted Pod Security Standard") as caught:
        patched({"spec": spec})
    assert why in str(caught.value)


def test_lists_with_a_key_are_merged_by_it_and_others_replaced() -> None:
    original = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}], "args": ["a", "b"], "gone": 1}
    patch = {"env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}], "args": ["c"], "gone": None}
    assert strategic_merge.merge(original, patch) == {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}],
        "args": ["c"],
    }


def test_directives_delete_and_replace_elements() -> None:
    original = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]}
    deleted = strategic_merge.merge(original, {"env": [{"name": "A", "$patch": "delete"}]})
    assert deleted == {"env": [{"name": "B", "value": "1"}]}
    replaced = strategic_merge.merge(original, {"env": [{"$patch": "replace"}, {"name": "C", "value": "3"}]})
    assert replaced == {"env": [{"name": "C", "value": "3"}]}
    whole = strategic_merge.merge({"resources": {"a": 1}}, {"resources": {"$patch": "replace", "b": 2}})
    assert whole == {"resources": {"b": 2}}


def test_a_mapping_that_a_patch_deletes_is_removed() -> None:
    made = pod_template.patched(
        {**TEMPLATE, "spec": {**TEMPLATE["spec"], "affinity": {"nodeAffinity": {}}}},
        [{"spec": {"affinity": {"$patch": "delete"}}}],
    )
    assert "affinity" not in made["spec"]


@pytest.mark.parametrize(
    ("limits", "clause"),
    [
        ({"cpu": 1, "memory": "1Gi"}, ""),
        ({"cpu": "100m"}, "cpu limit is 100m and cpu request 500m: raise the limit, or lower the request"),
        ({"memory": "1 GB"}, "memory limit is 1 GB and memory request 1Gi: '1 GB' is not a Kubernetes quantity"),
        ({}, ""),
    ],
)
def test_a_limit_that_kubernetes_would_refuse_is_named_with_its_request(limits: dict[str, Any], clause: str) -> None:
    resources = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": limits}
    assert pod_template.limit_error({"resources": resources}) == clause
