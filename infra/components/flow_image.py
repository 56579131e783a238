"""The images of the stack: the flows' and the platform's, all by digest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.components import build_context
from infra.naming import PROJECT
from infra.settings import Docker, DockerBuild, FlowBuild, Prebuilt

FOLDER: Final = ".build"
"""Folder of the build contexts, below that of Pulumi.yaml."""


@dataclass(frozen=True, kw_only=True)
class FlowImageArgs:
    """How the images are built."""

    builder: DockerBuild | Docker | Prebuilt
    root: Path
    """Folder of the project, with the Dockerfiles and the code."""
    tag: str
    """Tag beside the digest, for people who look into the registry, and folder of the build contexts."""
    node_platforms: Input[list[str] | None] = None
    """Platforms of the cluster's nodes, for which the images are built unless the settings say otherwise."""
    git: Collection[str | None] = ()
    """Names of the flow images that get Git, for pull steps; None is the image without a name."""
    secrets: Mapping[str, Input[str]] = field(default_factory=dict)
    """Id -> value of what a flow image's build may mount. Never a build argument: those stay in the image."""


class FlowImage(ComponentResource):
    """Images for flow pod, Dask scheduler and Dask workers; another for server, worker and operator.

    Each has a build context of its own with exactly what it is made of, so that a change of a flow neither rebuilds nor
    announces the platform image.
    """

    flow: Output[str]
    """`repository@sha256:...` of the flow image that work pools use which name none."""
    flows: Mapping[str, Output[str]]
    """Name -> `repository@sha256:...` of the further flow images."""
    platform: Output[str]
    """`repository@sha256:...` of the platform image."""

    def __init__(self, name: str, args: FlowImageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:FlowImage", name, {}, opts)
        self._name, self._args = name, args
        builder = args.builder
        if isinstance(builder, Prebuilt):
            self.platform = Output.from_input(builder.platform)
            self.flow = Output.from_input(builder.flow)
            self.flows = {each: Output.from_input(image) for each, image in builder.flows.items()}
        else:
            self.platform = self._image(builder, "platform", "platform", FlowBuild())
            self.flow = self._image(builder, "flow", "flow", self._with_git(None, builder.flow))
            self.flows = {
                each: self._image(builder, "flow", f"flow-{each}", self._with_git(each, build))
                for each, build in builder.flows.items()
            }
        self.register_outputs({"flow": self.flow, "platform": self.platform})

    def of(self, name: str | None) -> Output[str]:
        """Return the flow image of that name, or the one without."""
        return self.flow if name is None else self.flows[name]

    def _with_git(self, name: str | None, build: FlowBuild) -> FlowBuild:
        if name not in self._args.git or "git" in build.apt_packages:
            return build
        return build.model_copy(update={"apt_packages": (*build.apt_packages, "git")})

    def _image(self, builder: DockerBuild | Docker, target: str, suffix: str, build: FlowBuild) -> Output[str]:
        arguments = {"BASE": builder.base}
        if target == "flow":
            arguments |= {"BASE": builder.base_of(build), "PYTHON": build.python}
            arguments["APT_PACKAGES"] = " ".join(build.apt_packages)
        image = _Image(
            target=target,
            suffix=suffix,
            repository=f"{builder.registry}/{PROJECT}-{suffix}",
            tag=self._args.tag,
            context=f"{FOLDER}/{self._args.tag}/{suffix}",
        )
        sources = build_context.flow(build) if target == "flow" else build_context.platform()
        if isinstance(builder, DockerBuild) and builder.ca_bundle:
            sources[build_context.CA_BUNDLE] = builder.ca_bundle
        build_context.assemble(sources, self._args.root, self._args.root / image.context)
        if isinstance(builder, DockerBuild):
            return self._docker_build(builder, image, arguments)
        return self._docker(builder, image, arguments)

    def _docker_build(self, builder: DockerBuild, image: _Image, arguments: dict[str, str]) -> Output[str]:
        import pulumi_docker_build as docker_build  # noqa: PLC0415  takes as long as Kubernetes' types

        if builder.package_index:
            arguments["EXTRA_INDEX"] = builder.package_index
        cache = f"{builder.cache}:{image.suffix}" if builder.cache else None
        built = docker_build.Image(
            f"{self._name}-{image.suffix}",
            tags=[image.reference],
            context={"location": image.context},
            dockerfile={"location": image.dockerfile},
            target=image.target,
            build_args=arguments,
            secrets=(dict(self._args.secrets) or None) if image.target == "flow" else None,
            builder=docker_build.BuilderConfigArgs(name=builder.buildx) if builder.buildx else None,
            platforms=self._platforms(builder),
            cache_from=[{"registry": {"ref": cache}}] if cache else None,
            cache_to=[{"registry": {"ref": cache, "mode": docker_build.CacheMode.MAX}}] if cache else None,
            build_on_preview=builder.build_on_preview,
            push=True,
            # A deletion would remove the digest from the registry, where a stack built from the same code uses it too.
            opts=ResourceOptions(parent=self, retain_on_delete=True),
        )
        return built.digest.apply(lambda digest: f"{image.repository}@{digest}")

    def _platforms(self, builder: DockerBuild | Docker) -> Output[Any]:
        own = list(builder.platforms)
        return Output.from_input(self._args.node_platforms).apply(lambda nodes: own or nodes or None)

    def _docker(self, builder: Docker, image: _Image, arguments: dict[str, str]) -> Output[str]:
        import pulumi_docker as docker  # noqa: PLC0415  likewise, and few stacks use it

        built = docker.Image(
            f"{self._name}-{image.suffix}",
            image_name=image.reference,
            build=docker.DockerBuildArgs(
                context=image.context,
                dockerfile=image.dockerfile,
                target=image.target,
                args=arguments,
                platform=self._platforms(builder).apply(lambda names: names[0] if names and len(names) == 1 else None),
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            opts=ResourceOptions(parent=self),
        )
        return Output.from_input(built.repo_digest)


@dataclass(frozen=True, kw_only=True)
class _Image:
    target: str
    suffix: str
    repository: str
    tag: str
    context: str
    """Relative to the folder of Pulumi.yaml: an absolute path would differ from clone to clone."""

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def dockerfile(self) -> str:
        return f"{self.context}/Dockerfile"
