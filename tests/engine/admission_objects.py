"""The objects of a run as the platform makes them: what the admission policies must take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from dask_kubernetes.operator.controller import controller

from ephemeral_dask.certificates import Certificates
from ephemeral_dask.contract import dask, labels, pods, results
from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract.placeholders import rendered
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import Credential, Owner, PodContext, ResultVolume
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster, large_worker_group
from infra import job_template, naming, validation
from infra.job_template import JobTemplateArgs
from infra.settings import Settings, layers
from tests.engine.pods_namespace import NAMESPACE
from tests.support.manifests import Manifest

REGISTRY: Final = "registry.example.com/data/workflows"
IMAGE: Final = f"{REGISTRY}/flow@sha256:{'a' * 64}"
JOB: Final = "daring-mole-abcde"
_JOB_UID: Final = "0198f0c4-2222-7000-8000-000000000000"
DEPLOYMENT: Final = "0198f0c4-4444-7000-8000-000000000000"
OTHER_DEPLOYMENT: Final = "0198f0c4-5555-7000-8000-000000000000"
CLUSTER: Final = "etl-0198f0c4-1-abcde"
LIVE: Final = "etl-0198f0c4-1-zyxwv"
"""A cluster of the same run that exists."""
RUN: Final = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
_KEY: Final = SecretRef("api-key", "key")
_VARIABLE: Final = "PREFECT_API_AUTH_STRING"
_POOL_PATCH: Final = {
    "spec": {
        "imagePullSecrets": [{"name": "mirror"}],
        "volumes": [
            {"name": "team", "secret": {"secretName": "team-{{ team }}"}},
            {"name": "tenant", "configMap": {"name": "tenant-{{ tenant }}"}},
        ],
    }
}
_PROFILE_PATCH: Final = {
    "spec": {
        "serviceAccountName": "with-cloud",
        "containers": [{"name": "log", "image": "docker.io/acme/log:1"}],
        "volumes": [{"name": "store", "csi": {"driver": "secrets-store.csi.k8s.io"}}],
    }
}
VALUES: Final[Mapping[str, Any]] = {
    "image": {"builder": "prebuilt", "flow": IMAGE, "platform": IMAGE, "pullSecrets": ["registry"], "only": True},
    "prefect": {
        "mode": "server",
        "apiUrl": "https://prefect.example.com/api",
        "authSecret": {"name": _KEY.name, "key": _KEY.key},
    },
    "results": {"store": "volume"},
    "pods": {
        "secretEnv": {"PGPASSWORD": {"name": "warehouse", "key": "password"}},
        "envFrom": [{"secret": "all-of-it"}, {"configMap": "app"}],
        "volumes": {
            "cache": {"mountPath": "/mnt/cache", "claim": "cache"},
            "tls": {"mountPath": "/etc/tls", "secret": "warehouse-tls"},
            "all": {"mountPath": "/etc/all", "projected": {"sources": [{"secret": {"name": "one-of-many"}}]}},
        },
        "priorityClass": "batch",
    },
    "workPools": {
        "dask": {"jobVariables": {"team": {"enum": ["one", "two"]}, "tenant": {}}, "pods": {"patch": _POOL_PATCH}}
    },
    "dask": {
        "ceiling": 20,
        "profiles": {
            "sidecar": {
                "patch": _PROFILE_PATCH,
                "largeWorkers": {"maximum": 2, "cpu": "2", "memory": "4Gi"},
            }
        },
    },
}


@cache
def settings() -> Settings:
    """A stack whose pods have everything that names an object."""
    return validation.load_settings(VALUES, stack="dev")


def job(**variables: Any) -> Manifest:
    """Return the Job of a run, as the Prefect worker makes it from the work pool's template."""
    made: Manifest = _configuration(variables)["job_manifest"]
    del made["metadata"]["generateName"]
    made["metadata"]["name"] = JOB
    template = made["spec"]["template"]
    template["metadata"]["labels"] |= {labels.PREFECT_FLOW_RUN: RUN.flow_run_id, "app.kubernetes.io/name": "etl"}
    for name in ("parallelism", "completions"):
        del template["spec"][name]
    template["spec"]["containers"][0]["env"].append({"name": _VARIABLE, "valueFrom": _KEY.value_from()})
    return made


def environment() -> dict[str, str]:
    """Return the variables of a flow pod, as the Prefect worker makes them, without those from fields and Secrets."""
    from_labels = {env.JOB_NAME: JOB, env.JOB_UID: _JOB_UID, env.DEPLOYMENT_ID: DEPLOYMENT}
    variables = _configuration({"env": {}})["env"] | from_labels
    return {name: str(value) for name, value in variables.items()}


def _configuration(variables: Mapping[str, Any]) -> dict[str, Any]:
    args = JobTemplateArgs.of(settings(), "dask", image=IMAGE, credential={_VARIABLE: _KEY})
    template = job_template.build(args)
    properties = template["variables"]["properties"]
    values = {name: each["default"] for name, each in properties.items() if "default" in each}
    values |= {"name": JOB, "labels": {}, "annotations": {}, "command": ["true"], "team": "one", "tenant": "acme"}
    return dict(rendered(template["job_configuration"], values | variables))


def context(**changes: Any) -> PodContext:
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "image": IMAGE,
        "service_account": naming.DASK,
        "owner": Owner(name=JOB, uid=_JOB_UID),
        "credential": Credential(variable=_VARIABLE, secret=_KEY),
        "results": ResultVolume(claim=naming.RESULTS, path="/results", folder=results.folder(DEPLOYMENT)),
        "passed_on": {"PREFECT_API_URL": "https://prefect.example.com/api"},
        "pods": pods.decode(pods.encode(layers.run_pods(settings(), "dask"))),
        "job_variables": {"team": "two", "tenant": "acme"},
        "tls": True,
    }
    return PodContext(**(values | changes))


def sizes(*, profile: bool) -> DaskSettings:
    plain = DaskSettings.from_env({}, CodeSizes(minimum=2, maximum=20))
    if not profile:
        return plain
    return replace(plain, profile=settings().dask.profiles["sidecar"].contract(), profile_name="sidecar")


def cluster(*, profile: bool = False, **changes: Any) -> Manifest:
    """Return the DaskCluster of a run, as its flow pod makes it."""
    return dask_cluster(CLUSTER, run=RUN, context=context(**changes), settings=sizes(profile=profile))


def large_group() -> Manifest:
    """Return the second worker group of a run, as its flow pod makes it."""
    worker = sizes(profile=True).large_worker
    assert worker is not None
    return large_worker_group(CLUSTER, "0198f0c4-3333-7000-8000-000000000000", worker, run=RUN, context=context())


def certificates(**changes: Any) -> Manifest:
    """Return the Secret with the certificates of a run's cluster, as its flow pod makes it."""
    return Certificates.new().secret(cluster(**changes), "0198f0c4-3333-7000-8000-000000000000")


def default_group() -> Manifest:
    """Return the first one, as the operator makes it from the DaskCluster."""
    made = cluster()
    build = controller.build_default_worker_group_spec
    return dict(build(CLUSTER, made["spec"]["worker"], made["metadata"]["annotations"], made["metadata"]["labels"]))


def scheduler() -> Manifest:
    """Return the scheduler's Deployment, as the operator makes it from the DaskCluster."""
    made = cluster()
    spec, metadata = made["spec"]["scheduler"]["spec"], made["metadata"]
    return controller.build_scheduler_deployment_spec(CLUSTER, spec, metadata["annotations"], metadata["labels"])


def worker(*, profile: bool = False) -> Manifest:
    """Return a worker's Deployment, as the operator makes it from a worker group."""
    made = cluster(profile=profile)
    part = made["spec"]["worker"]
    marks = {**made["metadata"]["labels"], **part.get("metadata", {}).get("labels", {})}
    return controller.build_worker_deployment_spec(
        f"{CLUSTER}-default", NAMESPACE, CLUSTER, "0123456789", part["spec"], {}, marks
    )


def service() -> Manifest:
    """Return the scheduler's Service, as the operator makes it from the DaskCluster."""
    made = cluster()
    spec, metadata = made["spec"]["scheduler"]["service"], made["metadata"]
    return controller.build_scheduler_service_spec(CLUSTER, spec, metadata["annotations"], metadata["labels"])


def pod(component: str, account: str) -> Manifest:
    """Return a pod as a controller makes it; what else is in it comes from a Job or Deployment."""
    spec = scheduler()["spec"]["template"]["spec"] | {"serviceAccountName": account, "serviceAccount": account}
    metadata = {"name": "of-a-controller", "labels": {labels.COMPONENT: component}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def flow_pod(job: str, deployment: str) -> Manifest:
    """Return the pod of a Job, as Kubernetes makes it for a run of a deployment."""
    made = pod(labels.FLOW_RUN_POD, naming.FLOW_RUN)
    made["metadata"]["name"] = f"{job}-x1y2z"
    made["metadata"]["labels"] |= {labels.JOB_NAME: job, labels.PREFECT_DEPLOYMENT: deployment}
    return made


def autoscaler() -> Manifest:
    """Return what a run could let the operator scale its cluster with."""
    spec = {"cluster": CLUSTER, "minimum": 1, "maximum": 500}
    return {
        "apiVersion": dask.API_VERSION,
        "kind": "DaskAutoscaler",
        "metadata": {"name": CLUSTER},
        "spec": spec,
    }
