from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import pytest

from tools.errors import Problem
from tools.supply_chain import dpkg

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Version: 9 in a description

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:12.2
"""


def layer(mode: str = "w:gz", **files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def status(layers: Mapping[str, bytes]) -> str | None:
    @contextmanager
    def open_layer(digest: str) -> Iterator[IO[bytes]]:
        yield io.BytesIO(layers[digest])

    return dpkg.status(layers, open_layer)


DATABASE = "var/lib/dpkg/status"


def test_the_topmost_layer_with_a_database_has_the_one_that_counts() -> None:
    layers = {
        "base": layer(**{DATABASE: "old"}),
        "packages": layer(**{"./var/lib/dpkg/status": "new"}),
        "code": layer(**{"app/flows.py": "x", "app/var/lib/dpkg/status": "not this one"}),
    }
    assert status(layers) == "new"
    assert status({"base": layers["base"], "plain": layer("w", code="x")}) == "old"


def test_an_image_without_dpkg_has_none() -> None:
    assert status({"code": layer(app="x")}) is None


def test_a_layer_in_another_compression_is_a_problem_with_what_to_do() -> None:
    with pytest.raises(Problem, match="Layer base could not be read") as caught:
        status({"base": b"(\xb5/\xfd" + b"x" * 2000})
    assert "gzip" in caught.value.remedy


def test_the_components_are_the_installed_packages_with_their_urls() -> None:
    assert [(each["name"], each["version"], each["purl"]) for each in dpkg.components(STATUS)] == [
        ("libc6", "2.36-9+deb12u10", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"),
        ("libstdc++6", "1:12.2", "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2?arch=amd64"),
    ]
    assert list(dpkg.components("")) == []
