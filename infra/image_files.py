"""The files of the project that flow images are built from, compared with what the stack file names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from infra.flow_signature.lock import read_lock
from infra.settings import BlockResults, DockerBuild, FlowBuild, Image, Prebuilt, Settings

_OTHER_FILE: Final = re.compile(r"(-r|-c|--requirement|--constraint)\b")
_LIBRARIES: Final = {
    "s3-bucket": "prefect-aws",
    "gcs-bucket": "prefect-gcp",
    "azure-blob-storage-container": "prefect-azure",
}
"""Type of a Prefect block -> the package that has it."""

_REMEDY: Final = "write it with `make lock`, or with `uv pip compile --generate-hashes`"


def image_errors(image: Image, root: Path, warn: Callable[[str], None]) -> list[str]:
    """Return key and sentence for every file or folder that a build would not find.

    Args:
        image: of the stack's settings.
        root: folder of prefect.yaml.
        warn: takes a sentence about a file that pip's hash mode would refuse to install.

    """
    errors = [error for key, build in flow_builds(image).items() for error in _build_errors(key, build, root, warn)]
    bundle = image.ca_bundle if isinstance(image, DockerBuild) else None
    if bundle is not None and not (root / bundle).is_file():
        errors.append(
            f"image.caBundle: file '{bundle}' does not exist: name one with CA certificates, or remove the key"
        )
    return errors


def library_errors(settings: Settings, root: Path) -> list[str]:
    """Return key and sentence if the flow image of a work pool lacks the library of the block for task results.

    Args:
        settings: of the stack, whose requirements files exist.
        root: folder of prefect.yaml.

    """
    results = settings.results
    if not isinstance(results, BlockResults):
        return []
    library = _LIBRARIES.get(results.block.partition("/")[0])
    if library is None:
        return []
    builds, names = flow_builds(settings.image), {pool.image for pool in settings.work_pools.values()}
    keys = {key for key in builds if (key.removeprefix("image.flows.") if key != "image.flow" else None) in names}
    errors = []
    for key, build in builds.items():
        lock = read_lock(root / build.requirements, build.requirements)
        present = library in lock.distributions or library.replace("-", "_") in build.provides
        if key in keys and lock.complete and not present:
            errors.append(
                f"results.block: '{results.block}' needs {library}, which {build.requirements} of {key} lacks, so every"
                f" run would fail: add it to the group {lock.group} and run make lock, or set {key}.requirements to"
                " requirements/data.txt"
            )
    return errors


def flow_builds(image: Image) -> dict[str, FlowBuild]:
    """Return key in the stack file -> flow image; nothing for images of another pipeline."""
    if isinstance(image, Prebuilt):
        return {}
    return {"image.flow": image.flow, **{f"image.flows.{name}": build for name, build in image.flows.items()}}


def _build_errors(key: str, build: FlowBuild, root: Path, warn: Callable[[str], None]) -> Iterator[str]:
    for package in build.packages:
        if not (root / package).exists():
            yield f"{key}.packages: '{package}' does not exist: correct it, or remove it from the list"
    path = root / build.requirements
    if path.is_file():
        try:
            problem = _problem(path)
        except UnicodeDecodeError:
            # PowerShell writes what it redirects as UTF-16.
            yield f"{key}.requirements: {build.requirements} is not text in UTF-8, as pip reads it: {_REMEDY}"
        else:
            if problem:
                warn(f"{key}.requirements: {build.requirements} {problem}.")
    elif path.exists():
        yield f"{key}.requirements: {build.requirements} is a folder: name the file in it"
    else:
        yield f"{key}.requirements: {build.requirements} does not exist: correct the path, or {_REMEDY}"


def _problem(path: Path) -> str:
    """Return what pip's hash mode would refuse in a requirements file, or an empty string."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8-sig"))
    for line in (each.strip() for each in text.splitlines()):
        if _OTHER_FILE.match(line):
            return f"refers to another file with '{line}', which the build does not get: {_REMEDY}"
        if line and not line.startswith(("#", "-")) and "--hash=" not in line:
            return f"has no hash for '{line.partition(' ')[0]}', and the image installs only what has one: {_REMEDY}"
    return ""
