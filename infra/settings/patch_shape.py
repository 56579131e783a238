"""The shape that a patch of a pod has in YAML, whatever its fields are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract import placeholders

_LISTS: Final = ("containers", "initContainers", "volumes")

_CONTEXTS: Final = ("seccompProfile", "capabilities", "appArmorProfile", "windowsOptions")


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
    names = ("labels", "annotations")
    errors += [f"metadata.{name} must be a mapping" for name in names if not _is_mapping(metadata.get(name))]
    errors += _context_errors(spec, "spec")
    for name in _LISTS:
        errors += _list_errors(spec.get(name), f"spec.{name}")
    return errors


def _list_errors(parts: Any, where: str) -> Iterator[str]:
    if not isinstance(parts, list | tuple | None):
        yield f"{where} must be a list"
        return
    for number, part in enumerate(parts or ()):
        place = f"{where}[{number}]"
        if not isinstance(part, Mapping):
            yield f"{place} must be a mapping"
        elif not isinstance(part.get("name"), str) and "$patch" not in part:
            yield f"{place} needs a name, by which Kubernetes merges the list"
        else:
            yield from _context_errors(part, place)
            for name in ("env", "envFrom", "volumeMounts"):
                if not isinstance(part.get(name), list | tuple | None):
                    yield f"{place}.{name} must be a list"
                elif not all(isinstance(each, Mapping) for each in part.get(name) or ()):
                    yield f"{place}.{name} must be a list of mappings"


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
