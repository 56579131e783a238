"""The Debian packages of an image, from the database of dpkg in its layers."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, Any, Final

from tools.errors import Problem

_STATUS: Final = "var/lib/dpkg/status"
_INSTALLED: Final = "installed"
"""The last word of the state of a package that is there, and not only its configuration."""

Open = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Opens the file of a layer by its digest."""


def status(layers: Iterable[str], open_layer: Open) -> str | None:
    """Return the database as the topmost layer has it, or None if no layer has one.

    Args:
        layers: digests, the lowest layer first.
        open_layer: opens a layer.

    Raises:
        Problem: a layer cannot be read.

    """
    for digest in reversed(list(layers)):
        with open_layer(digest) as file:
            try:
                if (text := _read(file)) is not None:
                    return text
            except tarfile.TarError as error:
                raise Problem(
                    f"Layer {digest} could not be read ({error})",
                    remedy="Build the image with gzip compression, BuildKit's default: Python 3.11 reads no zstd",
                ) from None
    return None


def _read(file: IO[bytes]) -> str | None:
    with tarfile.open(fileobj=file, mode="r:*") as layer:
        for member in layer:
            if member.name.removeprefix("./") == _STATUS and (content := layer.extractfile(member)):
                return content.read().decode()
    return None


def components(text: str, *, distribution: str = "debian") -> Iterator[dict[str, Any]]:
    """Yield the installed packages of a database as components of CycloneDX.

    Args:
        text: the database.
        distribution: the namespace of the package URLs.

    """
    for paragraph in text.split("\n\n"):
        fields = _fields(paragraph)
        if fields.get("Status", "").split()[-1:] != [_INSTALLED]:
            continue
        name, version, architecture = fields["Package"], fields["Version"], fields.get("Architecture", "")
        # A package URL allows these two characters of a version only in their encoded form.
        encoded = version.replace("+", "%2B").replace(":", "%3A")
        url = f"pkg:deb/{distribution}/{name.replace('+', '%2B')}@{encoded}?arch={architecture}"
        yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _fields(paragraph: str) -> Mapping[str, str]:
    lines = (line for line in paragraph.splitlines() if line[:1].strip() and ":" in line)
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
