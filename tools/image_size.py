"""The size of an image: the compressed layers that a node pulls, from the registry's own manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tools import registry

_NOT_AN_IMAGE: Final = "unknown"
"""Platform under which BuildKit files an image's attestations."""

_FILLED_UP: Final = "buildkit.exporter.image.v0"
"""Comment of what BuildKit adds at the end of the history for each layer of a base image that has none."""

_COMMAND: Final = 60
"""Characters of a layer's command that are shown."""

Json = Mapping[str, Any]
Read = Callable[[str, str], Json]
"""`manifests` or `blobs`, and a digest or tag -> what the registry has there."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: how many bytes a node pulls, and the line of the Dockerfile that made it, where that is known."""

    digest: str
    size: int
    made_by: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image for one platform."""

    platform: str
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


def measure(reference: str) -> list[Image]:
    """Ask the registry for an image, one for each platform that it was built for.

    Raises:
        Problem: the registry does not answer, or not to somebody who has not logged in.

    """
    repository, _, digest = reference.partition("@")
    name, colon, tag = repository.rpartition(":")
    # A colon before the last slash is that of the registry's port.
    tagged = bool(colon) and "/" not in tag
    where = name if tagged else repository
    return images(digest or (tag if tagged else "latest"), lambda kind, key: registry.read(where, kind, key))


def images(key: str, read: Read) -> list[Image]:
    """Return the images behind one manifest, or behind the index of several."""
    manifest = read("manifests", key)
    if "manifests" not in manifest:
        return [_image(manifest, read)]
    digests = [each["digest"] for each in manifest["manifests"] if each["platform"]["os"] != _NOT_AN_IMAGE]
    return [_image(read("manifests", digest), read) for digest in digests]


def _image(manifest: Json, read: Read) -> Image:
    config = read("blobs", manifest["config"]["digest"])
    layers = manifest["layers"]
    history = [each for each in config.get("history", ()) if not each.get("empty_layer")]
    named = [str(each.get("created_by", "")) for each in history if each.get("comment") != _FILLED_UP]
    # The lowest layers are those of the base image.
    commands = ["(base image)"] * (len(history) - len(named)) + named
    if len(commands) != len(layers):
        commands = [""] * len(layers)
    return Image(
        platform=f"{config['os']}/{config['architecture']}",
        layers=tuple(
            Layer(digest=layer["digest"], size=layer["size"], made_by=command)
            for layer, command in zip(layers, commands, strict=True)
        ),
    )


def lines(name: str, reference: str, platforms: list[Image]) -> Iterator[str]:
    """Yield the report on one image."""
    yield f"{name}: {reference}"
    for image in platforms:
        yield f"  {_mebibytes(image.size)}  {image.platform}, {len(image.layers)} layers, compressed"
        for layer in image.layers:
            command = " ".join(layer.made_by.removesuffix("# buildkit").split())
            short = command if len(command) <= _COMMAND else f"{command[: _COMMAND - 3]}..."
            yield f"    {_mebibytes(layer.size)}  {layer.digest.partition(':')[2][:12]}  {short}".rstrip()


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:8.2f} MiB"
