"""Asks the API server whether it would take the pods of runs. It stores nothing, and needs the right to create them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx
import kr8s

from infra.registration.kubernetes import call
from infra.registration.references import Lookup, ask

_KINDS: Final = {"Job": ("batch/v1", "jobs"), "Pod": ("v1", "pods")}

_OF_THE_MOMENT: Final = ("exceeded quota", "error looking up service account", "is being terminated")
"""Refusals that say nothing about the pod: runs wait for a quota, and the first update makes the accounts."""

NOTE: Final = (
    "The API server was not asked about the patches of pods, because this user may not create pods and Jobs, or because"
    " the namespace does not exist yet: they were checked against the fields of the Kubernetes API alone."
)


def try_out(manifests: Iterable[Mapping[str, Any]], namespace: str, context: str | None, *, exists: bool) -> Lookup:
    """Return what the API server would refuse.

    Args:
        manifests: `key`, the key of the stack file that a Job or a Pod follows, and `manifest`, as JSON.
        namespace: of runs.
        context: kubeconfig context; the current one if None.
        exists: whether the namespace does.

    """
    manifests = list(manifests)
    if not manifests:
        return Lookup()
    if not exists:
        return Lookup(warnings=(NOTE,))

    async def work(api: Any) -> Lookup:
        return await _try_out(api, manifests, namespace)

    return ask("Could not try out the patches of pods", context, work, note=NOTE)


async def _try_out(api: Any, manifests: Iterable[Mapping[str, Any]], namespace: str) -> Lookup:
    errors: dict[str, str] = {}
    for each in manifests:
        manifest = json.loads(each["manifest"])
        version, plural = _KINDS[manifest["kind"]]
        options = {"params": {"dryRun": "All", "fieldValidation": "Strict"}, "content": each["manifest"]}
        try:
            await call(api, "POST", version=version, namespace=namespace, url=plural, **options)
        except kr8s.ServerError as error:
            status = 0 if error.response is None else error.response.status_code
            if status == httpx.codes.FORBIDDEN and "cannot create resource" in str(error):
                return Lookup(errors=tuple(errors.values()), warnings=(NOTE,))
            if not 400 <= status < 500:
                raise
            if not any(text in str(error) for text in _OF_THE_MOMENT):
                text = f"{each['key']}: Kubernetes would refuse the {manifest['kind']}: {error}"
                errors.setdefault(str(error), text)
    return Lookup(errors=tuple(errors.values()))
