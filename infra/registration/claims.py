"""Volumes with data that an update would delete: looked for in the cluster, before anything is changed.

A claim that is declared in another namespace, with another storage class, or not at all is deleted by an update
silently. It is refused unless it is named in `VARIABLE`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import kr8s

from infra.registration.errors import RegistrationError
from infra.registration.kubernetes import call, run

VARIABLE: Final = "EPHEMERAL_DASK_DISCARD"
"""Environment variable with `<namespace>/<claim>`, separated by commas: an update may delete them with their data."""

_OURS: Final = "app.kubernetes.io/managed-by=pulumi,app.kubernetes.io/part-of=ephemeral-dask"

Declared = Mapping[str, Any]
"""A claim of the stack: `namespace`, `name`, `access_mode`, and `storage_class` if the stack sets one."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A PersistentVolumeClaim that exists.

    Attributes:
        namespace: of the claim.
        name: of the claim.
        access_modes: as in Kubernetes.
        storage_class: name of its storage class.

    """

    namespace: str
    name: str
    access_modes: tuple[str, ...] = ()
    storage_class: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """What a look at the cluster has shown.

    Attributes:
        claims: of the stack, with a volume.
        warnings: a sentence for what could not be read.

    """

    claims: tuple[Claim, ...] = ()
    warnings: tuple[str, ...] = ()


def read(annotation: str, stack: str, namespaces: Collection[str], context: str | None) -> Volumes:
    """Return the stack's claims with a volume, in each namespace that belongs to it.

    Args:
        annotation: of a namespace, which names its stack.
        stack: the stack, as the annotation's value.
        namespaces: names that are enough if namespaces must not be listed.
        context: kubeconfig context; the current one if None.

    """

    async def work(api: Any) -> tuple[Claim, ...]:
        names = await _namespaces(api, annotation, stack, namespaces)
        return tuple([claim for name in names for claim in await _claims(api, name)])

    try:
        return Volumes(claims=run("Could not read the stack's volumes", context, work))
    except RegistrationError as error:
        return Volumes(warnings=(f"Volumes that this update would delete are not reported. {error}",))


def discarded() -> frozenset[str]:
    """Return the claims that may be deleted with their data, as `<namespace>/<name>`."""
    return frozenset(each.strip() for each in os.environ.get(VARIABLE, "").split(",") if each.strip())


def errors(declared: Iterable[Declared], claims: Iterable[Claim], allowed: Collection[str]) -> list[str]:
    """Return a sentence for each claim that an update would delete and that is not among the allowed ones."""
    by_key = {f"{each['namespace']}/{each['name']}": each for each in declared}
    return [
        f"this update would delete volume {claim.key} with its data, because {why}: back it up with `make backup`,"
        f" and agree with DISCARD={claim.key} on make's command line ({VARIABLE} for pulumi itself), or undo the change"
        for claim in claims
        if claim.key not in allowed and (why := _why(claim, by_key))
    ]


def _why(claim: Claim, declared: Mapping[str, Declared]) -> str:
    """Return why an update deletes a claim, or an empty string."""
    match = declared.get(claim.key)
    if match is None:
        elsewhere = [key for key, each in declared.items() if each["name"] == claim.name]
        return f"the stack has {elsewhere[0]} instead" if elsewhere else "the stack does not have it any longer"
    if [match["access_mode"]] != list(claim.access_modes):
        return f"its access mode changes from {', '.join(claim.access_modes)} to {match['access_mode']}"
    storage_class = match.get("storage_class")
    if storage_class and storage_class != claim.storage_class:
        return f"its storage class changes from {claim.storage_class or 'none'} to {storage_class}"
    return ""


async def _namespaces(api: Any, annotation: str, stack: str, fallback: Collection[str]) -> list[str]:
    try:
        listed = await call(api, "GET", version="v1", url="namespaces")
    except kr8s.ServerError as error:
        if error.response is not None and error.response.status_code == httpx.codes.FORBIDDEN:
            return list(fallback)
        raise
    metadata = [each["metadata"] for each in listed["items"]]
    return [each["name"] for each in metadata if (each.get("annotations") or {}).get(annotation) == stack]


async def _claims(api: Any, namespace: str) -> list[Claim]:
    options = {"version": "v1", "url": "persistentvolumeclaims", "namespace": namespace}
    listed = await call(api, "GET", **options, params={"labelSelector": _OURS}) or {"items": ()}
    return [
        Claim(
            namespace=namespace,
            name=each["metadata"]["name"],
            access_modes=tuple(each["spec"].get("accessModes") or ()),
            storage_class=each["spec"].get("storageClassName") or "",
        )
        for each in listed["items"]
        # A claim that is not bound has no volume yet.
        if (each.get("status") or {}).get("phase") == "Bound" and "deletionTimestamp" not in each["metadata"]
    ]
