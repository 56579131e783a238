"""Whether flow pod, scheduler and workers run the same environment.

Tasks travel as pickles: between two versions of a library, or of the flow's own code, they fail late, or compute
something else. Images are compared as the nodes report them, not as the manifests name them: the usual
reason is a tag that was moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from distributed.versions import get_versions

from ephemeral_dask.contract.causes import Cause
from ephemeral_dask.diagnosis import Diagnosis

_PACKAGES: Final = ("prefect", "prefect-dask")
"""In addition to those that Dask itself compares: Python, Dask and its pickling libraries, NumPy, pandas."""

_ANSWER_TIMEOUT: Final = 10.0
"""Seconds that scheduler and workers have to report their versions."""


async def compare(comm: Any, own: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    """Return what differs between this process and its Dask cluster, or None.

    Args:
        comm: a connection to the scheduler.
        own: the flow pod, or None when it is not known.
        pods: those of the Dask cluster.

    Raises:
        OSError: the scheduler does not answer; TimeoutError is one.

    """
    ask = {"op": "versions", "packages": _PACKAGES}
    async with asyncio.timeout(_ANSWER_TIMEOUT):
        scheduler, workers = await asyncio.gather(
            comm.versions(packages=_PACKAGES), comm.broadcast(msg=ask, on_error="ignore")
        )
    differences = [*different_images(own, pods), *different_versions(get_versions(_PACKAGES), scheduler, workers)]
    if not differences:
        return None
    return Diagnosis(
        cause=Cause.ENVIRONMENT,
        detail=f"{'; '.join(differences)}. Name the image by digest, and let every pod run the same one",
        permanent=True,
    )


def different_images(own: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a clause for each Dask pod whose node runs another image than the flow pod's.

    A pod whose node has not reported its image yet, or not by digest, is ignored.
    """
    mine = _digest(own) if own is not None else ""
    named = [(str(pod["metadata"]["name"]), digest) for pod in pods if mine and (digest := _digest(pod))]
    return [
        f"pod {name} runs image {digest[:19]}, the flow pod {mine[:19]}" for name, digest in named if digest != mine
    ]


def different_versions(
    client: Mapping[str, Any], scheduler: Mapping[str, Any], workers: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return a clause for each library whose versions differ.

    Args:
        client: what `distributed.versions.get_versions` says in this process.
        scheduler: the same of the scheduler.
        workers: address -> the same of each worker.

    """
    here: Mapping[str, Any] = client["packages"]
    clauses = []
    for package in sorted(here):
        there = {"scheduler": scheduler["packages"].get(package)}
        there |= {f"worker {address}": one["packages"].get(package) for address, one in workers.items()}
        wrong = [f"{where} has {version or 'none'}" for where, version in there.items() if version != here[package]]
        if wrong:
            clauses.append(f"{package} is {here[package] or 'missing'} in the flow pod, {', '.join(wrong[:2])}")
    return clauses


def _digest(pod: Mapping[str, Any]) -> str:
    """Return the digest of a pod's first container, as its node says, or ""."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        _, at, digest = str(container.get("imageID", "")).rpartition("@")
        return digest if at else ""
    return ""
