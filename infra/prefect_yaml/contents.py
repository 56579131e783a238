"""Refuses a deployment whose flow starts in or imports code that its flow image does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from infra.flow_signature.imports import dotted
from infra.flow_signature.lock import read_lock
from infra.flow_signature.source import SOURCES
from infra.prefect_yaml.project_code import loaded
from infra.specs.deployment import DeploymentSpec


def check_contents(
    specs: Iterable[DeploymentSpec], root: Path, packages: Sequence[str], *, key: str, lock: str
) -> list[str]:
    """Compare the files of the project that flows load with those of their flow image.

    A deployment that brings its own code (pull steps) or its own image (the job variable `image`) is not checked.

    Args:
        specs: the deployments whose runs use the image.
        root: folder of prefect.yaml.
        packages: folders and files that the image holds, relative to the root.
        key: of the image in the stack file, such as `image.flow`.
        lock: the image's `requirements`, relative to the root; the project itself may be one of them.

    Returns:
        One message with file and remedy for each folder that the image does not hold and that a flow needs.

    """
    base, errors = root.resolve(), dict[str, str]()
    held = [base / package for package in packages]
    for spec, file, importer in loaded(specs, base):
        if any(file.is_relative_to(folder) for folder in held) or _is_installed(file, importer, base, lock):
            continue
        what = (
            f"deployment '{spec.key}' starts in {_relative(file, base)}"
            if importer is None
            else f"{dotted(importer, base)} imports {dotted(file, base)}, which is {_relative(file, base)}"
        )
        package = _package(file, base)
        remedy = (
            f"move it there, or set {key}.packages to [{', '.join([*packages, package])}]"
            if package
            else "move it into the project"
        )
        text = f"{spec.location}: {what}, and the flow image holds {_enumeration(packages)} only: {remedy}"
        errors.setdefault(package, text)
    return list(errors.values())


def _is_installed(file: Path, importer: Path | None, root: Path, lock: str) -> bool:
    """Return whether an import takes the file from a package of the lock: a project can be a package itself."""
    return importer is not None and read_lock(root / lock, lock).find(dotted(file, root))[0] == "present"


def _relative(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def _package(file: Path, root: Path) -> str:
    """Return the smallest of the project's top folders with a file, or "" for a file outside the project."""
    if not file.is_relative_to(root):
        return ""
    parts = file.relative_to(root).parts
    return "/".join(parts[: 2 if parts[0] == SOURCES else 1])


def _enumeration(packages: Sequence[str]) -> str:
    *others, last = packages
    return f"{', '.join(others)} and {last}" if others else last
