"""Jobs and Pods of runs with parts in Kubernetes' own words, which the API server is asked about before an update."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import job_template, pod_patches
from infra.job_template import JobTemplateArgs
from infra.pod_patches import IMAGE, PLACEHOLDER
from infra.settings import Settings
from infra.specs.deployment import DeploymentSpec

_NAME: Final = "checked-by-preview"
_GIVEN_BY_PREFECT: Final = {"name": _NAME, "labels": {}, "annotations": {}, "command": ["true"]}


def manifests(settings: Settings, deployments: Mapping[str, tuple[DeploymentSpec, ...]]) -> Iterator[dict[str, str]]:
    """Yield each Job and Pod as JSON, with the key of the stack file that it follows: `key` and `manifest`.

    A flow pod is rendered with the job variables of each deployment.
    """
    for key, (container, template) in pod_patches.templates(settings).items():
        where, _, pool = key.partition(" of work pool ")
        if container == job_template.CONTAINER:
            jobs = {_job(settings, pool, variables) for variables in _variables(deployments.get(pool, ()))}
            yield from ({"key": where, "manifest": job} for job in sorted(jobs))
        else:
            pod = {"apiVersion": "v1", "kind": "Pod", **template}
            pod["metadata"] = {**pod["metadata"], "name": _NAME}
            yield {"key": where, "manifest": json.dumps(pod, sort_keys=True)}


def _variables(specs: tuple[DeploymentSpec, ...]) -> Iterator[Mapping[str, Any]]:
    yield {}
    # A value from the environment may be secret, and these manifests are part of the stack's state.
    yield from (spec.job_variables for spec in specs if "job_variables" not in spec.secret_fields)


def _job(settings: Settings, pool: str, variables: Mapping[str, Any]) -> str:
    template = job_template.build(JobTemplateArgs.of(settings, pool, image=IMAGE, credential={}))
    properties = template["variables"]["properties"]
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    job = rendered(template["job_configuration"]["job_manifest"], {**defaults, **_GIVEN_BY_PREFECT, **variables})
    pod_patches.without_fields_of_jobs(job["spec"]["template"]["spec"])
    return json.dumps(job, sort_keys=True)


def rendered(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return a part of a template with values for its placeholders; a field without a value is left out."""
    if isinstance(value, str):
        if whole := PLACEHOLDER.fullmatch(value):
            return variables.get(whole[1])
        return PLACEHOLDER.sub(lambda match: str(variables.get(match[1], "")), value)
    if isinstance(value, Mapping):
        parts = {name: rendered(part, variables) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part is not None}
    if isinstance(value, list):
        return [rendered(part, variables) for part in value]
    return value
