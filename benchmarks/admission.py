"""A stack without its admission policies for a while: peers are not made as the platform makes Dask clusters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_BINDINGS: Final = "validatingadmissionpolicybindings"
_NAMESPACE: Final = "kubernetes.io/metadata.name"


@contextmanager
def unbound(namespace: str) -> Iterator[None]:
    """Delete the bindings of a stack's policies, and restore them in the end.

    Args:
        namespace: of runs.

    """
    policies = {
        each["metadata"]["name"]
        for each in _listed("validatingadmissionpolicies")
        if each["spec"]["matchConstraints"].get("namespaceSelector", {}).get("matchLabels") == {_NAMESPACE: namespace}
    }
    bindings = [each for each in _listed(_BINDINGS) if each["spec"]["policyName"] in policies]
    if not bindings:
        yield
        return
    names = [each["metadata"]["name"] for each in bindings]
    _kubectl("delete", _BINDINGS, *names)
    try:
        yield
    finally:
        for each in bindings:
            kept = {key: each["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
            # As Pulumi's provider, which keeps the fields that it has applied.
            manager = ("--server-side", "--force-conflicts", "--field-manager=pulumi-kubernetes")
            _kubectl("apply", *manager, "--filename", "-", stdin={**each, "metadata": kept})


def _listed(kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(_kubectl("get", kind, "--output=json"))["items"]
    return items


def _kubectl(*arguments: str, stdin: Any = None) -> str:
    content = json.dumps(stdin) if stdin else None
    return subprocess.run(["kubectl", *arguments], input=content, text=True, check=True, capture_output=True).stdout
