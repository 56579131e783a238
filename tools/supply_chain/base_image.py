"""The digests of base images, and their place in a stack's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from infra import project
from infra.image_files import flow_builds
from infra.settings import Docker, DockerBuild, Prebuilt
from tools import registry
from tools.errors import Problem
from tools.registry_login import HUB

_IMAGE: Final = f"{project.NAME}:image"

Path = tuple[str, ...]
"""Keys from the top of the file downwards."""


def pins(image: DockerBuild | Docker | Prebuilt, digest: Callable[[str], str]) -> dict[Path, str]:
    """Return where in the stack's file which reference belongs.

    Args:
        image: the stack's setting.
        digest: a reference with a tag -> its digest.

    Raises:
        Problem: another pipeline builds the images, or a base has no tag whose digest could be asked for.

    """
    if isinstance(image, Prebuilt):
        raise Problem(
            "image.builder is prebuilt, so that this project builds nothing on a base image",
            remedy="Pin the base image in the pipeline that builds the images",
        )
    places: dict[Path, str] = {("config", _IMAGE, "base"): image.base}
    for key, build in flow_builds(image).items():
        base = image.base_of(build)
        if build.base is not None or base != image.base:
            # `image.flow`, or `image.flows` and a name.
            places["config", _IMAGE, *key.split(".", 2)[1:], "base"] = base
    tagged = {path: _tagged(reference) for path, reference in places.items()}
    digests = {reference: digest(reference) for reference in dict.fromkeys(tagged.values())}
    return {path: f"{reference}@{digests[reference]}" for path, reference in tagged.items()}


def _tagged(reference: str) -> str:
    tagged = reference.partition("@")[0]
    if ":" not in tagged.rpartition("/")[2]:
        raise Problem(
            f"The base image {reference} has no tag, so no newer digest of it can be asked for",
            remedy="Write its tag before the digest, such as python:3.11-slim-bookworm@sha256:...",
        )
    return tagged


def digest(reference: str) -> str:
    """Return the digest of the manifest behind a tag, for all of its platforms.

    Args:
        reference: `<repository>:<tag>`; without a host it is on Docker Hub.

    Raises:
        Problem: the registry does not have it, does not answer, or requires a login.

    """
    repository, _, tag = reference.rpartition(":")
    return registry.digest(_with_host(repository), tag)


def _with_host(repository: str) -> str:
    first, slash, _ = repository.partition("/")
    if slash and registry.names_host(first):
        return repository.replace("docker.io/", f"{HUB}/", 1) if first == "docker.io" else repository
    return f"{HUB}/{repository if slash else f'library/{repository}'}"


def written(text: str, pins: Mapping[Path, str]) -> str:
    """Return the text of a stack's file with these values; all other lines stay as they are, comments included.

    Raises:
        Problem: the file has no place for one of them.

    """
    for path, reference in pins.items():
        if reference == _value(yaml.safe_load(text), path):
            continue
        text = _set(text, path, reference)
        if _value(yaml.safe_load(text), path) != reference:
            raise Problem(
                f"{'.'.join(path)} could not be written into the stack's file", remedy=f"Write it: {reference}"
            )
    return text


def _value(content: Any, path: Path) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _set(text: str, path: Path, value: str) -> str:
    node = yaml.compose(text)
    for key in path[:-1]:
        node = _child(node, key)
    existing = _child(node, path[-1])
    if existing is not None:
        start, end = existing.start_mark.index, existing.end_mark.index
        return f"{text[:start]}{value}{text[end:]}"
    if not isinstance(node, yaml.MappingNode) or not node.value:
        return text
    first = node.value[0][0].start_mark
    # Between braces the entry ends with a comma, otherwise with the line.
    end = ", " if node.flow_style else f"\n{' ' * first.column}"
    return f"{text[: first.index]}{path[-1]}: {value}{end}{text[first.index :]}"


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((child for name, child in pairs if name.value == key), None)
