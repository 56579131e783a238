"""Pulumi's mocks: what a program registers, without an engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pulumi


class Recorder(pulumi.runtime.Mocks):
    """Answers every registration with its own inputs and remembers it."""

    def __init__(self, *, preview: bool = False) -> None:
        self.preview = preview
        self.resources: list[pulumi.runtime.MockResourceArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "docker-build:index:Image":
            outputs["digest"] = "sha256:" + args.name.encode().hex().ljust(64, "0")[:64]
        if args.typ == "docker:index/image:Image":
            outputs["repoDigest"] = outputs["imageName"].rpartition(":")[0] + "@sha256:" + "d" * 64
        if args.typ == "kubernetes:core/v1:Secret":
            outputs["metadata"] = {**outputs["metadata"], "uid": f"{args.name}-uid"}
        # In a preview the engine knows no id of what is made.
        return None if self.preview else f"{args.name}-id", outputs

    def call(self, _args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        return {}

    def of(self, token: str) -> list[Mapping[str, Any]]:
        """Return the inputs of every resource whose type ends with a token."""
        return [each.inputs for each in self.resources if each.typ.endswith(token)]

    def manifests(self) -> list[dict[str, Any]]:
        """Return every Kubernetes object as `kubectl apply` would take it."""
        objects = []
        for each in self.resources:
            if each.typ.startswith("kubernetes:") and each.typ.count(":") == 2:
                _, version, kind = each.typ.split(":")
                version = version.removeprefix("core/").replace("rbac/", "rbac.authorization.k8s.io/")
                version = version.replace("networking/", "networking.k8s.io/")
                version = version.replace("apiextensions/", "apiextensions.k8s.io/")
                objects.append({**each.inputs, "apiVersion": version, "kind": kind})
        return objects


Render = Callable[..., Recorder]


@contextmanager
def rendering() -> Iterator[Render]:
    """Yield a function that builds something under mocks and returns what it registered."""
    # Pulumi's mocks use the thread's loop, and an earlier asyncio.run() has removed it.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(
        build: Callable[[], Any],
        config: Mapping[str, Any] | None = None,
        *,
        stack: str = "dev",
        secrets: Collection[str] = (),
        preview: bool = False,
    ) -> Recorder:
        recorder = Recorder(preview=preview)
        pulumi.runtime.set_mocks(recorder, project="ephemeral-dask", stack=stack, preview=preview)
        encoded = {
            f"ephemeral-dask:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in (config or {}).items()
        }
        pulumi.runtime.set_all_config(encoded, [f"ephemeral-dask:{key}" for key in secrets])

        def once() -> None:
            build()

        pulumi.runtime.test(once)()
        return recorder

    yield run
    # After set_event_loop(None) the policy would make no new loop, and the next Output needs one.
    asyncio.set_event_loop_policy(None)
    loop.close()
