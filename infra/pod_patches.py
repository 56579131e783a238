"""Whether Kubernetes would take the pods of runs with a stack's additions and patches, as far as one can tell offline.

The server checks more. It is asked where this machine may: `infra.registration.dry_run`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract import labels, placeholders, pod_template, pods, quantities, security
from ephemeral_dask.contract.pods import PodExtras
from infra import job_template, naming
from infra.job_template import JobTemplateArgs
from infra.settings import Settings, layers

IMAGE: Final = "example.com/flow:checked"
"""Stands for an image that is not known yet. Nothing is pulled."""


def templates(settings: Settings) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return container and template of each kind of pod with parts in Kubernetes' own words.

    The key is that of the stack file, with the work pool: `flowRun.pod of work pool dask`.

    Raises:
        ValueError: key and sentence for a patch that would break the restricted Pod Security Standard.

    """
    result = {}
    for pool in settings.work_pools:
        shared = {"pods": settings.pods, f"workPools.{pool}.pods": settings.work_pools[pool].pods}
        # First, so that a mistake is reported for the key that has it.
        for key, additions in shared.items():
            if _is_free(additions.extras()):
                build = functools.partial(_dask_pod, "pod", additions.extras())
                result[f"{key} of work pool {pool}"] = "pod", _checked(key, build)
        args = JobTemplateArgs.of(settings, pool, image=IMAGE, credential={})
        if _is_free(args.pods.flow):
            key = f"workPools.{pool}.flowRun.pod" if settings.work_pools[pool].flow_run else "flowRun.pod"
            template = _checked(key, functools.partial(job_template.flow_pod, args))
            result[f"{key} of work pool {pool}"] = job_template.CONTAINER, template
        for key, name, extras in _dask_pods(settings, pool):
            if _is_free(extras):
                build = functools.partial(_dask_pod, name, extras)
                result[f"{key} of work pool {pool}"] = name, _checked(key, build)
    return result


def _is_free(extras: PodExtras) -> bool:
    """Return whether a part is in Kubernetes' own words, which no model of ours has checked."""
    projected = any("projected" in volume["source"] for volume in extras.volumes.values())
    return bool(extras.patches or extras.affinity or extras.topology_spread or projected)


def errors(settings: Settings) -> list[str]:
    """Return key and sentence for each part that Kubernetes would not take."""
    try:
        made = templates(settings)
    except ValueError as error:
        return [str(error)]
    result: dict[str, str] = {}
    for key, (container, template) in made.items():
        pool = key.rpartition(" ")[2]
        for name in sorted(placeholders.names(template) - _known(settings, pool, container)):
            text = f"contains {{{{ {name} }}}}, and work pool '{pool}' has no job variable of that name for it"
            result[f"{key}{name}"] = f"{key.partition(' ')[0]}.patch: {text}: add it to workPools.{pool}.jobVariables"
        for clause in unknown_fields(template, "V1PodTemplateSpec"):
            result.setdefault(clause, f"{key.partition(' ')[0]}: {clause}")
    return list(result.values())


def _known(settings: Settings, pool: str, container: str) -> set[str]:
    """Return the job variables that a kind of pod can use: in Dask pods the work pool's own."""
    if container == job_template.CONTAINER:
        return set(job_template.variables_schema(settings, pool)["properties"])
    return set(settings.work_pools[pool].job_variables)


def collisions(settings: Settings) -> list[str]:
    """Return key and sentence for each job variable of a work pool that every pool has."""
    result = []
    for name, pool in settings.work_pools.items():
        own = job_template.variables_schema(settings, name, own=False)["properties"]
        result += [
            f"workPools.{name}.jobVariables.{variable}: every work pool has a job variable of that name: choose another"
            for variable in pool.job_variables
            if variable in own
        ]
    return result


def unknown_fields(value: Any, kind: str, path: str = "") -> list[str]:
    """Return a clause for each field that the Kubernetes API does not have, or that has another type there.

    Args:
        value: a part of a manifest.
        kind: its type in the models of the Kubernetes client, such as `V1PodSpec`.
        path: of the part, for messages.

    """
    from kubernetes.client import models  # noqa: PLC0415  a second to import, and only a patch needs it

    return list(_unknown_fields(value, kind, path, models))


def _checked(key: str, build: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        template = build()
    except ValueError as error:
        raise ValueError(f"{key}.patch: {error}") from None
    without_fields_of_jobs(template["spec"])
    return template


def without_fields_of_jobs(spec: dict[str, Any]) -> None:
    """Remove fields of a Job that Prefect's own template has in the pod; Kubernetes ignores them there."""
    for name in ("parallelism", "completions"):
        spec.pop(name, None)


def _dask_pods(settings: Settings, pool: str) -> Iterator[tuple[str, str, PodExtras]]:
    """Yield key, container and additions of every kind of Dask pod."""
    run_pods = layers.run_pods(settings, pool)
    yield "dask.scheduler", "scheduler", run_pods.scheduler
    yield "dask.workerPod", "worker", run_pods.worker
    for name, profile in settings.dask.profiles.items():
        key, own = f"dask.profiles.{name}", profile.contract()
        if own.scheduler.pod != PodExtras():
            yield f"{key}.scheduler", "scheduler", pods.merged(run_pods.scheduler, own.pod.shared(), own.scheduler.pod)
        if own.pod != PodExtras():
            yield key, "worker", pods.merged(run_pods.worker, own.pod)
        if own.large and own.large.pod != PodExtras():
            large = pods.merged(run_pods.common, own.pod.shared(), own.large.pod)
            yield f"{key}.largeWorkers", "worker", large


def _dask_pod(name: str, extras: PodExtras) -> dict[str, Any]:
    """Return a Dask pod with all that the additions can touch; flow pods write the rest."""
    container = {
        "name": name,
        "image": IMAGE,
        "env": [{"name": variable, "value": value} for variable, value in {"HOME": "/tmp", **extras.env}.items()],  # noqa: S108  as flow pods do
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": security.container_security(),
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108  an emptyDir of the pod
    }
    spec = {
        "automountServiceAccountToken": False,
        "serviceAccountName": naming.DASK,
        "securityContext": security.pod_security(),
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    template = {"metadata": {"labels": {labels.COMPONENT: labels.DASK_POD}}, "spec": spec}
    return pod_template.patched(pod_template.extended(template, extras), extras.patches)


def _unknown_fields(value: Any, kind: str, path: str, models: Any) -> Iterator[str]:
    if isinstance(value, str) and placeholders.PATTERN.search(value):
        return
    if kind.startswith(("List[", "list[")):
        if not isinstance(value, list | tuple):
            yield f"{path} must be a list"
            return
        for number, part in enumerate(value):
            yield from _unknown_fields(part, kind[5:-1], f"{path}[{number}]", models)
    elif kind == "Dict[str, str]":
        yield from _mapping_errors(value, path)
    elif (model := getattr(models, kind, None)) is not None and hasattr(model, "openapi_types"):
        yield from _unknown_members(value, model, path, models)
    elif (kind in _TYPES and not isinstance(value, _TYPES[kind])) or (kind == "int" and isinstance(value, bool)):
        yield f"{path} must be {_NAMES[kind]}"


def _mapping_errors(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} must be a mapping"
        return
    for name, part in value.items():
        if path.endswith((".requests", ".limits", ".overhead")):
            yield from _quantity_errors(name, part, f"{path}.{name}")
        elif not isinstance(part, str):
            yield f"{path}.{name} must be a string"


def _quantity_errors(name: str, value: Any, path: str) -> Iterator[str]:
    text = str(quantities.text(value))
    if placeholders.PATTERN.search(text):
        return
    try:
        quantities.check(text)
    except ValueError as error:
        yield f"{path}: {error}: write one such as 500m or 2Gi"
    else:
        if "/" in name and not text.isdecimal():
            yield f"{path} must be a whole number, because it is an extended resource"


def _unknown_members(value: Any, model: Any, path: str, models: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} must be a mapping"
        return
    fields = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for name, part in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name not in fields:
            yield f"{where} is not a field of the Kubernetes API; known there: {', '.join(sorted(fields))}"
        else:
            yield from _unknown_fields(part, fields[name], where, models)
    for attribute, field in model.model_fields.items():
        name = field.serialization_alias or attribute
        # A name that is written in another way is reported above.
        if field.is_required() and value.get(name) is None and fields.keys() >= value.keys():
            yield f"{path or 'the pod'} needs {name}"


_TYPES: Final[Mapping[str, type]] = {"str": str, "int": int, "bool": bool}
_NAMES: Final = {"str": "a string", "int": "an integer", "bool": "true or false"}
