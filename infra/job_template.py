"""The work pool's base job template: the Job of a flow run, and the job variables of a deployment or run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, labels, pod_template, pods, profiles, quantities, reserved, security
from ephemeral_dask.contract.pods import RunPods
from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.settings import BlockResults, Dask, FlowRun, JobVariable, NoResults, Results, Settings, VolumeResults, layers

_RESULTS = "/results"

CONTAINER: Final = "prefect-job"
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

    """

    namespace: str
    image: str
    flow_run: FlowRun
    dask: Dask
    results: Results = field(default_factory=NoResults)
    credential: Mapping[str, SecretRef]
    pods: RunPods = field(default_factory=RunPods)
    own: Mapping[str, JobVariable] = field(default_factory=dict)

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
        )


def build(args: JobTemplateArgs) -> dict[str, Any]:
    """Return the template: `job_configuration` with placeholders, `variables` as a JSON schema.

    It has the structure of prefect-kubernetes' own default template, and replaces it completely. Values that the flow
    pod reads are in `job_configuration.env`: Prefect turns the values of that dictionary into strings and drops unset
    ones, whereas Kubernetes refuses a number in a container's own `env` list.
    """
    variables = _variables(args.flow_run, args.dask, args.pods.flow.cpu_limit)
    variables["properties"]["image"]["default"] = args.image
    variables["properties"].update(_own(args.own))
    return {"job_configuration": _job_configuration(args), "variables": variables}


def variables_schema(settings: Settings, pool: str, *, own: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a pool's job variables, without the image's default: only a build knows that.

    Args:
        settings: of the stack.
        pool: its name.
        own: whether those that the pool has beside every pool's are among them.

    """
    flow_run = layers.flow_run(settings, pool)
    schema = _variables(flow_run, settings.dask, layers.run_pods(settings, pool).flow.cpu_limit)
    schema["properties"].update(_own(settings.work_pools[pool].job_variables) if own else {})
    return schema


def _own(variables: Mapping[str, JobVariable]) -> dict[str, Any]:
    return {name: {"title": name.replace("_", " ").title(), **each.contract()} for name, each in variables.items()}


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
        env.SERVICE_ACCOUNT: naming.DASK,
        env.CEILING: str(dask.ceiling),
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
    if args.own:
        # Prefect writes the mapping as Python does, with the values that apply.
        values[env.JOB_VARIABLES] = {name: f"{{{{ {name} }}}}" for name in args.own}
    return {**values, **args.pods.flow.env}


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
        mounts.append({"name": "results", "mountPath": _RESULTS})
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
                    _from_label(env.JOB_NAME, "batch.kubernetes.io/job-name"),
                    _from_label(env.JOB_UID, "batch.kubernetes.io/controller-uid"),
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


def _variables(flow_run: FlowRun, dask: Dask, cpu_limit: str) -> dict[str, Any]:
    text, quantity = {"type": "string"}, quantities.SCHEMA
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    own_names = {"propertyNames": {"not": {"pattern": reserved.variable_pattern()}}}
    properties: dict[str, Any] = {
        "name": _variable("Name", "Name of the Job. Kubernetes adds a suffix.", text),
        "env": _variable(
            "Environment Variables",
            "Environment variables of the flow pod, the Dask scheduler and the Dask workers.",
            {**strings, **own_names},
        ),
        "labels": _variable("Labels", "Labels of the Job and its pod.", strings),
        "annotations": _variable("Annotations", "Annotations of the Job and its pod.", strings),
        "command": _variable("Command", "Command of the flow pod. Leave it empty to run the flow.", text),
        "image": _variable("Image", "Image of the flow pod, the Dask scheduler and the Dask workers.", text),
        "image_pull_policy": _variable(
            "Image Pull Policy",
            "IfNotPresent is enough for images that are referenced by digest.",
            {"type": "string", "enum": ["IfNotPresent", "Always", "Never"]},
            default="IfNotPresent",
        ),
        "finished_job_ttl": _variable(
            "Finished Job TTL",
            "Seconds until a finished Job is deleted, together with its Dask cluster if that still exists.",
            {"type": "integer", "minimum": 0},
            default=flow_run.finished_job_ttl,
        ),
        "active_deadline": _variable(
            "Active Deadline",
            "Seconds after which Kubernetes stops the Job.",
            {"type": "integer", "minimum": 1},
            **({} if flow_run.active_deadline is None else {"default": flow_run.active_deadline}),
        ),
        "cpu_request": _variable(
            "CPU Request",
            "CPU request of the flow pod as a Kubernetes quantity, such as 500m or 2.",
            quantity,
            default=flow_run.cpu_request,
        ),
        "cpu_limit": _variable(
            "CPU Limit",
            "CPU limit of the flow pod; none when unset.",
            quantity,
            **({"default": cpu_limit} if cpu_limit else {}),
        ),
        "memory_request": _variable(
            "Memory Request",
            "Memory request of the flow pod as a Kubernetes quantity, such as 2Gi.",
            quantity,
            default=flow_run.memory_request,
        ),
        "memory_limit": _variable(
            "Memory Limit", "Memory limit of the flow pod.", quantity, default=flow_run.memory_limit
        ),
    }
    for knob in knobs.JOB_VARIABLES:
        schema = knob.schema()
        description = knob.help
        if knob in (knobs.MINIMUM, knobs.MAXIMUM):
            schema["maximum"] = dask.ceiling
        if knob is knobs.PROFILE:
            schema |= {"enum": sorted(dask.profiles)} if dask.profiles else {}
        else:
            # Not a `default`: it would hide what the flow's code sets.
            description += f" Default: what the flow's code sets, else {getattr(dask, knob.argument)}."
        properties[knob.name] = _variable(knob.title, description, schema)
    return {"type": "object", "properties": properties}


def _variable(title: str, description: str, schema: Mapping[str, Any], **default: Any) -> dict[str, Any]:
    return {"title": title, "description": description, **schema, **default}
