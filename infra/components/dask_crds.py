"""Dask's CRDs, from the installed dask-kubernetes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml

CACHE: Final = Path(".build") / "crds"
"""Folder for what was read of the YAML files, below that of Pulumi.yaml: parsing 900 KB takes longer than all imports
of Kubernetes' types."""

_CHARTS: Final = "operator/deployment/helm/dask-kubernetes-operator/crds"


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Return the CRDs of the installed dask-kubernetes, which match the client in the flow image."""
    folder = resources.files("dask_kubernetes").joinpath(_CHARTS)
    return [_parsed(entry.read_bytes()) for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


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
