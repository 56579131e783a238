"""A Kubernetes API of a few lines, for what a run asks about its own Dask cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from ephemeral_dask import kube
from ephemeral_dask.kube import Kind, KubeError


@dataclass
class FakeKubernetes:
    """Holds objects by kind and name. `operator` is asked what it makes of a new DaskCluster."""

    operator: Callable[[str], dict[Kind, dict[str, Any]]]
    refusals: list[KubeError] = field(default_factory=list)
    stuck: bool = False
    """A finalizer holds every deleted cluster back."""
    objects: dict[tuple[Kind, str], dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    patched: list[tuple[Kind, str, dict[str, Any]]] = field(default_factory=list)
    looked: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _namespace: str) -> FakeKubernetes:
        return self

    @property
    def clusters(self) -> list[str]:
        return [name for kind, name in self.objects if kind == kube.DASK_CLUSTERS]

    async def create(self, kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        if self.refusals:
            raise self.refusals.pop(0)
        if (kind, name) in self.objects:
            raise KubeError(409, "already exists")
        stored = manifest | {"metadata": manifest["metadata"] | {"uid": f"uid-{name}"}}
        self.objects[kind, name] = stored
        if kind == kube.DASK_CLUSTERS:
            self.created.append(name)
            for made, one in self.operator(name).items():
                self.objects[made, one["metadata"]["name"]] = one
        return stored

    async def patch(self, kind: Kind, name: str, change: dict[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.patched.append((kind, name, change))

    async def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        self.looked.set()
        return self.objects.get((kind, name))

    async def watch(self, kind: Kind, *, labels: str = "", fields: str = "") -> AsyncIterator[dict[str, Any]]:  # noqa: ARG002
        before: dict[str, Any] | None = None
        while True:
            self.looked.set()
            objects = (
                {pod["metadata"]["name"]: pod for pod in self.pods} if kind == kube.PODS else self._named(kind, fields)
            )
            if objects != before:
                yield dict(objects)
            before = objects
            await asyncio.sleep(0.02)

    def _named(self, kind: Kind, fields: str) -> dict[str, Any]:
        name = fields.removeprefix("metadata.name=")
        return {name: self.objects[kind, name]} if (kind, name) in self.objects else {}

    async def list(self, kind: Kind, **_: str) -> list[dict[str, Any]]:
        return self.pods if kind == kube.PODS else self.events

    async def remove(self, _kind: Kind, name: str, *, within: float) -> str:
        if self.stuck:
            await asyncio.sleep(within)
            return "a finalizer holds it"
        self.objects = {key: one for key, one in self.objects.items() if name not in key[1]}
        return ""

    async def log(self, pod: str, container: str, **_: Any) -> str:
        return f"last words of {pod}/{container}"


def complete(name: str) -> dict[Kind, dict[str, Any]]:
    return half(name) | {kube.DASK_WORKER_GROUPS: {"metadata": {"name": f"{name}-default"}}}


def half(name: str) -> dict[Kind, dict[str, Any]]:
    service = {"metadata": {"name": f"{name}-scheduler"}, "spec": {"clusterIP": "127.0.0.1"}}
    return {kube.SERVICES: service}


def nothing(_name: str) -> dict[Kind, dict[str, Any]]:
    return {}
