"""The local cluster's registry, and the images of this machine in it."""

from __future__ import annotations

from collections.abc import Iterable

from tools import registry
from tools.cluster.images import MANIFEST_TYPE, Built
from tools.cluster.layout import REGISTRY, REGISTRY_PORT

_HOST = f"{REGISTRY_PORT.address}:{REGISTRY_PORT.number}"


def is_ready() -> bool:
    """Return whether the registry answers."""
    return registry.is_ready(_HOST)


def reference(image: Built) -> str:
    """Return the name of an image in the cluster, with its digest."""
    return f"{REGISTRY}/{image.name}@{image.digest}"


def push(images: Iterable[Built]) -> None:
    """Push images, except those that the registry has.

    Raises:
        Problem: the registry refuses one.

    """
    for image in images:
        registry.push(
            _HOST,
            image.name,
            manifest=image.manifest,
            media_type=MANIFEST_TYPE,
            digest=image.digest,
            blobs=image.blobs(),
        )
