"""How the images come to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.types import DnsLabel, ImageReference, Model

BASE = "python:3.11-slim-bookworm"

_REQUIREMENTS = re.compile(r"requirements/[A-Za-z0-9][A-Za-z0-9._-]*\.txt")
_OTHER_LOCKS = ("requirements/dev.txt", "requirements/platform.txt", "requirements/scan.txt")
"""Locks that `.dockerignore` keeps out: a change of theirs must not rebuild the flow image."""
_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def _build_secret(value: str) -> str:
    if not _SECRET.fullmatch(value):
        message = f"'{value}' cannot name a build secret: use up to 63 letters, digits, dashes and underscores"
        raise ValueError(message)
    if value == "ca":
        raise ValueError("'ca' is the build secret that caBundle makes: choose another name")
    return value


def _requirements(value: str) -> str:
    if not _REQUIREMENTS.fullmatch(value) or value in _OTHER_LOCKS:
        message = (
            f"'{value}' is not in the flow image's build context: name a file of the folder, requirements/<name>.txt"
        )
        raise ValueError(message)
    return value


Requirements = Annotated[str, AfterValidator(_requirements)]
"""File with a flow image's locked packages; the build context has those that `.dockerignore` lets through."""
BuildSecret = Annotated[str, AfterValidator(_build_secret)]
"""Id of a BuildKit secret, and key of the stack's secret that holds its value."""


class FlowBuild(Model):
    """What goes into one flow image beside the project's own code."""

    requirements: Requirements = "requirements/flows.txt"
    """File with the locked packages and their hashes, `requirements/<name>.txt`."""
    base: ImageReference | None = None
    """Image to build on, where it differs from the stack's: one with CUDA, say."""
    apt_packages: tuple[str, ...] = Field(default=(), strict=False)
    """Debian packages to install."""


class _Build(Model):
    registry: str
    """Where images are pushed: host and, if wanted, path, such as `registry.example.com/data/workflows`."""
    base: ImageReference = BASE
    """Image with Python 3.11 on which all targets are built."""
    pull_secrets: tuple[DnsLabel, ...] = Field(default=(), strict=False)
    """Secrets of type dockerconfigjson in the stack's namespace, for nodes that must log in to pull."""
    flow: FlowBuild = FlowBuild()
    """The flow image of every work pool that names no other."""
    flows: Mapping[DnsLabel, FlowBuild] = Field(default_factory=dict)
    """Further flow images by name, for work pools to name as their `image`."""


class DockerBuild(_Build):
    """Build and push with BuildKit, through the docker-build provider."""

    builder: Literal["docker-build"] = "docker-build"
    buildx: str | None = None
    """Name of the buildx builder; the current one when unset."""
    ca_bundle: str | None = None
    """File with the CA certificates that the build must trust; none on an ordinary network."""
    package_index: str | None = None
    """Address of a Python package index to ask beside the usual one, without credentials."""
    build_secrets: tuple[BuildSecret, ...] = Field(default=(), strict=False)
    """Secrets of the stack that a flow image's build may mount by these ids; the Dockerfile mounts `netrc`, for uv."""
    cache: str | None = None
    """Repository for BuildKit's cache, shared by machines: `registry.example.com/data/cache`."""
    platforms: tuple[str, ...] = Field(default=(), strict=False)
    """Platforms to build for, such as `linux/amd64`; the builder's own when unset."""
    build_on_preview: bool = False
    """Whether a preview builds too. It costs minutes, and proves nothing about the cluster."""


class Docker(_Build):
    """Build and push with pulumi-docker's `docker.Image`, for teams that stay on it."""

    builder: Literal["docker"]


class Prebuilt(Model):
    """Images that another pipeline has pushed."""

    builder: Literal["prebuilt"]
    flow: ImageReference
    platform: ImageReference
    flows: Mapping[DnsLabel, ImageReference] = Field(default_factory=dict)
    """Further flow images by name."""
    pull_secrets: tuple[DnsLabel, ...] = Field(default=(), strict=False)


Image = Annotated[DockerBuild | Docker | Prebuilt, Field(discriminator="builder")]
