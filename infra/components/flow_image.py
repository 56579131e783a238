"""The two images of the stack: the flow's and the platform's, both by digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker
import pulumi_docker_build as docker_build
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.naming import PROJECT
from infra.settings import Docker, DockerBuild, Prebuilt


@dataclass(frozen=True, kw_only=True)
class FlowImageArgs:
    """How the images come to be."""

    builder: DockerBuild | Docker | Prebuilt
    context: str
    """Folder with the Dockerfile."""
    tag: str
    """Tag beside the digest, for people who look into the registry."""


class FlowImage(ComponentResource):
    """One image for flow pod, Dask scheduler and Dask workers; another for server, worker and operator.

    They are two targets of one Dockerfile, so that a change of flow code leaves the platform's pods alone.
    """

    flow: Output[str]
    """`repository@sha256:...` of the flow image."""
    platform: Output[str]
    """`repository@sha256:...` of the platform image."""

    def __init__(self, name: str, args: FlowImageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:FlowImage", name, {}, opts)
        self._name, self._args = name, args
        self.platform = Output.from_input(self._target("platform"))
        self.flow = Output.from_input(self._target("flow"))
        self.register_outputs({"flow": self.flow, "platform": self.platform})

    def _target(self, target: str) -> Input[str]:
        builder = self._args.builder
        match builder:
            case Prebuilt():
                return builder.flow if target == "flow" else builder.platform
            case DockerBuild():
                return self._docker_build(builder, target)
            case Docker():
                return self._docker(builder, target)

    def _docker_build(self, builder: DockerBuild, target: str) -> Output[str]:
        repository = f"{builder.registry}/{PROJECT}-{target}"
        image = docker_build.Image(
            f"{self._name}-{target}",
            tags=[f"{repository}:{self._args.tag}"],
            context={"location": self._args.context},
            dockerfile={"location": str(Path(self._args.context) / "Dockerfile")},
            target=target,
            build_args={"BASE": builder.base},
            secrets=_ca_secret(builder.ca_bundle),
            builder=docker_build.BuilderConfigArgs(name=builder.buildx) if builder.buildx else None,
            # A pull request's preview shows what changes; building it there would cost minutes and prove
            # nothing about the cluster.
            build_on_preview=False,
            push=True,
            opts=ResourceOptions(parent=self),
        )
        return image.digest.apply(lambda digest: f"{repository}@{digest}")

    def _docker(self, builder: Docker, target: str) -> Output[str]:
        repository = f"{builder.registry}/{PROJECT}-{target}"
        image = docker.Image(
            f"{self._name}-{target}",
            image_name=f"{repository}:{self._args.tag}",
            build=docker.DockerBuildArgs(
                context=self._args.context,
                dockerfile=str(Path(self._args.context) / "Dockerfile"),
                target=target,
                args={"BASE": builder.base},
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            opts=ResourceOptions(parent=self),
        )
        return Output.from_input(image.repo_digest)


def _ca_secret(bundle: str | None) -> dict[str, Input[str]] | None:
    if bundle is None:
        return None
    return {"ca": pulumi.Output.secret(Path(bundle).read_text(encoding="ascii", errors="ignore"))}
