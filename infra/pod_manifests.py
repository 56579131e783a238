"""Jobs and Pods of runs with parts in Kubernetes' own words, which the API server is asked about before an update."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract.placeholders import rendered
from infra import job_template, pod_patches
from infra.job_template import JobTemplateArgs
from infra.pod_patches import IMAGE
from infra.settings import Settings
from infra.specs.deployment import DeploymentSpec

_NAME: Final = "checked-by-preview"
_GIVEN_BY_PREFECT: Final = {"name": _NAME, "labels": {}, "annotations": {}, "command": ["true"]}


def manifests(settings: Settings, deployments: Mapping[str, tuple[DeploymentSpec, ...]]) -> Iterator[dict[str, str]]:
    """Yield each Job and Pod as JSON, with the key of the stack file that it follows: `key` and `manifest`.

    They are rendered with the job variables of each deployment.
    """
    for key, (container, template) in pod_patches.templates(settings).items():
        where, _, pool = key.partition(" of work pool ")
        build = _job if container == job_template.CONTAINER else _pod
        made = {build(settings, pool, template, variables) for variables in _variables(deployments.get(pool, ()))}
        yield from ({"key": where, "manifest": manifest} for manifest in sorted(made))


def _variables(specs: tuple[DeploymentSpec, ...]) -> Iterator[Mapping[str, Any]]:
    yield {}
    # A value from the environment may be secret, and these manifests are part of the stack's state.
    yield from (spec.job_variables for spec in specs if "job_variables" not in spec.secret_fields)


def _job(settings: Settings, pool: str, _template: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    template = job_template.build(JobTemplateArgs.of(settings, pool, image=IMAGE, credential={}))
    values = {**_defaults(template["variables"]), **_GIVEN_BY_PREFECT, **variables}
    job = rendered(template["job_configuration"]["job_manifest"], values)
    pod_patches.without_fields_of_jobs(job["spec"]["template"]["spec"])
    return json.dumps(job, sort_keys=True)


def _pod(settings: Settings, pool: str, template: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    values = {**_defaults(job_template.variables_schema(settings, pool)), **variables}
    pod = {"apiVersion": "v1", "kind": "Pod", **rendered(template, values)}
    pod["metadata"] = {**pod["metadata"], "name": _NAME}
    return json.dumps(pod, sort_keys=True)


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each["default"] for name, each in schema["properties"].items() if "default" in each}
