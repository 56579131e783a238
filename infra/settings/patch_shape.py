"""The shape that a patch of a pod, or a projected volume, has in YAML, whatever its fields are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract import placeholders, strategic_merge
from infra.settings.metadata import is_qualified_name

_METADATA: Final = ("labels", "annotations")
_OF_PODS: Final = (
    *("containers", "initContainers", "ephemeralContainers", "volumes", "imagePullSecrets", "resourceClaims"),
    *("hostAliases", "topologySpreadConstraints"),
)
_OF_CONTAINERS: Final = ("env", "volumeMounts", "volumeDevices", "ports")
"""Lists that are merged by a key. Labels can have these names too, so they count in their own place only."""

_READ: Final = ("containers", "initContainers", "ephemeralContainers", "volumes", "env", "volumeMounts")
"""Those of them that the platform reads: a placeholder cannot stand for the whole list."""

_KEY_TYPES: Final[Mapping[str, Any]] = {"containerPort": int | str}

_CONTEXTS: Final = ("seccompProfile", "capabilities", "appArmorProfile", "windowsOptions")
_DIRECTIVES: Final = ("replace", "delete", "merge")


def shape_errors(patch: Mapping[str, Any]) -> list[str]:
    """Return a clause, to be read after the key, for each part of a patch that has another shape.

    Only the parts that the platform itself reads: the fields of all others are checked by the API's types.
    """
    errors = []
    for name in ("metadata", "spec"):
        part = patch.get(name, {})
        if not isinstance(part, Mapping):
            errors.append(f"{name} must be a mapping")
        elif "$patch" in part:
            errors.append(f"{name} contains $patch, and the whole pod can be neither replaced nor deleted")
    if errors:
        return errors
    metadata, spec = patch.get("metadata", {}), patch.get("spec", {})
    errors += _metadata_errors(metadata)
    errors += _context_errors(spec, "spec")
    errors += _directive_errors(spec, "spec")
    for name in _OF_PODS:
        errors += _list_errors(spec, name, "spec")
    return errors


def projected_error(projected: Mapping[str, Any]) -> str:
    """Return why a projected volume has another shape, to be read after the key, or an empty string."""
    sources = projected.get("sources")
    if not isinstance(sources, list | tuple) or not sources:
        return "needs sources, a list such as [{secret: {name: warehouse}}]"
    for number, source in enumerate(sources):
        if not isinstance(source, Mapping) or not all(isinstance(part, Mapping) for part in source.values()):
            return f"sources[{number}] must be a mapping such as {{secret: {{name: warehouse}}}}"
        for kind in ("secret", "configMap"):
            if kind in source and not source[kind].get("name"):
                return f"sources[{number}].{kind} needs the name of an object"
    return ""


def _metadata_errors(metadata: Mapping[str, Any]) -> Iterator[str]:
    if others := sorted(set(metadata) - set(_METADATA)):
        yield f"metadata contains {', '.join(others)}, and a patch sets only labels and annotations"
    for name in _METADATA:
        values = metadata.get(name, {})
        if not isinstance(values, Mapping):
            yield f"metadata.{name} must be a mapping"
        elif "$patch" in values:
            yield f"metadata.{name} contains $patch, and the platform finds pods by its own: name what to change"
        elif wrong := [each for each in values if not is_qualified_name(str(each))]:
            yield f"metadata.{name} contains {wrong[0]!r}, which Kubernetes refuses as a key"


def _directive_errors(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        directive = value.get("$patch")
        if directive is not None and directive not in _DIRECTIVES:
            yield f"{where}.$patch must be one of {', '.join(_DIRECTIVES)}"
        for name, part in value.items():
            yield from _directive_errors(part, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _directive_errors(part, f"{where}[{number}]")


def _list_errors(owner: Mapping[str, Any], name: str, where: str) -> Iterator[str]:
    parts, place, key = owner.get(name), f"{where}.{name}", strategic_merge.KEYS[name]
    if not isinstance(parts, list | tuple):
        if name in _READ and parts is not None:
            yield f"{place} must be a list"
        return
    for number, part in enumerate(parts):
        here = f"{place}[{number}]"
        if not isinstance(part, Mapping):
            yield f"{here} must be a mapping" if where == "spec" else f"{place} must be a list of mappings"
        elif not isinstance(part.get(key, "" if "$patch" in part else None), _KEY_TYPES.get(key, str)):
            yield f"{here} needs a {key}, by which Kubernetes merges the list"
        elif name.lower().endswith("containers"):
            yield from _container_errors(part, here)


def _container_errors(container: Mapping[str, Any], where: str) -> Iterator[str]:
    yield from _context_errors(container, where)
    for name in _OF_CONTAINERS:
        yield from _list_errors(container, name, where)
    if not isinstance(container.get("envFrom"), list | tuple | None):
        yield f"{where}.envFrom must be a list"
    elif not all(isinstance(each, Mapping) for each in container.get("envFrom") or ()):
        yield f"{where}.envFrom must be a list of mappings"


def _context_errors(part: Mapping[str, Any], where: str) -> Iterator[str]:
    context = part.get("securityContext")
    if placeholders.names(context):
        yield f"{where}.securityContext contains a placeholder, and no job variable may change it: write the value"
    elif not _is_mapping(context):
        yield f"{where}.securityContext must be a mapping"
    else:
        for name in _CONTEXTS:
            if not _is_mapping((context or {}).get(name)):
                yield f"{where}.securityContext.{name} must be a mapping"


def _is_mapping(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)
