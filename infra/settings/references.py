"""The objects of a cluster that a stack's settings refer to, and that others create."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ephemeral_dask.contract import placeholders
from infra.settings.dask import Scheduler
from infra.settings.pod_extras import CaBundle, EnvFrom, PodExtras, Volume
from infra.settings.prefect import CloudPrefect
from infra.settings.results import VolumeResults
from infra.settings.root import Settings

Kind = Literal["Secret", "ConfigMap", "PersistentVolumeClaim", "PriorityClass", "RuntimeClass", "resource"]

_OF_THE_CLUSTER: Final = ("PriorityClass", "RuntimeClass", "resource")


CLAIM_OF_RESULTS: Final = "results.existingClaim"
"""The key of the stack file that names an existing result volume."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One of them.

    Attributes:
        kind: its kind in Kubernetes; `resource` for an extended resource of a node.
        name: of the object.
        namespace: of the object; empty for one of the whole cluster.
        key: in its data, if one is named.
        where: the key of the stack file that names it.
        prefix: of the variables that pods get from all its keys; None if they get none.

    """

    kind: Kind
    name: str
    namespace: str = ""
    key: str = ""
    where: str
    prefix: str | None = None


def references(settings: Settings) -> tuple[Reference, ...]:
    """Return every reference of the settings."""
    names = settings.namespaces
    of_runs = [each for key, extras in _extras(settings) for each in _of_pod(key, extras)]
    if isinstance(settings.results, VolumeResults) and settings.results.existing_claim:
        claim = settings.results.existing_claim
        of_runs.append(Reference(kind="PersistentVolumeClaim", name=claim, where=CLAIM_OF_RESULTS))
    shared = list(_shared(settings))
    return (
        *(_in(names.runs, each) for each in (*of_runs, *shared)),
        *(_in(names.platform, each) for each in shared),
    )


def _in(namespace: str, reference: Reference) -> Reference:
    return reference if reference.kind in _OF_THE_CLUSTER else replace(reference, namespace=namespace)


def _shared(settings: Settings) -> Iterator[Reference]:
    """Yield what pods of both namespaces refer to: each namespace needs an object of that name."""
    if isinstance(settings.ca_bundle, CaBundle):
        yield from _of_source("caBundle", settings.ca_bundle, settings.ca_bundle.key)
    for name in settings.image.pull_secrets:
        yield Reference(kind="Secret", name=name, where="image.pullSecrets")
    prefect = settings.prefect
    secret = prefect.key_secret if isinstance(prefect, CloudPrefect) else prefect.auth_secret
    if secret:
        key = "keySecret" if isinstance(prefect, CloudPrefect) else "authSecret"
        yield Reference(kind="Secret", name=secret.name, key=secret.key, where=f"prefect.{key}")


def _extras(settings: Settings) -> Iterator[tuple[str, PodExtras]]:
    yield "pods", settings.pods
    yield "flowRun.pod", settings.flow_run.pod
    for name, pool in settings.work_pools.items():
        yield f"workPools.{name}.pods", pool.pods
        if pool.flow_run:
            yield f"workPools.{name}.flowRun.pod", pool.flow_run.pod
    scheduler: Scheduler = settings.dask.scheduler
    yield "dask.scheduler", scheduler
    yield "dask.workerPod", settings.dask.worker_pod
    for name, profile in settings.dask.profiles.items():
        key = f"dask.profiles.{name}"
        yield key, profile
        yield f"{key}.scheduler", profile.scheduler
        if profile.large_workers:
            yield f"{key}.largeWorkers", profile.large_workers


def _of_pod(where: str, extras: PodExtras) -> Iterator[Reference]:
    for variable, secret in extras.secret_env.items():
        yield Reference(kind="Secret", name=secret.name, key=secret.key, where=f"{where}.secretEnv.{variable}")
    for number, source in enumerate(extras.env_from):
        for each in _of_source(f"{where}.envFrom.{number}", source):
            yield replace(each, prefix=source.prefix or "")
    for name, volume in extras.volumes.items():
        key = f"{where}.volumes.{name}"
        for item in volume.items or ("",):
            yield from _of_source(key, volume, item)
        if volume.claim:
            yield Reference(kind="PersistentVolumeClaim", name=volume.claim, where=key)
        for each in (volume.projected or {}).get("sources", ()):
            yield from _of_projected(key, each)
    if extras.priority_class:
        yield Reference(kind="PriorityClass", name=extras.priority_class, where=f"{where}.priorityClass")
    if extras.runtime_class:
        yield Reference(kind="RuntimeClass", name=extras.runtime_class, where=f"{where}.runtimeClass")
    for name in extras.resources:
        yield Reference(kind="resource", name=name, where=f"{where}.resources")
    yield from _of_patch(f"{where}.patch", extras.patch)


_IN_PATCHES: Final[Mapping[str, tuple[Kind, str]]] = {
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "configMap": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""Field of a pod -> the kind of object that it names, and in which of its own fields."""


def _of_patch(where: str, part: Any) -> Iterator[Reference]:
    """Yield what a part of a patch names; a placeholder names something else in each run."""
    if isinstance(part, list | tuple):
        for each in part:
            yield from _of_patch(where, each)
    elif isinstance(part, Mapping):
        for field, value in part.items():
            kind, name = _IN_PATCHES.get(field, (None, ""))
            named = value.get(name) if kind and isinstance(value, Mapping) and not value.get("optional") else None
            if kind and isinstance(named, str) and not placeholders.names(named):
                yield Reference(kind=kind, name=named, key=str(value.get("key", "")), where=where)
            else:
                yield from _of_patch(where, value)


def _of_source(where: str, source: EnvFrom | Volume | CaBundle, key: str = "") -> Iterator[Reference]:
    if source.secret:
        yield Reference(kind="Secret", name=source.secret, key=key, where=where)
    if source.config_map:
        yield Reference(kind="ConfigMap", name=source.config_map, key=key, where=where)


def _of_projected(where: str, source: Mapping[str, Any]) -> Iterator[Reference]:
    kinds: tuple[tuple[str, Kind], ...] = (("secret", "Secret"), ("configMap", "ConfigMap"))
    for field, kind in kinds:
        part = source.get(field) or {}
        if part.get("name") and not part.get("optional"):
            keys: list[str] = [item.get("key", "") for item in part.get("items") or ()]
            for key in keys or [""]:
                yield Reference(kind=kind, name=part["name"], key=key, where=where)
