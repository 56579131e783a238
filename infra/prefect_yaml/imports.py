"""Refuses a deployment whose flow imports what its flow image does not have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from infra.flow_signature.imports import Import, dotted, third_party_imports
from infra.flow_signature.lock import NAMESPACES, Lock, read_lock
from infra.flow_signature.source import locate
from infra.specs.deployment import DeploymentSpec


def check_imports(
    specs: Iterable[DeploymentSpec],
    root: Path,
    lock: str,
    *,
    warn: Callable[[str], None],
    provided: Collection[str] = (),
    packages: Collection[str] = (".",),
) -> list[str]:
    """Compare what flows import when they are loaded with the lock of their flow image.

    A deployment that brings its own code (pull steps) or its own image (the job variable `image`) is not checked.

    Args:
        specs: the deployments whose runs use the image.
        root: folder of prefect.yaml, with the code that the image gets.
        lock: the image's `requirements`, relative to the root.
        warn: takes a message about an import whose distribution cannot be determined.
        provided: import names that the image has beside the lock, because its Dockerfile installs them.
        packages: folders and files of the project that the image holds, relative to the root.

    Returns:
        One message with file, line and remedy for each import that the lock lacks.

    """
    try:
        distributions = read_lock(root / lock, lock)
    except OSError:
        return [f"{lock} does not exist, and the flow image installs what it lists: run make lock, or correct its name"]
    errors: dict[tuple[str, str], str] = {}
    for spec in specs:
        if spec.pull_steps or "image" in spec.job_variables:
            continue
        path, _ = locate(spec.entrypoint, root)
        for each in third_party_imports(path, root):
            if each.top not in provided and (each.module, each.top) not in errors:
                answer, text = _verdict(each, distributions, root, packages)
                if answer == "missing":
                    errors[each.module, each.top] = f"{spec.location}: {text}"
                elif answer == "unknown":
                    warn(f"{spec.location}: {text}.")
    return list(errors.values())


def _verdict(each: Import, lock: Lock, root: Path, packages: Collection[str]) -> tuple[str, str]:
    """Return `present`, `missing` or `unknown`, and the message for the last two."""
    answer, distribution = lock.find(each.name)
    if answer != "present" and each.sibling is not None:
        package = each.module.rpartition(".")[0]
        if each.changes_path:
            own = dotted(each.sibling, root)
            place, _, module = own.rpartition(".")
            if not any(each.sibling.is_relative_to(root / folder) for folder in packages):
                return "missing", (
                    f"{each.module} imports {each.top}, which is {each.sibling.relative_to(root)}, and the flow image"
                    f" holds {', '.join(packages)} only: move it there, or add its folder to the image's packages"
                )
            return "unknown", (
                f"{each.module} imports {each.top}, which is {each.sibling.relative_to(root)}, from a sys.path that it"
                f" changes: a Dask worker finds it only after it has imported {each.module}; write"
                f" {f'from {place} ' if place else ''}import {module}"
            )
        return "missing", (
            f"{each.module} imports {each.top}, which is {each.sibling.relative_to(root)} and not importable under that"
            f" name in a run: write from {package or '.'} import {each.top}"
        )
    name = each.name if each.top in NAMESPACES else each.top
    if distribution != name.lower():
        name = f"{name} ({distribution})"
    text = f"{each.module} imports {name}, which {lock.file} lacks: add it to the group {lock.group} and run make lock"
    return answer, text if answer == "missing" else f"{text}, unless the lock has it under another name"
