"""How the images are built, or which exist already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.types import DnsLabel, ImageDigest, ImageReference, Model, Repository, Url

PYTHON: Final = "3.11"
"""The version of the platform image, and that of flow images unless they have another."""

BASE: Final = "python:3.11-slim-bookworm"

_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_APT: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+|/[a-z0-9-]+)?")


def _build_secret(value: str) -> str:
    if not _SECRET.fullmatch(value):
        message = f"'{value}' cannot name a build secret: use up to 63 letters, digits, dashes and underscores"
        raise ValueError(message)
    return value


def _project_path(value: str) -> str:
    path = PurePosixPath(value)
    if "\\" in value or path.is_absolute() or ".." in path.parts or not path.parts:
        message = f"'{value}' is not below the project's folder: write a path like jobs or src/acme, relative to it"
        raise ValueError(message)
    return str(path)


def _apt_package(value: str) -> str:
    if not _APT.fullmatch(value):
        message = f"{value!r} is not the name of a Debian package: write one per element, such as libgomp1"
        raise ValueError(message)
    return value


def _import_name(value: str) -> str:
    if not value.isidentifier():
        message = f"{value!r} is not the first part of an import: write what stands after `import`, up to the first dot"
        raise ValueError(message)
    return value


AptPackage = Annotated[str, AfterValidator(_apt_package)]
ImportName = Annotated[str, AfterValidator(_import_name)]
ProjectPath = Annotated[str, AfterValidator(_project_path)]
"""File or folder of the project, relative to the folder of prefect.yaml."""
Platform = Literal[
    "linux/386", "linux/amd64", "linux/arm", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x"
]
FlowPython = Literal["3.11", "3.12", "3.13"]
BuildSecret = Annotated[str, AfterValidator(_build_secret)]
"""Id of a BuildKit secret, and key of the stack's secret that holds its value."""


def _lock(python: str) -> str:
    return "requirements/flows.txt" if python == PYTHON else f"requirements/flows-{python}.txt"


class FlowBuild(Model):
    """The contents of one flow image."""

    packages: tuple[ProjectPath, ...] = Field(default=("flows",), strict=False, min_length=1)
    """Folders and files of the project with the code of the flows, such as `[flows, src/acme]`. Modules are imported
    from the project's folder and from its folder `src`."""
    python: FlowPython = PYTHON
    """Version of Python in the image. The platform image does not depend on it."""
    requirements: ProjectPath = Field(default_factory=lambda values: _lock(values.get("python", PYTHON)))
    """File of the project with the locked packages and their hashes; with another Python such as 3.13 by default
    `requirements/flows-3.13.txt`."""
    base: ImageReference | None = None
    """Base image, if it differs from the stack's, such as one with CUDA. It has the image's version of Python."""
    apt_packages: tuple[AptPackage, ...] = Field(default=(), strict=False)
    """Debian packages to install."""
    provides: tuple[ImportName, ...] = Field(default=(), strict=False)
    """Import names of packages that the base image or the Dockerfile installs in addition to `requirements`."""


class _Build(Model):
    registry: Repository
    """Where images are pushed: host and optional path, such as `registry.example.com/data/workflows`."""
    base: ImageReference = BASE
    """Base image of all targets, with Python 3.11."""
    pull_secrets: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Secrets of type dockerconfigjson in both namespaces, for registries that require a login to pull."""
    platforms: tuple[Platform, ...] = Field(default=(), strict=False)
    """Platforms to build for, such as `linux/amd64`. Unset: those of the cluster's nodes, or the builder's own where
    nodes cannot be listed."""
    flow: FlowBuild = FlowBuild()
    """The flow image of work pools without an `image` of their own."""
    flows: Mapping[DnsLabel, FlowBuild] = Field(default_factory=dict)
    """Additional flow images by name, which work pools select with `image`."""
    only: bool = False
    """Whether `admission` refuses pods of runs with images from elsewhere than `registry`, patches of the stack file
    apart. The job variable `image` can name any image otherwise."""

    @model_validator(mode="after")
    def _bases_have_the_pythons(self) -> Self:
        for key, build in {"flow": self.flow, **{f"flows.{name}": each for name, each in self.flows.items()}}.items():
            if build.python != PYTHON and build.base is None and self.base != BASE:
                message = (
                    f"image.{key}.python is {build.python}, and image.base, {self.base}, has Python {PYTHON}: name an"
                    f" image with Python {build.python} in image.{key}.base"
                )
                raise ValueError(message)
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The beginnings of the references of images in the stack's registry."""
        return (f"{self.registry.rstrip('/')}/",)

    def base_of(self, build: FlowBuild) -> str:
        """Return the base image of a flow image."""
        return build.base or (self.base if build.python == PYTHON else BASE.replace(PYTHON, build.python))


class DockerBuild(_Build):
    """Build and push with BuildKit, through the docker-build provider."""

    builder: Literal["docker-build"] = "docker-build"
    buildx: str | None = None
    """Name of the buildx builder; the current one when unset."""
    ca_bundle: str | None = None
    """File with CA certificates that the build trusts in addition, for networks with a TLS-inspecting proxy."""
    package_index: Url | None = None
    """Address of an additional Python package index, without credentials."""
    build_secrets: tuple[BuildSecret, ...] = Field(default=(), strict=False)
    """Ids of the stack's secrets that a flow image's build can mount; the Dockerfile mounts `netrc`, for uv."""
    cache: Repository | None = None
    """Repository for a BuildKit cache that machines share, such as `registry.example.com/data/cache`."""
    build_on_preview: bool = False
    """Whether a preview builds the images as well, which takes minutes."""


class Docker(_Build):
    """Build and push with pulumi-docker's `docker.Image`, which builds for one platform."""

    builder: Literal["docker"]
    platforms: tuple[Platform, ...] = Field(default=(), strict=False, max_length=1)
    """Platform to build for, such as `linux/amd64`. Unset: that of the cluster's nodes, or the engine's own where nodes
    cannot be listed or differ."""


class Prebuilt(Model):
    """Images that another pipeline builds and pushes, by digest."""

    builder: Literal["prebuilt"]
    flow: ImageDigest
    platform: ImageDigest
    flows: Mapping[DnsLabel, ImageDigest] = Field(default_factory=dict)
    """Additional flow images by name."""
    pull_secrets: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    only: bool = False
    """Whether `admission` refuses pods of runs with images from elsewhere than the folders of these, patches of the
    stack file apart."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The beginnings of the references of images in the folders of these; the whole of one in no folder."""
        references = dict.fromkeys((self.flow, self.platform, *self.flows.values()))
        return tuple(dict.fromkeys(map(_folder, references)))


def _folder(reference: str) -> str:
    folder, slash, _ = reference.partition("@")[0].rpartition("/")
    return f"{folder}{slash}" if slash else reference


Image = Annotated[DockerBuild | Docker | Prebuilt, Field(discriminator="builder")]
