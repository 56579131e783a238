"""The state of a stack that an earlier commit brought up, small enough for a repository.

A fixture has what a preview compares: the inputs of every resource, and the outputs that differ from them. What the
engine or Kubernetes adds (times, source positions, field managers) is left out, and so are the specs of Dask's CRDs,
which are 1 MB and come from the installed dask-kubernetes. `shrunk` makes a fixture of what `pulumi stack export`
prints: JSON Lines, the salt of the secrets first and then a resource a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.components.dask_crds import released_definitions

_KEPT: Final = ("urn", "custom", "id", "type", "parent", "provider", "protect", "external", "retainOnDelete", "inputs")
_CRD: Final = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

State = dict[str, Any]


def shrunk(state: Mapping[str, Any]) -> str:
    """Return an exported state as the text of a fixture."""
    deployment = state["deployment"]
    lines = [deployment["secrets_providers"]["state"], *map(_shrunk, deployment["resources"])]
    return "".join(json.dumps(each, sort_keys=True) + "\n" for each in lines)


def _shrunk(resource: Mapping[str, Any]) -> State:
    result = {name: resource[name] for name in _KEPT if name in resource}
    inputs, outputs = resource.get("inputs", {}), resource.get("outputs", {})
    if resource["type"].startswith("kubernetes:"):
        result["uid"] = outputs["metadata"]["uid"]
        if resource["type"] == _CRD:
            result["inputs"] = {name: value for name, value in inputs.items() if name != "spec"}
    elif resource["type"] != "pulumi:pulumi:Stack":
        result["outputs"] = {name: value for name, value in outputs.items() if inputs.get(name) != value}
    return result


def read(fixture: Path) -> list[State]:
    """Return the lines of a fixture."""
    return [json.loads(line) for line in fixture.read_text().splitlines()]


def restored(fixture: Path) -> tuple[str, State]:
    """Return the salt of a fixture's secrets, and what `pulumi stack import` takes."""
    secrets, *resources = read(fixture)
    specs = {each["metadata"]["name"]: each["spec"] for each in released_definitions()}
    deployment = {
        # Pulumi does not check the manifest of what is imported, and asks for one.
        "manifest": {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""},
        "secrets_providers": {"type": "passphrase", "state": secrets},
        "resources": [_restored(each, specs) for each in resources],
        "metadata": {},
    }
    return secrets["salt"], {"version": 3, "deployment": deployment}


def _restored(resource: State, specs: Mapping[str, Any]) -> State:
    result = {name: value for name, value in resource.items() if name != "uid"}
    inputs = result.get("inputs", {})
    if result["type"] == _CRD:
        inputs["spec"] = specs[inputs["metadata"]["name"]]
    if result["type"].startswith("kubernetes:"):
        metadata = {**inputs["metadata"], "uid": resource["uid"]}
        known = {"__fieldManager": "pulumi-kubernetes", "__initialApiVersion": inputs["apiVersion"], "__inputs": inputs}
        result["outputs"] = {**inputs, "metadata": metadata, **known}
    else:
        result["outputs"] = {**inputs, **result.get("outputs", {})}
    return result
