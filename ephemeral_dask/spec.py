"""The DaskCluster manifest of one run. Pure: everything comes in, a dictionary goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask import dask_pod, upstream, worker_memory
from ephemeral_dask.contract import labels, placeholders, pod_template, pods, ports, scheduler, security
from ephemeral_dask.contract.dask import API_VERSION
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.groups import LARGE
from ephemeral_dask.precedence import SettingsError
from ephemeral_dask.scaling import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ephemeral_dask.identity import RunIdentity
    from ephemeral_dask.pod_context import PodContext
    from ephemeral_dask.settings import DaskSettings, Worker

NANNY_SHARE: Final = 96 * 2**20
"""Bytes of the pod's memory that Dask must leave to the nanny. Were its limit the container's, the kernel
would kill the pod before the nanny could restart the worker, and the run would see no reason."""


def dask_cluster(name: str, *, run: RunIdentity, context: PodContext, settings: DaskSettings) -> dict[str, Any]:
    """Return the manifest of the run's Dask cluster: a scheduler and the minimum of workers at once."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": context.namespace,
        "labels": _labels(run, context),
        "annotations": {
            labels.START_TIMEOUT: str(settings.start_timeout),
            **({labels.FLOW_RUN_NAME: run.flow_run_name} if run.flow_run_name else {}),
        },
    }
    if context.owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": context.owner.name,
                "uid": context.owner.uid,
                "controller": False,
                # True needs a right on jobs/finalizers and would hold the Job back until Dask is gone.
                "blockOwnerDeletion": False,
            }
        ]
    return {
        "apiVersion": API_VERSION,
        "kind": "DaskCluster",
        "metadata": metadata,
        "spec": {
            "idleTimeout": settings.idle_timeout,
            "scheduler": {**_scheduler_pod(name, context, settings), "service": _service(name)},
            "worker": {**_worker_pod(name, context, settings.worker), "replicas": settings.first_workers},
        },
    }


def large_worker_group(
    cluster: str, uid: str, worker: Worker, *, run: RunIdentity, context: PodContext
) -> dict[str, Any]:
    """Return the manifest of the cluster's second worker group, without any worker yet.

    Args:
        cluster: name of the run's Dask cluster.
        uid: of the DaskCluster, which Kubernetes takes the group away with.
        worker: one worker of the group.
        run: whose cluster it is.
        context: where it goes.

    """
    owner = {"apiVersion": API_VERSION, "kind": "DaskCluster", "name": cluster, "uid": uid}
    return {
        "apiVersion": API_VERSION,
        "kind": "DaskWorkerGroup",
        "metadata": {
            "name": upstream.large_worker_group(cluster),
            "namespace": context.namespace,
            "labels": _labels(run, context),
            "ownerReferences": [owner | {"controller": False, "blockOwnerDeletion": False}],
        },
        "spec": {"cluster": cluster, "worker": {**_worker_pod(cluster, context, worker), "replicas": 0}},
    }


def _labels(run: RunIdentity, context: PodContext) -> dict[str, str]:
    """Return the labels that the operator copies to every object of the cluster, pods included."""
    return {
        labels.COMPONENT: labels.DASK_POD,
        labels.FLOW: run.flow_label,
        labels.FLOW_RUN: run.flow_run_id,
        **({labels.FLOW_RUN_NAME: run.name_label} if run.name_label else {}),
        **({labels.DEPLOYMENT: context.deployment} if context.deployment else {}),
        **({labels.JOB: context.owner.name} if context.owner else {}),
    }


def _service(name: str) -> dict[str, Any]:
    return {
        "type": "ClusterIP",
        "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
        # Clients and workers connect as soon as the process listens, up to a second before the probe says
        # Ready.
        "publishNotReadyAddresses": True,
        # The operator looks for these two port names.
        "ports": [
            {"name": "tcp-comm", "protocol": "TCP", "port": ports.SCHEDULER_COMM, "targetPort": "tcp-comm"},
            {
                "name": "http-dashboard",
                "protocol": "TCP",
                "port": ports.SCHEDULER_HTTP,
                "targetPort": "http-dashboard",
            },
        ],
    }


def _scheduler_pod(cluster: str, context: PodContext, settings: DaskSettings) -> dict[str, Any]:
    profile = settings.profile
    extras = pods.merged(
        context.pods.scheduler, profile.pod.shared(), profile.scheduler.pod, PodExtras(env=context.own_env)
    )
    pod = dask_pod.pod(cluster, context, _scheduler(context, settings, extras.env))
    return _extended(pod, extras, context, "the Dask scheduler")


def _worker_pod(cluster: str, context: PodContext, worker: Worker) -> dict[str, Any]:
    extras = pods.merged(getattr(context.pods, worker.kind), worker.pod, PodExtras(env=context.own_env))
    pod = dask_pod.pod(cluster, context, _worker(cluster, context, worker, extras.env))
    if context.results is not None:
        pod["volumes"].append({"name": "results", "persistentVolumeClaim": {"claimName": context.results.claim}})
        mount = {"name": "results", "mountPath": context.results.path}
        if context.results.folder is not None:
            mount["subPath"] = context.results.folder
        pod["containers"][0]["volumeMounts"].append(mount)
        pod["securityContext"] |= security.volume_security()
    return _extended(pod, extras, context, "a Dask worker")


def _extended(pod: dict[str, Any], extras: PodExtras, context: PodContext, which: str) -> dict[str, Any]:
    """Return spec and metadata of a pod with the additions of stack, work pool and profile."""
    patches = placeholders.rendered(extras.patches, context.job_variables)
    try:
        template = pod_template.patched(pod_template.extended({"spec": pod}, extras), patches)
    except ValueError as error:
        raise SettingsError(f"The patch of {which} {error}.") from None
    if clause := pod_template.limit_error(template["spec"]["containers"][0]):
        raise SettingsError(f"Kubernetes would refuse the pod of {which}: its {clause}.")
    return {name: part for name, part in template.items() if part}


def _scheduler(context: PodContext, settings: DaskSettings, extra_env: Mapping[str, str]) -> dict[str, Any]:
    args = [
        *upstream.SCHEDULER_COMMAND,
        "--host",
        "[::]" if context.ipv6 else "0.0.0.0",  # noqa: S104 - a pod is reached from outside itself
        "--port",
        str(ports.SCHEDULER_COMM),
        "--dashboard-address",
        f"{dask_pod.EVERY_ADDRESS if context.ipv6 else ''}:{ports.SCHEDULER_HTTP}",
    ]
    preset = PRESETS[settings.scaling]
    env = {
        upstream.HTTP_ROUTES_VARIABLE: upstream.http_routes_value(),
        "DASK_DISTRIBUTED__ADAPTIVE__TARGET_DURATION": preset.target_duration,
        "DASK_DISTRIBUTED__SCHEDULER__UNKNOWN_TASK_DURATION": preset.unknown_task_duration,
        **extra_env,
    }
    own = settings.profile.scheduler
    size = scheduler.size(
        settings.most_workers,
        cpu=own.cpu or context.pods.scheduler_cpu,
        memory=own.memory or context.pods.scheduler_memory,
    )
    health = {"httpGet": {"port": "http-dashboard", "path": "/health"}}
    return dask_pod.container(context, "scheduler", args, env) | {
        "ports": [
            {"name": "tcp-comm", "containerPort": ports.SCHEDULER_COMM, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": ports.SCHEDULER_HTTP, "protocol": "TCP"},
            {"name": "http-metrics", "containerPort": ports.SCHEDULER_METRICS, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": size.cpu, "memory": size.memory_request},
            "limits": {"memory": size.memory_limit},  # no CPU limit: throttling a scheduler slows every worker
        },
        "readinessProbe": health | {"periodSeconds": 1, "timeoutSeconds": 5},
        # A scheduler that takes in a large graph answers late, and a restart would lose the whole run: 5
        # minutes.
        "livenessProbe": health | {"periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 15},
    }


def _worker(cluster: str, context: PodContext, worker: Worker, extra_env: Mapping[str, str]) -> dict[str, Any]:
    memory_limit = worker.memory_bytes - NANNY_SHARE
    args = [
        *upstream.WORKER_COMMAND,
        "--name",
        "$(DASK_WORKER_NAME)",  # set by the operator to the worker's Deployment: how it finds what to delete
        "--nworkers",
        "1",  # the operator retires a worker by deleting its pod: two in one would go together
        "--nthreads",
        str(worker.threads),
        "--memory-limit",
        str(memory_limit),
        # Dask asks for its own address on the way to the scheduler by IPv4 only, as the scheduler has a name.
        *(("--host", f"[$({dask_pod.POD_IP})]") if context.ipv6 else ()),
        "--worker-port",
        str(ports.WORKER_COMM),
        *(("--nanny-port", str(ports.NANNY_COMM)) if worker.nanny else ("--no-nanny",)),
        *(("--resources", f"{LARGE}={worker.threads}") if worker.takes_large else ()),
        "--dashboard-address",
        f"{dask_pod.EVERY_ADDRESS if context.ipv6 else ''}:{ports.WORKER_HTTP}",
        "--local-directory",
        dask_pod.SCRATCH,
    ]
    host = upstream.scheduler_host(cluster, context.namespace)
    env = {
        "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": str(worker_memory.target(memory_limit)),
        # Dask already runs one task per thread: more threads below it fight over the same cores.
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **extra_env,
        "DASK_SCHEDULER_ADDRESS": f"{dask_pod.protocol(context)}://{host}:{ports.SCHEDULER_COMM}",
    }
    # Prefect's task engine opens a client in a worker; nothing in a scheduler does.
    return dask_pod.container(context, "worker", args, env, context.credential) | {
        "ports": [
            {"name": "http-dashboard", "containerPort": ports.WORKER_HTTP, "protocol": "TCP"},
            {"name": "tcp-nanny", "containerPort": ports.NANNY_COMM, "protocol": "TCP"},
            {"name": "tcp-comm", "containerPort": ports.WORKER_COMM, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": worker.cpu, "memory": worker.memory},
            "limits": {"memory": worker.memory},
        },
        # No liveness probe: a task that holds the GIL for a minute would get its worker killed. The nanny
        # watches it.
        "readinessProbe": {
            "httpGet": {"port": "http-dashboard", "path": "/health"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
        },
    }
