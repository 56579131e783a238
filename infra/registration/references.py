"""Whether the objects that pods of runs refer to exist, as far as this machine may look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import kr8s

from ephemeral_dask.contract import missing, reserved
from infra.registration.errors import RegistrationError
from infra.registration.kubernetes import call, run

Reference = Mapping[str, Any]
"""`kind`, `name`, `key`, `namespace`, `where` and `prefix`, as `infra.settings.references` has them."""

_NAMESPACED: Final = {
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
}
_CLUSTER: Final = {
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses"),
    "RuntimeClass": ("node.k8s.io/v1", "runtimeclasses"),
}
"""Kind -> version and plural name in the API's paths."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What a look at the cluster has shown.

    Attributes:
        errors: a sentence for each object or key that is missing.
        warnings: a sentence for what may not exist, or could not be looked up.

    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


_Object = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects as the cluster has them.

    Attributes:
        keys: (kind, name, namespace) -> the keys of its data; None if the object does not exist.
        resources: extended resources that some node offers; None if nodes may not be listed.
        forbidden: (kind, name, namespace) of objects that this user may not read.

    """

    keys: Mapping[_Object, frozenset[str] | None] = field(default_factory=dict)
    resources: frozenset[str] | None = None
    forbidden: frozenset[_Object] = frozenset()


def look_up(references: Iterable[Reference], context: str | None, *, existing: Collection[str]) -> Lookup:
    """Read what the references name.

    Args:
        references: of the stack's settings.
        context: kubeconfig context; the current one if None.
        existing: the stack's namespaces that exist.

    """
    references = list(references)
    if not references:
        return Lookup()

    async def work(api: Any) -> Lookup:
        objects = await _read(api, [each for each in references if _may_exist(each, existing)])
        return compare(references, objects, existing=existing)

    note = "What pods refer to could not be looked up."
    return ask("Could not read the objects that pods refer to", context, work, note=note)


def ask(operation: str, context: str | None, work: Callable[[Any], Awaitable[Lookup]], *, note: str) -> Lookup:
    """Return what a request to the cluster finds out; a warning if the cluster cannot be asked.

    Args:
        operation: the beginning of an error message.
        context: kubeconfig context; the current one if None.
        work: takes a client.
        note: the beginning of the warning, a sentence.

    """
    try:
        answer: Lookup = run(operation, context, work)
    except RegistrationError as error:
        return Lookup(warnings=(f"{note} {error}",))
    return answer


def _may_exist(reference: Reference, existing: Collection[str]) -> bool:
    return reference["kind"] not in _NAMESPACED or reference["namespace"] in existing


def compare(references: Iterable[Reference], objects: Objects, *, existing: Collection[str]) -> Lookup:
    """Return a sentence for each object or key that is missing."""
    errors, warnings = [], []
    for each in references:
        kind, name, key, where = each["kind"], each["name"], each["key"], each["where"]
        namespace = each["namespace"]
        if kind == "resource":
            if objects.resources is not None and name not in objects.resources:
                warnings.append(
                    f"{where}: {missing.resource(name)}. Runs wait for one, unless the cluster's autoscaler adds it."
                )
        elif not _may_exist(each, existing):
            warnings.append(
                f"{where}: {kind} '{name}' cannot exist before namespace '{namespace}': create it after this update,"
                " because pods that need it fail until then."
            )
        elif (kind, name, namespace) in objects.forbidden:
            warnings.append(f"{where}: {kind} '{name}' could not be looked up, because this user may not read it.")
        elif (keys := objects.keys.get((kind, name, namespace))) is None:
            errors.append(f"{where}: {missing.reference(kind, name, namespace)}")
        elif key and key not in keys:
            errors.append(f"{where}: {missing.key(kind, name, key, namespace)}")
        elif (prefix := each.get("prefix")) is not None:
            # Kubernetes leaves out a key that cannot be the name of a variable.
            variables = (f"{prefix}{own}" for own in sorted(keys) if f"{prefix}{own}".isidentifier())
            errors += [f"{where}: {kind} '{name}' {error}" for error in reserved.variable_errors(variables)]
    return Lookup(errors=tuple(errors), warnings=tuple(warnings))


async def _read(api: Any, references: Iterable[Reference]) -> Objects:
    keys: dict[_Object, frozenset[str] | None] = {}
    forbidden: set[_Object] = set()
    resources: frozenset[str] | None = None
    for kind, name, namespace in dict.fromkeys((each["kind"], each["name"], each["namespace"]) for each in references):
        try:
            if kind == "resource":
                resources = resources if resources is not None else await _resources(api)
            elif kind in _CLUSTER:
                version, plural = _CLUSTER[kind]
                keys[kind, name, ""] = _keys(await call(api, "GET", version=version, url=f"{plural}/{name}"))
            else:
                version, plural = _NAMESPACED[kind]
                url = f"{plural}/{name}"
                live = await call(api, "GET", version=version, url=url, namespace=namespace)
                keys[kind, name, namespace] = _keys(live)
        except kr8s.ServerError as error:
            if error.response is None or error.response.status_code != httpx.codes.FORBIDDEN:
                raise
            forbidden.add((kind, name, namespace))
    return Objects(keys=keys, resources=resources, forbidden=frozenset(forbidden))


def _keys(live: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return the keys of an object's data; its values go no further."""
    if live is None:
        return None
    return frozenset({*(live.get("data") or {}), *(live.get("binaryData") or {})})


async def _resources(api: Any) -> frozenset[str]:
    nodes = await call(api, "GET", version="v1", url="nodes")
    return frozenset(
        name
        for node in nodes["items"]
        for name, count in (node.get("status", {}).get("allocatable") or {}).items()
        if str(count) != "0"
    )
