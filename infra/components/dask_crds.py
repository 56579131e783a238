"""Dask's CRDs, from the installed dask-kubernetes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml

CACHE: Final = Path(".build") / "crds"
"""Folder for what was read of the YAML files, below that of Pulumi.yaml: parsing 900 KB takes longer than all imports
of Kubernetes' types."""

_CHARTS: Final = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"


_POD: Final = frozenset({"containers", "nodeName", "restartPolicy", "volumes"})
"""Properties by which the schema of a pod is recognized."""


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Return the CRDs that a stack installs: those of dask-kubernetes, in which a pod may have any field.

    Kubernetes itself checks the pods, with the fields that its own version has (ADR 25).
    """
    return [_with_open_pods(crd) for crd in released_definitions()]


def released_definitions() -> list[dict[str, Any]]:
    """Return the CRDs of the installed dask-kubernetes, which match the client in the flow image."""
    # Without importing the package, which imports a client of Kubernetes.
    folder = Path(str(metadata.distribution("dask-kubernetes").locate_file(_CHARTS)))
    return [_parsed(file.read_bytes()) for file in sorted(folder.iterdir())]


def _parsed(content: bytes) -> dict[str, Any]:
    file = CACHE / f"{hashlib.sha256(content).hexdigest()}.json"
    # A file that is missing, or was cut off by a full disk, is written again.
    with contextlib.suppress(OSError, ValueError):
        cached: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return cached
    parsed: dict[str, Any] = yaml.load(content, Loader=yaml.CSafeLoader)  # libyaml's safe loader
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(parsed), encoding="utf-8")
        temporary.replace(file)
    return parsed


def _with_open_pods(part: Any) -> Any:
    if isinstance(part, list):
        return [_with_open_pods(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("properties", {}).keys() >= _POD:
        kept = {key: value for key, value in part.items() if key != "properties"}
        return {**kept, "x-kubernetes-preserve-unknown-fields": True}
    return {key: _with_open_pods(each) for key, each in part.items()}
