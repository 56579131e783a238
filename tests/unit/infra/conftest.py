"""Pulumi mocks: what a component registers, once every registration has landed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pulumi
import pytest


class Recorder(pulumi.runtime.Mocks):
    """Answers every registration with its own inputs and remembers it."""

    def __init__(self) -> None:
        self.resources: list[pulumi.runtime.MockResourceArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "docker-build:index:Image":
            outputs["digest"] = "sha256:" + args.name.encode().hex().ljust(64, "0")[:64]
        if args.typ == "docker:index/image:Image":
            outputs["repoDigest"] = outputs["imageName"].rpartition(":")[0] + "@sha256:" + "d" * 64
        return f"{args.name}-id", outputs

    def call(self, _args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        return {}

    def of(self, token: str) -> list[Mapping[str, Any]]:
        """Inputs of every resource whose type ends like this."""
        return [each.inputs for each in self.resources if each.typ.endswith(token)]


Render = Callable[..., Recorder]


@pytest.fixture
def render() -> Iterator[Render]:
    """Build something under mocks and return what it registered."""

    # Pulumi's mocks take the thread's loop, and whoever called asyncio.run() before has taken it away.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(build: Callable[[], Any], config: Mapping[str, Any] | None = None, *, stack: str = "dev") -> Recorder:
        recorder = Recorder()
        pulumi.runtime.set_mocks(recorder, project="ephemeral-dask", stack=stack, preview=False)
        encoded = {
            f"ephemeral-dask:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in (config or {}).items()
        }
        pulumi.runtime.set_all_config(encoded)

        def once() -> None:
            build()

        pulumi.runtime.test(once)()
        return recorder

    yield run
    asyncio.set_event_loop(None)
    loop.close()
