"""Kubernetes objects as they are written, with changes."""

from __future__ import annotations

import copy
import json
from typing import Any

from ephemeral_dask.contract import labels, tls

Manifest = dict[str, Any]


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """Return a manifest with another value at a path; a number is an index, `+` appends, and `~` is a dot of a name."""
    result = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    part: Any = result
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name.replace("~", "."), {})
    if last == "+":
        part.append(value)
    elif isinstance(part, list):
        part[int(last)] = value
    else:
        part[last.replace("~", ".")] = value
    return result


def mounting_results(manifest: Manifest, pod: str, **fields: Any) -> Manifest:
    """Return a manifest whose pod, at a path, mounts the result volume with these fields of a volumeMount alone."""
    spec: Any = manifest
    for name in pod.split("."):
        spec = spec[name]
    mounts = spec["containers"][0]["volumeMounts"]
    [number] = [number for number, each in enumerate(mounts) if each["name"] == "results"]
    mount = {"name": "results", "mountPath": "/results", **fields}
    return changed(manifest, f"{pod}.containers.0.volumeMounts.{number}", mount)


def of_job(manifest: Manifest, job: str) -> Manifest:
    """Return the manifest of a Dask object as another run would write it, with the certificates of that run."""
    own = manifest["metadata"]["labels"][labels.JOB]
    text = json.dumps(manifest).replace(tls.secret_name("", own), tls.secret_name("", job))
    return changed(json.loads(text), f"metadata.labels.{labels.JOB}", job)
