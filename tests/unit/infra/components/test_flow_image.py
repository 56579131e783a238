from __future__ import annotations

from typing import Any

import pulumi
import pulumi_docker_build as docker_build
import pytest

from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.settings import DockerBuild
from tests.mocks import Render
from tools.paths import ROOT


def test_a_destroy_leaves_images_in_the_registry_where_another_stack_may_use_them(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider would delete the digest, which is the same for each stack that is built from the same code."""
    options: list[pulumi.ResourceOptions] = []
    image: Any = docker_build.Image

    def recorded(*args: Any, opts: pulumi.ResourceOptions, **more: Any) -> Any:
        options.append(opts)
        return image(*args, opts=opts, **more)

    monkeypatch.setattr(docker_build, "Image", recorded)
    render(lambda: FlowImage("image", FlowImageArgs(builder=DockerBuild(registry="r"), root=ROOT, tag="dev")))
    assert [each.retain_on_delete for each in options] == [True, True]
