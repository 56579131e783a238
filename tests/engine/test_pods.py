"""What a stack adds to pods, before a real API server: a dry run as Job and Pods, and a look at what they refer to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ephemeral_dask import diagnosis
from ephemeral_dask.contract import missing, pods, profiles
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster
from infra import naming, validation
from infra.pod_manifests import manifests
from infra.registration.dry_run import NOTE, try_out
from infra.registration.references import look_up
from infra.settings import Settings, layers
from infra.specs.deployment import DeploymentSpec
from tests.engine import pods_namespace, service_account
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import NAMESPACE, create

pytestmark = pytest.mark.xdist_group("pods")

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
EVERYTHING: Mapping[str, Any] = {
    "env": {"GREETING": "hello"},
    "secretEnv": {"PGPASSWORD": {"name": "warehouse", "key": "password"}},
    "envFrom": [{"secret": "warehouse", "prefix": "W_"}, {"configMap": "app"}],
    "volumes": {
        "cache": {"mountPath": "/mnt/cache", "claim": "cache", "readOnly": False},
        "app": {"mountPath": "/etc/app", "configMap": "app", "items": {"a": "b"}},
        "shm": {"mountPath": "/dev/shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        "all": {"mountPath": "/etc/all", "projected": {"sources": [{"secret": {"name": "warehouse"}}]}},
    },
    "resources": {"nvidia.com/gpu": 1},
    "cpuLimit": 8,
    "ephemeralStorage": "1Gi",
    "scratchSize": "1Gi",
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "labels": {"team": "data"},
    "annotations": {"example.com/safe-to-evict": "false"},
    "patch": {
        "spec": {
            "hostAliases": [{"ip": "10.9.8.7", "hostnames": ["warehouse.test"]}],
            # Fields that the schema of a pod in the released dask-kubernetes does not have.
            "hostUsers": True,
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        }
    },
}


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with pods_namespace.running(tmp_path_factory.mktemp("kubernetes"), accounts=["reader"]) as kubernetes:
        pods_namespace.serve_dask(kubernetes)
        create(kubernetes, "Secret", "warehouse", data={"password": base64.b64encode(b"x").decode()})
        yield kubernetes


def stack(**values: Any) -> Settings:
    return validation.load_settings({"image": IMAGE, **values}, stack="dev")


def tried(settings: Settings) -> tuple[str, ...]:
    return try_out(manifests(settings, {}), NAMESPACE, None, exists=True).errors


def test_every_addition_is_taken_by_the_api_server_in_all_three_pods(kubernetes: Kubernetes) -> None:
    settings = stack(pods=EVERYTHING)
    keys = [each["key"] for each in manifests(settings, {})]
    assert keys == ["pods", "flowRun.pod", "dask.scheduler", "dask.workerPod"]
    assert tried(settings) == ()

    # The pods as a flow pod writes them.
    context = PodContext(
        namespace=NAMESPACE,
        image="i@sha256:1",
        service_account=naming.DASK,
        passed_on={},
        pods=pods.decode(pods.encode(layers.run_pods(settings, "dask"))),
        own_env={"COUNT": "3"},
    )
    made = dask_cluster("etl-1", run=RUN, context=context, settings=DaskSettings.from_env({}, CodeSizes(worker_cpu=2)))
    server = ("--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    cluster = {**made, "metadata": {**made["metadata"], "namespace": NAMESPACE}}
    kept = json.loads(kubernetes.kubectl("create", *server, stdin=cluster))["spec"]
    assert diagnosis.pruned(made["spec"], kept) == []
    for role in ("scheduler", "worker"):
        part = made["spec"][role]
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**part["metadata"], "name": role, "namespace": NAMESPACE},
            "spec": part["spec"],
        }
        stored = json.loads(kubernetes.kubectl("create", *server, stdin=manifest))
        assert stored["spec"]["resourceClaims"]
        container = stored["spec"]["containers"][0]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert {each["name"] for each in container["env"]} >= {"GREETING", "PGPASSWORD", "COUNT"}
        assert {each["mountPath"] for each in container["volumeMounts"]} >= {"/mnt/cache", "/etc/app", "/dev/shm"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"dnsPolicy": "Sometimes"}, "Unsupported value"),
        ({"nodeSelector": {"a b": "c"}}, "nodeSelector"),
    ],
)
def test_what_only_the_server_knows_is_refused_with_the_key(
    spec: Mapping[str, Any], words: str, kubernetes: Kubernetes
) -> None:
    assert kubernetes
    for key, values in (
        ("flowRun.pod", {"flowRun": {"pod": {"patch": {"spec": spec}}}}),
        ("dask.workerPod", {"dask": {"workerPod": {"patch": {"spec": spec}}}}),
    ):
        [error] = tried(stack(**values))
        assert error.startswith(f"{key}: Kubernetes would refuse the")
        assert words in error


def test_a_deployments_value_of_an_own_job_variable_is_tried_out_in_every_pod(kubernetes: Kubernetes) -> None:
    assert kubernetes
    patch = {"patch": {"spec": {"hostname": "{{ host }}"}}}
    pool = {"jobVariables": {"host": {"default": "plain"}}, "pods": patch}
    settings = stack(workPools={"dask": pool}, dask={"workerPod": patch})

    def errors(host: str) -> tuple[str, ...]:
        spec = DeploymentSpec(flow_name="etl", name="n", entrypoint="flows.etl.etl", job_variables={"host": host})
        return try_out(manifests(settings, {"dask": (spec,)}), NAMESPACE, None, exists=True).errors

    assert errors("other") == ()
    refused = errors("not a name")
    assert {error.partition(":")[0] for error in refused} >= {"flowRun.pod", "workPools.dask.pods"}
    assert all("not a name" in error for error in refused)


def test_without_the_right_to_create_pods_there_is_a_note(
    kubernetes: Kubernetes, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("reader")
    access = service_account.kubeconfig(kubernetes, "reader", namespace=NAMESPACE, folder=folder)
    monkeypatch.setenv("KUBECONFIG", str(access))
    settings = stack(dask={"workerPod": {"patch": {"spec": {"dnsPolicy": "Default"}}}})
    assert try_out(manifests(settings, {}), NAMESPACE, None, exists=True).warnings == (NOTE,)
    reference = {"kind": "Secret", "name": "warehouse", "key": "password"}
    reference |= {"namespace": NAMESPACE, "where": "pods.secretEnv.PGPASSWORD"}
    lookup = look_up([reference], None, existing=(NAMESPACE,))
    assert lookup.errors == ()
    assert "may not read it" in lookup.warnings[0]


def test_a_look_names_what_is_missing_and_nothing_else(kubernetes: Kubernetes) -> None:
    assert kubernetes
    names = (("Secret", "warehouse", "password"), ("Secret", "warehouse", "user"), ("ConfigMap", "app", ""))
    classes = (("PriorityClass", "batch", ""), ("RuntimeClass", "nvidia", ""), ("resource", "nvidia.com/gpu", ""))
    references = [
        {"kind": kind, "name": name, "key": key, "namespace": namespace, "where": "pods"}
        for objects, namespace in ((names, NAMESPACE), (classes, ""))
        for kind, name, key in objects
    ]
    lookup = look_up(references, None, existing=(NAMESPACE,))
    assert lookup.errors == (
        f"pods: {missing.key('Secret', 'warehouse', 'user', NAMESPACE)}",
        f"pods: {missing.reference('ConfigMap', 'app', NAMESPACE)}",
        f"pods: {missing.reference('PriorityClass', 'batch')}",
        f"pods: {missing.reference('RuntimeClass', 'nvidia')}",
    )
    [warning] = lookup.warnings
    assert missing.resource("nvidia.com/gpu") in warning


def test_a_profile_with_additions_arrives_in_the_flow_pod() -> None:
    profile = stack(dask={"profiles": {"gpu": EVERYTHING}}).dask.profiles["gpu"].contract()
    assert profiles.decode(profiles.encode({"gpu": profile})) == {"gpu": profile}
