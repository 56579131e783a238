"""The work pool's base job template: the Job of a flow run, and the job variables of a deployment or run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, labels, pod_template, pods, prices, profiles, release, security
from ephemeral_dask.contract import results as folders
from ephemeral_dask.contract.pods import RunPods
from ephemeral_dask.contract.secrets import SecretRef
from infra import job_variables, naming
from infra.settings import (
    BlockResults,
    Dask,
    FlowRun,
    JobVariable,
    NoResults,
    Prices,
    Results,
    Settings,
    VolumeResults,
    layers,
)

_RESULTS = "/results"

CONTAINER: Final = labels.FLOW_CONTAINER
"""Name of the flow pod's container, as Prefect's own template has it."""


@dataclass(frozen=True, kw_only=True)
class JobTemplateArgs:
    """The settings of a work pool that its template contains.

    Attributes:
        namespace: of Jobs and Dask clusters.
        image: default image of flow runs, by digest.
        flow_run: defaults of the flow pod.
        dask: defaults and ceiling of the Dask cluster.
        results: where task results are stored.
        credential: environment variable -> reference of the Prefect credential; empty where the API requires none.
        pods: additions to the pods of a run.
        own: job variables of the work pool's own, by name.
        prices: what nodes cost; None where runs do not say what they cost.
        sources: beginnings of the references that the job variable `image` may have; any if empty.

    """

    namespace: str
    image: str
    flow_run: FlowRun
    dask: Dask
    results: Results = field(default_factory=NoResults)
    credential: Mapping[str, SecretRef]
    pods: RunPods = field(default_factory=RunPods)
    own: Mapping[str, JobVariable] = field(default_factory=dict)
    prices: Prices | None = None
    sources: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, pool: str, *, image: str, credential: Mapping[str, SecretRef]) -> JobTemplateArgs:
        """Return the settings of one of the stack's work pools."""
        return cls(
            namespace=settings.namespaces.runs,
            image=image,
            flow_run=layers.flow_run(settings, pool),
            dask=settings.dask,
            results=settings.results,
            credential=credential,
            pods=layers.run_pods(settings, pool),
            own=settings.work_pools[pool].job_variables,
            prices=settings.prices,
            sources=_sources(settings),
        )


def build(args: JobTemplateArgs) -> dict[str, Any]:
    """Return the template: `job_configuration` with placeholders, `variables` as a JSON schema.

    It has the structure of prefect-kubernetes' own default template, and replaces it completely. Values that the flow
    pod reads are in `job_configuration.env`: Prefect turns the values of that dictionary into strings and drops unset
    ones, whereas Kubernetes refuses a number in a container's own `env` list.
    """
    variables = job_variables.of_every_pool(args.flow_run, args.dask, args.pods.flow.cpu_limit, args.sources)
    variables["properties"]["image"]["default"] = args.image
    variables["properties"].update(job_variables.of_one_pool(args.own))
    return {"job_configuration": _job_configuration(args), "variables": variables}


def variables_schema(settings: Settings, pool: str, *, own: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a pool's job variables, without the image's default: only a build knows that.

    Args:
        settings: of the stack.
        pool: its name.
        own: whether those that the pool has beside every pool's are among them.

    """
    flow_run = layers.flow_run(settings, pool)
    cpu_limit = layers.run_pods(settings, pool).flow.cpu_limit
    schema = job_variables.of_every_pool(flow_run, settings.dask, cpu_limit, _sources(settings))
    schema["properties"].update(job_variables.of_one_pool(settings.work_pools[pool].job_variables) if own else {})
    return schema


def _sources(settings: Settings) -> tuple[str, ...]:
    return settings.image.sources if settings.image.only else ()


def _job_configuration(args: JobTemplateArgs) -> dict[str, Any]:
    return {
        "command": "{{ command }}",
        "name": "{{ name }}",
        "labels": "{{ labels }}",
        "annotations": "{{ annotations }}",
        "namespace": args.namespace,
        "env": _environment(args),
        "job_manifest": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "generateName": "{{ name }}-",
                "namespace": args.namespace,
                "labels": "{{ labels }}",
                "annotations": "{{ annotations }}",
            },
            "spec": {
                # Prefect reschedules an evicted run; a retry by Kubernetes would start it twice.
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": "{{ finished_job_ttl }}",
                "activeDeadlineSeconds": "{{ active_deadline }}",
                "template": flow_pod(args),
            },
        },
    }


def _environment(args: JobTemplateArgs) -> dict[str, Any]:
    dask = args.dask
    values: dict[str, Any] = {
        env.NAMESPACE: args.namespace,
        env.IMAGE: "{{ image }}",
        env.RELEASE: release.RELEASE,
        env.SERVICE_ACCOUNT: naming.DASK,
        env.CEILING: str(dask.ceiling),
        **({env.TLS: "true"} if dask.tls else {}),
        **({env.DASHBOARD: dask.dashboard} if dask.dashboard else {}),
        env.PROFILES: profiles.encode({name: profile.contract() for name, profile in dask.profiles.items()}),
        knobs.PROFILE.variable: f"{{{{ {knobs.PROFILE.name} }}}}",
        env.ENV: "{{ env }}",
        # A run without a Job, such as one on a laptop, is judged by its heartbeats; one with a Job sends them too.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(args.flow_run.heartbeat_seconds),
        # A failed pull step is reported to Prefect by a plugin.
        "PREFECT_PLUGINS_ENABLED": "true",
        "PREFECT_PLUGINS_ALLOW": env.PLUGIN,
        # Dask reads the user's name for a cluster's name, and the image's UID has no passwd entry.
        "USER": "flow",
        "HOME": "/tmp",  # noqa: S108  the pod's own emptyDir, the only writable folder
    }
    for knob in knobs.SIZES:
        values[knob.variable] = f"{{{{ {knob.name} }}}}"
        values[knob.default_variable] = str(getattr(dask, knob.argument))
    values.update(_results(args.results))
    for variable, reference in args.credential.items():
        values[env.API_SECRET_VARIABLE] = variable
        values[env.API_SECRET_NAME] = reference.name
        values[env.API_SECRET_KEY] = reference.key
    if args.pods != RunPods():
        values[env.PODS] = pods.encode(args.pods)
    if args.prices is not None:
        values[env.PRICES] = prices.encode(args.prices.contract())
    if args.own:
        # Prefect writes the mapping as Python does, with the values that apply.
        values[env.JOB_VARIABLES] = {name: f"{{{{ {name} }}}}" for name in args.own}
    return {**values, **args.pods.flow.env}


def has_folders(results: Results) -> bool:
    """Return whether each deployment has a folder of its own on the result volume, and its runs mount that alone."""
    return isinstance(results, VolumeResults) and not results.shared


def claim(results: Results) -> str | None:
    """Return the name of the PersistentVolumeClaim with task results; None without one."""
    return (results.existing_claim or naming.RESULTS) if isinstance(results, VolumeResults) else None


def _results(results: Results) -> dict[str, str]:
    if isinstance(results, NoResults):
        return {}
    persist = {"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}
    if isinstance(results, BlockResults):
        return {**persist, "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": results.block}
    volume = {env.RESULTS_CLAIM: str(claim(results)), env.RESULTS_PATH: _RESULTS}
    return {**persist, "PREFECT_LOCAL_STORAGE_PATH": _RESULTS, **volume}


def flow_pod(args: JobTemplateArgs) -> dict[str, Any]:
    """Return the template of the flow pod, with placeholders.

    Raises:
        ValueError: a patch would break the restricted Pod Security Standard.

    """
    template = {"metadata": {"labels": {labels.COMPONENT: naming.FLOW_RUN}, "annotations": {}}, "spec": _pod(args)}
    # The limit is the default of a job variable.
    extras = replace(args.pods.flow, cpu_limit="")
    return pod_template.patched(pod_template.extended(template, extras, waits=False), extras.patches)


def _pod(args: JobTemplateArgs) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108  an emptyDir of the pod
    group: dict[str, Any] = {}
    if name := claim(args.results):
        volumes.append({"name": "results", "persistentVolumeClaim": {"claimName": name}})
        folder = {"subPathExpr": folders.EXPRESSION} if has_folders(args.results) else {}
        mounts.append({"name": "results", "mountPath": _RESULTS, **folder})
        group = security.volume_security()
    return {
        "parallelism": 1,
        "completions": 1,
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "serviceAccountName": naming.FLOW_RUN,
        "terminationGracePeriodSeconds": args.flow_run.grace_seconds,
        "securityContext": {**security.pod_security(), **group},
        "volumes": volumes,
        "containers": [
            {
                "name": CONTAINER,
                "image": "{{ image }}",
                "imagePullPolicy": "{{ image_pull_policy }}",
                "args": "{{ command }}",
                "env": [
                    _from_label(env.JOB_NAME, labels.JOB_NAME),
                    _from_label(env.JOB_UID, labels.JOB_UID),
                    _from_label(env.DEPLOYMENT, "prefect.io/deployment-name"),
                    *([DEPLOYMENT_ID] if has_folders(args.results) else []),
                ],
                "resources": {
                    "requests": {"cpu": "{{ cpu_request }}", "memory": "{{ memory_request }}"},
                    "limits": {"cpu": "{{ cpu_limit }}", "memory": "{{ memory_limit }}"},
                },
                "securityContext": security.container_security(),
                "volumeMounts": mounts,
            }
        ],
    }


def _from_label(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}


DEPLOYMENT_ID: Final = _from_label(env.DEPLOYMENT_ID, labels.PREFECT_DEPLOYMENT)
"""The variable that names the folder of a flow pod's results."""
