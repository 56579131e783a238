"""What is in an image, as a CycloneDX document: the locked Python packages, and the Debian packages of the image.

The library of CycloneDX writes the part about Python; it is in an environment of its own, and so runs as a program.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from infra.settings import Docker, DockerBuild, Prebuilt
from tools import image_size, locked_environment, registry
from tools.errors import Problem
from tools.paths import ROOT
from tools.supply_chain import dpkg
from tools.supply_chain.audit import LOCK

_PLATFORM_LOCK: Final = "requirements/platform.txt"


@dataclass(frozen=True, kw_only=True)
class Document:
    """The contents of an image for one platform.

    Attributes:
        platform: such as `linux/amd64`.
        text: the document, in JSON.
        python: the number of Python packages.
        debian: the number of Debian packages.

    """

    platform: str
    text: str
    python: int
    debian: int


def lock(image: DockerBuild | Docker | Prebuilt, name: str) -> Path:
    """Return the lock that an image was built from.

    Args:
        image: the stack's setting.
        name: `flow` or `platform`.

    Raises:
        Problem: another pipeline builds the images.

    """
    if isinstance(image, Prebuilt):
        raise Problem(
            "image.builder is prebuilt, so this project does not know what the images were built from",
            remedy="Write the list in the pipeline that builds them, as BuildKit does with `--sbom=true`",
        )
    return ROOT / (_PLATFORM_LOCK if name == "platform" else image.flow.requirements)


def documents(reference: str, lock: Path) -> Iterator[Document]:
    """Yield the contents of an image for each of its platforms.

    Args:
        reference: `<repository>@<digest>`.
        lock: what it was built from.

    Raises:
        Problem: the registry does not answer, or the lock cannot be read.

    """
    python = _python(lock)
    repository, _, digest = reference.partition("@")
    for image in image_size.measure(reference):
        layers = [layer.digest for layer in image.layers]
        status = dpkg.status(layers, partial(registry.blob, repository))
        debian = list(dpkg.components(status or ""))
        yield Document(
            platform=image.platform,
            text=document(python, debian, name=repository, version=digest),
            python=len(python["components"]),
            debian=len(debian),
        )


def document(python: dict[str, Any], debian: list[dict[str, Any]], *, name: str, version: str) -> str:
    """Return one document about an image; the same image and lock give the same text.

    Args:
        python: a document about the Python packages.
        debian: components.
        name: of the image.
        version: its digest.

    """
    packages = [{key: value for key, value in one.items() if key != "description"} for one in python["components"]]
    about = {"type": "container", "bom-ref": f"{name}@{version}", "name": name, "version": version}
    whole = {
        **{key: value for key, value in python.items() if key != "dependencies"},
        "metadata": {**python["metadata"], "component": about},
        "components": [*packages, *debian],
    }
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def _python(lock: Path) -> dict[str, Any]:
    program = locked_environment.programs(LOCK) / "cyclonedx-py"
    command = [str(program), "requirements", str(lock), "--output-format", "JSON", "--output-reproducible"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f"{lock.name} could not be read", remedy="Run make lock", detail=done.stderr)
    content: dict[str, Any] = json.loads(done.stdout)
    return content
