"""Keys of labels in CEL: those by which the platform finds its objects, and those that a run must not set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ephemeral_dask.contract import labels, reserved
from infra.admission.names import literal

COMPONENT: Final = f"?{literal(labels.COMPONENT)}"
JOB: Final = f"?{literal(labels.JOB)}"
CLUSTER_NAME: Final = f"?{literal('dask.org/cluster-name')}"
"""As optional keys of a map."""


def none_is_reserved(of: str) -> str:
    """Return the expression for: no label of a map is one of the platform, Prefect, Dask or Kubernetes."""
    return _none_begins_with(reserved.LABEL_PREFIXES, of)


def are_of_dask(of: str) -> str:
    """Return the expression for: a run may give these labels to a Dask object, among which is that of the component."""
    foreign = [each for each in reserved.LABEL_PREFIXES if each != f"{labels.DOMAIN}/"]
    return f"{of}[{COMPONENT}].orValue('') == {literal(labels.DASK_POD)} && {_none_begins_with(foreign, of)}"


def _none_begins_with(prefixes: Iterable[str], of: str) -> str:
    begins = " || ".join(f"key.startsWith({literal(prefix)})" for prefix in prefixes)
    return f"{of}.all(key, !({begins}))"
