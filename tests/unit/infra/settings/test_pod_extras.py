"""Additions to pods: what the stack file may say, and which pods get it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ephemeral_dask.contract import pods
from infra import settings, validation
from infra.settings import layers
from infra.settings.references import Reference, references

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
WAREHOUSE = {"PGPASSWORD": {"name": "warehouse", "key": "password"}}


def parsed(**values: Any) -> settings.Settings:
    return validation.load_settings({"image": IMAGE, **values}, stack="dev")


def refusal(**values: Any) -> str:
    with pytest.raises(settings.SettingsError) as caught:
        parsed(**values)
    return str(caught.value)


def test_the_layers_are_stack_pool_and_kind_of_pod() -> None:
    stack = parsed(
        pods={"env": {"A": "stack", "B": "stack", "C": "stack"}},
        workPools={"dask": {"pods": {"env": {"B": "pool", "C": "pool"}}}, "other": {}},
        flowRun={"pod": {"env": {"C": "flow"}}},
        dask={"scheduler": {"env": {"C": "scheduler"}, "cpu": 2}, "workerPod": {"env": {"C": "worker"}}},
    )
    run = layers.run_pods(stack, "dask")
    for kind in ("flow", "scheduler", "worker"):
        assert getattr(run, kind).env == {"A": "stack", "B": "pool", "C": kind}
    assert run.common.env == {"A": "stack", "B": "pool", "C": "pool"}
    assert (run.scheduler_cpu, run.scheduler_memory) == ("2", "")
    assert layers.run_pods(stack, "other").common.env == {"A": "stack", "B": "stack", "C": "stack"}


def test_a_pools_own_flow_run_takes_the_place_of_the_stacks() -> None:
    stack = parsed(
        flowRun={"pod": {"env": {"A": "stack"}}}, workPools={"dask": {"flowRun": {"pod": {"env": {"B": "pool"}}}}}
    )
    assert layers.run_pods(stack, "dask").flow.env == {"B": "pool"}


def test_a_stack_without_additions_has_none() -> None:
    assert layers.run_pods(parsed(), "dask") == pods.RunPods()


def test_additions_are_handed_on_in_the_form_of_the_kubernetes_api() -> None:
    extras = parsed(
        pods={
            "secretEnv": WAREHOUSE,
            "envFrom": [{"secret": "aws"}, {"configMap": "app", "prefix": "APP_"}],
            "volumes": {
                "cache": {"mountPath": "/cache", "claim": "cache", "readOnly": False, "subPath": "a"},
                "app": {"mountPath": "/etc/app", "configMap": "app", "items": {"app.yaml": "a.yaml"}},
                "shm": {"mountPath": "/dev/shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
                "all": {"mountPath": "/etc/all", "projected": {"sources": [{"secret": {"name": "a"}}]}},
            },
            "resources": {"nvidia.com/gpu": 1},
        }
    ).pods.extras()
    assert extras.secret_env == WAREHOUSE
    assert extras.env_from == ({"secretRef": {"name": "aws"}}, {"configMapRef": {"name": "app"}, "prefix": "APP_"})
    assert extras.resources == {"nvidia.com/gpu": "1"}
    assert extras.volumes == {
        "cache": {
            "source": {"persistentVolumeClaim": {"claimName": "cache"}},
            "mount": {"mountPath": "/cache", "subPath": "a"},
        },
        "app": {
            "source": {"configMap": {"name": "app", "items": [{"key": "app.yaml", "path": "a.yaml"}]}},
            "mount": {"mountPath": "/etc/app", "readOnly": True},
        },
        "shm": {
            "source": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            "mount": {"mountPath": "/dev/shm"},
        },
        "all": {
            "source": {"projected": {"sources": [{"secret": {"name": "a"}}]}},
            "mount": {"mountPath": "/etc/all", "readOnly": True},
        },
    }


@pytest.mark.parametrize("name", ["secret", "configMap"])
def test_a_ca_bundle_is_a_volume_and_the_variables_that_programs_read(name: str) -> None:
    run = layers.run_pods(parsed(caBundle={name: "company-ca"}), "dask")
    for kind in (run.flow, run.scheduler, run.worker, run.common):
        assert set(kind.env.values()) == {"/etc/ephemeral-dask/ca/ca.crt"}
        assert {"SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} <= set(kind.env)
        assert "company-ca" in str(kind.volumes["ca-bundle"]["source"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"pods": {"env": {"PREFECT_API_URL": "x"}}}, "pods.env: contains PREFECT_API_URL, which the platform sets"),
        ({"pods": {"secretEnv": {"EPHEMERAL_DASK_X": {"name": "a", "key": "b"}}}}, "pods.secretEnv: contains EPHEM"),
        ({"dask": {"profiles": {"gpu": {"env": {"PREFECT_API_KEY": "x"}}}}}, "dask.profiles.gpu.env: contains PREFECT"),
        ({"pods": {"env": {"A": "1"}, "secretEnv": {"A": {"name": "a", "key": "b"}}}}, "both contain A"),
        ({"pods": {"env": {"A": "{{ b }}"}}}, "pods: contains {{"),
        (
            {"pods": {"volumes": {"a": {"mountPath": "/app", "claim": "a"}}}},
            "pods.volumes.a.mountPath: '/app' would hide",
        ),
        ({"pods": {"volumes": {"a": {"mountPath": "/tmp/a", "claim": "a"}}}}, "'/tmp/a' would hide /tmp"),
        ({"pods": {"volumes": {"a": {"mountPath": "/a", "claim": "a", "secret": "b"}}}}, "needs one of claim"),
        ({"pods": {"volumes": {"a": {"mountPath": "/a"}}}}, "needs one of claim"),
        ({"pods": {"volumes": {"tmp": {"mountPath": "/a", "claim": "a"}}}}, "volumes contains 'tmp'"),
        (
            {"pods": {"volumes": {"a": {"mountPath": "/a", "claim": "a"}, "b": {"mountPath": "/a/", "claim": "b"}}}},
            "volumes mounts two at /a",
        ),
        ({"pods": {"volumes": {"a": {"mountPath": "/a", "claim": "a", "items": {"a": "b"}}}}}, "items are keys"),
        ({"pods": {"envFrom": [{"prefix": "A"}]}}, "pods.envFrom.0: needs one of secret and configMap"),
        ({"caBundle": {"key": "a"}}, "caBundle: needs one of secret and configMap"),
        ({"pods": {"resources": {"cpu": 1}}}, "pods.resources: contains 'cpu', which is not an extended resource"),
        ({"pods": {"resources": {"nvidia.com/gpu": "0.5"}}}, "a whole number of at least 1"),
        ({"pods": {"resources": {"nvidia.com/gpu": 0.5}}}, "nvidia.com/gpu: 0.5, and an extended resource is a whole"),
        ({"pods": {"resources": {"nvidia.com/gpu": "\u00b2"}}}, "a whole number of at least 1"),
        ({"pods": {"resources": {"requests.nvidia.com/gpu": 1}}}, "which is not an extended resource"),
        ({"pods": {"resources": {"nvidia..com/gpu": 1}}}, "which is not an extended resource"),
        ({"pods": {"env": {"PORT": 5432}}}, "pods.env.PORT: must be text: put a number, or a word such as true, in"),
        ({"pods": {"env": {"A": "x" * 130_000}}}, "workPools.dask: variable A of the pods of runs take 126 KiB"),
        ({"pods": {"secretEnv": {"A": {"name": "a", "key": "b/c"}}}}, "'b/c' is not a key of a Secret or ConfigMap"),
        ({"pods": {"secretEnv": {"A": {"name": "a..b", "key": "c"}}}}, "'a..b' is not the name of a Kubernetes object"),
        ({"pods": {"cpuLimit": "100 m"}}, "'100 m' is not a Kubernetes quantity: write one such as 500m or 2"),
        ({"caBundle": {"configMap": "a", "key": "../ca.crt"}}, "caBundle.key: '../ca.crt' is not a key of a Secret"),
        ({"pods": {"labels": {"a b": "c"}}}, "pods.labels: contains 'a b', which Kubernetes refuses as a key"),
        ({"pods": {"labels": {"team": "b c"}}}, "pods.labels: contains team: 'b c', and the value of a label has"),
        ({"pods": {"labels": {"PREFECT.io/x": "y"}}}, "which Kubernetes refuses as a key"),
        ({"pods": {"labels": {"job-name": "x"}}}, "pods.labels: contains job-name, which the platform sets"),
        ({"worker": {"pod": {"labels": {"a": "b c"}}}}, "worker.pod.labels: contains a: 'b c'"),
        ({"pods": {"nodeSelector": {"a b": "c"}}}, "pods.nodeSelector: contains 'a b'"),
        (
            {"pods": {"annotations": {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"}}},
            "pods.annotations: annotation container.apparmor.security.beta.kubernetes.io/worker must be runtime/",
        ),
        ({"pods": {"tolerations": [{}]}}, "pods.tolerations.0: needs a key, or operator: Exists"),
        ({"pods": {"tolerations": [{"operator": "Exists", "value": "x"}]}}, "operator Exists takes every value"),
        ({"pods": {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}}, "for effect NoExecute only"),
        ({"pods": {"labels": {"prefect.io/flow-run-id": "x"}}}, "pods.labels: contains prefect.io/flow-run-id"),
        ({"pods": {"secretEnv": {"A": {"name": "Not_a_name", "key": "b"}}}}, "is not the name of a Kubernetes object"),
        ({"pods": {"patch": {"spce": {}}}}, "pods.patch: contains spce, and a patch of a pod has only"),
        (
            {"pods": {"patch": {"spec": {"containers": [{"name": "worker"}]}}}},
            "flowRun.pod.patch, dask.scheduler.patch",
        ),
        (
            {"flowRun": {"pod": {"patch": {"spec": {"volumes": [{"name": "tmp"}]}}}}},
            "flowRun.pod.patch: contains volume 'tmp'",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_key(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**values)


def test_every_object_that_others_create_is_a_reference_with_the_key_that_names_it() -> None:
    stack = parsed(
        pods={"secretEnv": WAREHOUSE, "priorityClass": "batch"},
        caBundle={"configMap": "ca"},
        flowRun={"pod": {"envFrom": [{"configMap": "app"}]}},
        results={"store": "volume", "existingClaim": "results"},
        dask={
            "workerPod": {"resources": {"nvidia.com/gpu": 1}, "runtimeClass": "nvidia"},
            "scheduler": {"volumes": {"c": {"mountPath": "/c", "claim": "cache"}}},
            "profiles": {
                "big": {
                    "volumes": {"p": {"mountPath": "/p", "projected": {"sources": [{"secret": {"name": "p"}}]}}},
                    "scheduler": {"secretEnv": {"A": {"name": "a", "key": "b"}}},
                    "largeWorkers": {
                        "maximum": 1,
                        "cpu": "1",
                        "memory": "1Gi",
                        "volumes": {"l": {"mountPath": "/l", "secret": "l", "items": {"k": "f"}}},
                    },
                }
            },
        },
    )
    assert {replace(each, namespace="") for each in references(stack)} == {
        Reference(kind="Secret", name="warehouse", key="password", where="pods.secretEnv.PGPASSWORD"),
        Reference(kind="PriorityClass", name="batch", where="pods.priorityClass"),
        Reference(kind="ConfigMap", name="ca", key="ca.crt", where="caBundle"),
        Reference(kind="ConfigMap", name="app", where="flowRun.pod.envFrom.0", prefix=""),
        Reference(kind="PersistentVolumeClaim", name="results", where="results.existingClaim"),
        Reference(kind="resource", name="nvidia.com/gpu", where="dask.workerPod.resources"),
        Reference(kind="RuntimeClass", name="nvidia", where="dask.workerPod.runtimeClass"),
        Reference(kind="PersistentVolumeClaim", name="cache", where="dask.scheduler.volumes.c"),
        Reference(kind="Secret", name="p", where="dask.profiles.big.volumes.p"),
        Reference(kind="Secret", name="a", key="b", where="dask.profiles.big.scheduler.secretEnv.A"),
        Reference(kind="Secret", name="l", key="k", where="dask.profiles.big.largeWorkers.volumes.l"),
    }
    assert [each.where for each in references(stack) if each.namespace == "flows"] == ["caBundle"]
    of_the_cluster = {each.kind for each in references(stack) if not each.namespace}
    assert of_the_cluster == {"PriorityClass", "RuntimeClass", "resource"}


def test_an_existing_secret_with_the_credential_must_be_in_both_namespaces() -> None:
    stack = parsed(prefect={"mode": "embedded", "authSecret": {"name": "login", "key": "auth"}}, runsNamespace="batch")
    secret = Reference(kind="Secret", name="login", key="auth", where="prefect.authSecret")
    assert set(references(stack)) == {replace(secret, namespace=name) for name in ("flows", "batch")}


def test_a_secret_that_pulls_images_must_be_in_both_namespaces() -> None:
    stack = validation.load_settings({"image": {**IMAGE, "pullSecrets": ["registry"]}}, stack="dev")
    secret = Reference(kind="Secret", name="registry", where="image.pullSecrets")
    assert set(references(stack)) == {replace(secret, namespace=name) for name in ("flows", "flows-runs")}


@pytest.mark.parametrize(
    ("patch", "clause"),
    [
        ({"spec": "x"}, "spec must be a mapping"),
        ({"metadata": ["x"]}, "metadata must be a mapping"),
        ({"metadata": {"labels": "x"}}, "metadata.labels must be a mapping"),
        ({"spec": {"containers": {"name": "worker"}}}, "spec.containers must be a list"),
        ({"spec": {"containers": ["worker"]}}, "spec.containers[0] must be a mapping"),
        ({"spec": {"containers": [{"image": "i"}]}}, "spec.containers[0] needs a name"),
        ({"spec": {"containers": [{"name": "worker", "env": {"A": "b"}}]}}, "spec.containers[0].env must be a list"),
        ({"spec": {"containers": [{"name": "w", "volumeMounts": ["/a"]}]}}, "volumeMounts must be a list of mappings"),
        ({"spec": {"volumes": "x"}}, "spec.volumes must be a list"),
        ({"spec": {"hostAliases": ["x"]}}, "spec.hostAliases[0] must be a mapping"),
        ({"spec": {"imagePullSecrets": ["x"]}}, "spec.imagePullSecrets[0] must be a mapping"),
        ({"spec": {"topologySpreadConstraints": [{"maxSkew": 1}]}}, "[0] needs a topologyKey"),
        ({"spec": {"volumes": [{"name": ["x"]}]}}, "spec.volumes[0] needs a name"),
        ({"spec": {"containers": [{"name": "worker", "ports": ["x"]}]}}, "ports must be a list of mappings"),
        ({"spec": {"containers": [{"name": "worker", "env": [{"value": "x"}]}]}}, "env[0] needs a name"),
        ({"spec": {"affinity": {"$patch": "x"}}}, "spec.affinity.$patch must be one of replace, delete, merge"),
        ({"metadata": {"labels": None}}, "metadata.labels must be a mapping"),
        ({"metadata": {"labels": {"$patch": "replace"}}}, "metadata.labels contains $patch"),
        ({"metadata": {"annotations": {"a b": "c"}}}, "contains 'a b', which Kubernetes refuses as a key"),
        ({"metadata": {"name": "x"}}, "metadata contains name, and a patch sets only labels and annotations"),
        ({"spec": {"securityContext": "x"}}, "spec.securityContext must be a mapping"),
        ({"spec": {"securityContext": {"seccompProfile": "x"}}}, "securityContext.seccompProfile must be a mapping"),
        ({"spec": {"containers": [{"name": "w", "securityContext": {"privileged": "{{ x }}"}}]}}, "a placeholder"),
    ],
)
def test_a_patch_of_another_shape_is_refused_with_its_key(patch: dict[str, Any], clause: str) -> None:
    text = refusal(dask={"workerPod": {"patch": patch}})
    assert "dask.workerPod.patch: " in text
    assert clause in text


@pytest.mark.parametrize(
    ("patch", "clause"),
    [
        ({"spec": None}, "spec must be a mapping"),
        ({"spec": {"$patch": "delete"}}, "spec contains $patch"),
        ({"spec": {"containers": None}}, "would remove container 'worker'"),
        ({"spec": {"containers": [{"name": "worker", "$patch": "delete"}]}}, "would remove container 'worker'"),
        ({"spec": {"containers": [{"name": "worker", "image": None}]}}, "leaves container 'worker' without an image"),
        ({"spec": {"containers": [{"name": "workr"}]}}, "container 'workr' without an image: give it one, or name the"),
        (
            {"spec": {"containers": [{"name": "worker", "envFrom": [{"prefix": "PREFECT_API_"}]}]}},
            "would make variables that the platform sets",
        ),
        ({"spec": {"volumes": None}}, "would remove volume 'scratch'"),
        ({"spec": {"containers": [{"name": "worker", "volumeMounts": None}]}}, "would remove the mount at /tmp"),
        (
            {"spec": {"containers": [{"name": "worker", "volumeMounts": [{"mountPath": "/tmp", "$patch": "delete"}]}]}},
            "would remove the mount at /tmp",
        ),
        ({"spec": {"containers": [{"name": "worker", "env": [{"$patch": "replace"}]}]}}, "would remove variable HOME"),
        ({"spec": {"containers": [{"name": "worker", "env": None}]}}, "would remove variable HOME"),
        (
            {"spec": {"containers": [{"name": "worker", "env": [{"name": "prefect_api_url", "value": "x"}]}]}},
            "contains prefect_api_url, which the platform sets",
        ),
        (
            {"spec": {"containers": [{"name": "worker", "volumeMounts": [{"name": "x", "mountPath": "/mnt/x"}]}]}},
            "mounts volume 'x' at /mnt/x, and the pod has no volume of that name",
        ),
        (
            {
                "spec": {
                    "volumes": [{"name": "x", "emptyDir": {}}],
                    "containers": [
                        {"name": "worker", "volumeMounts": [{"name": "x", "mountPath": "/x", "subPath": "../y"}]}
                    ],
                }
            },
            "contains subPath, and '../y' is not a path within the volume",
        ),
        (
            {"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"}}},
            "would break the restricted Pod Security Standard",
        ),
    ],
)
def test_a_patch_that_takes_the_pods_own_container_is_refused_with_its_key(patch: dict[str, Any], clause: str) -> None:
    text = refusal(dask={"workerPod": {"patch": patch}})
    assert "dask.workerPod.patch: " in text
    assert clause in text


@pytest.mark.parametrize("prefix", ["PREFECT_API_", "PREFECT_API", "EPHEMERAL_DASK_", "prefect_api_", "a-b"])
def test_a_prefix_cannot_make_variables_of_the_platform(prefix: str) -> None:
    assert "pods.envFrom.0.prefix: " in refusal(pods={"envFrom": [{"secret": "warehouse", "prefix": prefix}]})
    assert parsed(pods={"envFrom": [{"secret": "warehouse", "prefix": "W_"}]})


@pytest.mark.parametrize(
    ("volume", "clause"),
    [
        ({"claim": "c", "subPath": "../x"}, "subPath: '../x' is not a path within the volume"),
        ({"claim": "c", "subPath": "/x"}, "subPath: '/x' is not a path within the volume"),
        ({"secret": "s", "items": {"k": "../x"}}, "items.k: '../x' is not a path within the volume"),
        ({"secret": "s", "items": {"a/b": "x"}}, "'a/b' is not a key of a Secret or ConfigMap"),
        ({"secret": "s", "items": {"a": "x", "b": "x"}}, "items puts two keys into one file"),
        ({"emptyDir": {}, "readOnly": True}, "an emptyDir is always writable"),
        ({"secret": "s", "readOnly": False}, "only a claim or an emptyDir can be written to"),
        ({"projected": {}}, "projected: needs sources, a list"),
        ({"projected": {"sources": None}}, "projected: needs sources, a list"),
        ({"projected": {"sources": ["x"]}}, "projected: sources[0] must be a mapping"),
        ({"projected": {"sources": [{"secret": "x"}]}}, "projected: sources[0] must be a mapping"),
        ({"projected": {"sources": [{"secret": {"items": []}}]}}, "sources[0].secret needs the name of an object"),
    ],
)
def test_a_volume_that_kubernetes_would_refuse_is_refused_with_its_key(volume: dict[str, Any], clause: str) -> None:
    text = refusal(pods={"volumes": {"a": {"mountPath": "/mnt/a", **volume}}})
    assert "pods.volumes.a" in text
    assert clause in text


@pytest.mark.parametrize("path", ["/mnt/./a", "//mnt/a", "/mnt//a", "/mnt/a/."])
def test_two_volumes_at_one_path_are_found_in_every_spelling(path: str) -> None:
    volumes = {"a": {"mountPath": "/mnt/a", "claim": "a"}, "b": {"mountPath": path, "claim": "b"}}
    assert "volumes mounts two at /mnt/a" in refusal(pods={"volumes": volumes})


def test_two_layers_cannot_mount_at_one_path() -> None:
    low = {"volumes": {"a": {"mountPath": "/mnt/a", "configMap": "app"}}}
    high = {"volumes": {"b": {"mountPath": "/mnt/a/", "configMap": "app"}}}
    for key, values in (
        ("flowRun.pod", {"flowRun": {"pod": high}}),
        ("dask.scheduler", {"dask": {"scheduler": high}}),
        ("dask.workerPod", {"dask": {"workerPod": high}}),
        ("dask.profiles.p", {"dask": {"profiles": {"p": high}}}),
    ):
        assert f"{key}: volumes 'a' and 'b' are both mounted at /mnt/a in one pod" in refusal(pods=low, **values)
    assert parsed(pods=low, dask={"workerPod": {"volumes": {"a": high["volumes"]["b"]}}})


def test_labels_may_be_called_like_lists_of_a_pod() -> None:
    term = {"labelSelector": {"matchLabels": {"env": "prod", "ports": "open"}}, "topologyKey": "zone"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    patch = {"spec": {"affinity": affinity, "nodeSelector": {"volumes": "fast"}}}
    assert parsed(dask={"workerPod": {"patch": patch}})


def test_what_a_patch_names_is_looked_up() -> None:
    container = {
        "name": "worker",
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "warehouse", "key": "user"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "other", "key": "b", "optional": True}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "{{ tier }}", "key": "c"}}},
        ],
    }
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    patch = {"patch": {"spec": {"containers": [container], "volumes": volumes}}}
    stack = parsed(dask={"workerPod": patch}, workPools={"dask": {"jobVariables": {"tier": {}}}})
    assert {replace(each, namespace="") for each in references(stack)} == {
        Reference(kind="Secret", name="warehouse", key="user", where="dask.workerPod.patch"),
        Reference(kind="PersistentVolumeClaim", name="data", where="dask.workerPod.patch"),
    }
