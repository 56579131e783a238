"""The file of a backup: a ZIP archive with a manifest, the database and the files of the result volume."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from tools.errors import Problem

DATABASE: Final = "prefect.db"
RESULTS: Final = "results.tar"
_MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_CHUNK: Final = 1 << 20


class Writer:
    """An archive that is being written.

    Attributes:
        parts: name -> report of what is in it.

    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.parts: dict[str, Mapping[str, Any]] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[IO[bytes]]:
        """Provide a file of the archive; its size need not be known before."""
        with self._archive.open(name, "w", force_zip64=True) as file:
            yield file

    def finish(self, stack: str) -> None:
        """Add the manifest."""
        manifest = {"format": _FORMAT, "stack": stack, "parts": self.parts}
        self._archive.writestr(_MANIFEST, json.dumps(manifest, indent=2))


@contextlib.contextmanager
def written(path: Path) -> Iterator[Writer]:
    """Write an archive that only its owner may read; an incomplete one is removed.

    Raises:
        Problem: the file exists.

    """
    partial = path.with_name(f"{path.name}.partial")
    if path.exists():
        raise Problem(f"{path} exists already", remedy="Name another file with FILE=")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(descriptor, "wb") as file,
            zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            yield Writer(archive)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


class Reader:
    """An archive whose contents have been compared with its manifest.

    Attributes:
        stack: that it was made of.
        parts: name -> report of what is in it.

    """

    def __init__(self, archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> None:
        self._archive = archive
        self.stack = str(manifest["stack"])
        self.parts: Mapping[str, Mapping[str, Any]] = manifest["parts"]

    def open(self, name: str) -> IO[bytes]:
        """Open a file of the archive."""
        return self._archive.open(name)


@contextlib.contextmanager
def verified(path: Path) -> Iterator[Reader]:
    """Open an archive after comparing every checksum.

    Raises:
        Problem: it does not exist, is not a backup, or is damaged.

    """
    remedy = "Name a file that `make backup` has written with FILE="
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            if manifest["format"] != _FORMAT:
                raise Problem(
                    f"{path} has format {manifest['format']}, and this project reads {_FORMAT}", remedy=remedy
                )
            reader = Reader(archive, manifest)
            for name, part in reader.parts.items():
                if _sha256(reader, name) != part["sha256"]:
                    raise Problem(f"{path} is damaged: {name} does not have its checksum", remedy=remedy)
            yield reader
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise Problem(f"{path} cannot be read as a backup ({error or type(error).__name__})", remedy=remedy) from None


def _sha256(reader: Reader, name: str) -> str:
    result = hashlib.sha256()
    with reader.open(name) as file:
        while data := file.read(_CHUNK):
            result.update(data)
    return result.hexdigest()
