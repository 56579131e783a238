"""A stack's namespaces on a control plane, in which the pods of runs are tried out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from infra import naming
from infra.components.dask_crds import custom_resource_definitions
from tests.engine import control_plane
from tests.engine.control_plane import Kubernetes
from tools.cluster.wait import until

PLATFORM: Final = "flows"
NAMESPACE: Final = "flows-runs"
"""Of runs."""
_OF_THE_CLUSTER: Final = ("Namespace", "RuntimeClass", "PriorityClass")


@contextlib.contextmanager
def running(folder: Path, *, accounts: Sequence[str] = ()) -> Iterator[Kubernetes]:
    """Provide a control plane with the namespaces, under the restricted Pod Security Standard, named by KUBECONFIG.

    Args:
        folder: of the control plane's files.
        accounts: ServiceAccounts beside those of runs.

    """
    with control_plane.running(folder, {}) as kubernetes, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubernetes.place.kubeconfig))
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        for name in (PLATFORM, NAMESPACE):
            create(kubernetes, "Namespace", name, metadata={"labels": labels})
        for name in (naming.DASK, naming.FLOW_RUN, *accounts):
            create(kubernetes, "ServiceAccount", name)
        yield kubernetes


def serve_dask(kubernetes: Kubernetes) -> None:
    """Create Dask's CRDs, and wait until their kinds are served."""
    crds = {"apiVersion": "v1", "kind": "List", "items": custom_resource_definitions()}
    kubernetes.kubectl("create", "-f", "-", stdin=crds)
    wait = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    # It fails at once for a CRD that has no conditions yet.
    assert until(lambda: kubernetes.try_kubectl(*wait).returncode == 0, seconds=60, interval=0.2)


def create(kubernetes: Kubernetes, kind: str, name: str, version: str = "v1", **fields: Any) -> None:
    """Apply an object, in the namespace of runs unless it is one of the whole cluster."""
    where = {} if kind in _OF_THE_CLUSTER else {"namespace": NAMESPACE}
    metadata = {"name": name, **where, **fields.pop("metadata", {})}
    kubernetes.kubectl("apply", "-f", "-", stdin={"apiVersion": version, "kind": kind, "metadata": metadata, **fields})
