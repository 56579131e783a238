"""Strategic merge patches of a pod's template, as `kubectl patch` applies them.

Source of the rules and keys: the `x-kubernetes-patch-*` fields of the Kubernetes API's OpenAPI document.
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""List -> the field that tells its elements apart. A list that is not here is replaced as a whole."""

_DIRECTIVE: Final = "$patch"


def merge(original: Any, patch: Any, name: str = "") -> Any:
    """Return an object with a patch applied; neither is changed.

    `null` removes a field, and so does a mapping with `$patch: delete`. In a list with a key, `$patch: delete` removes
    an element and `$patch: replace` the others.

    Args:
        original: any JSON value.
        patch: what to change in it.
        name: the field that holds them.

    """
    if isinstance(patch, Mapping):
        if patch.get(_DIRECTIVE) == "replace":
            return _plain(patch)
        result = dict(original) if isinstance(original, Mapping) else {}
        for key, value in _plain(patch).items():
            if value is None or (isinstance(value, Mapping) and value.get(_DIRECTIVE) == "delete"):
                result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value, key)
        return result
    if isinstance(patch, list | tuple) and name in KEYS:
        return _merge_list(original or [], patch, KEYS[name], name)
    return patch


def _merge_list(original: Any, patch: Any, key: str, name: str) -> list[Any]:
    if any(each.get(_DIRECTIVE) == "replace" for each in patch):
        return [_plain(each) for each in patch if _plain(each)]
    elements = {each.get(key): each for each in original}
    for each in patch:
        if each.get(_DIRECTIVE) == "delete":
            elements.pop(each.get(key), None)
        else:
            elements[each.get(key)] = merge(elements.get(each.get(key)), each, name)
    return list(elements.values())


def _plain(patch: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in patch.items() if key != _DIRECTIVE}
