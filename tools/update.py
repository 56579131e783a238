"""`make update`: newer versions of what pyproject.toml and the locks allow, all files or none, and what changed."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import Version

from infra.project import PACKAGE
from tools import locks
from tools.compatibility import pins
from tools.errors import Problem

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "prefect": ("prefect", "prefect-dask", "prefect-kubernetes", "prefect-redis", "prefect-aws"),
    "dask": ("dask", "distributed", "dask-kubernetes", "kopf", "kr8s"),
    "pulumi": ("pulumi", "pulumi-kubernetes", "pulumi-docker", "pulumi-docker-build"),
}
"""Packages that are raised together, because more than a lock depends on them, as in UPGRADING.md. Like those of
renovate.json."""

_REASONS: Final[Mapping[str, str]] = {
    "prefect": "see ephemeral_dask/lean/releases.py and the ranges of [project] in pyproject.toml",
    "dask": "see ephemeral_dask/upstream.py and the ranges of [project] in pyproject.toml",
    "pulumi": "raise tools/gomod and pulumi-version in the workflows too",
}

_PIN: Final = re.compile(r'"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9.]*)"')


@dataclass(frozen=True, kw_only=True, order=True)
class Change:
    """A version that is another one than before.

    Attributes:
        package: its name.
        file: the lock, or pyproject.toml for a pin.
        before: version; empty for a package that is new.
        after: version; empty for a package that is gone.

    """

    package: str
    file: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.package} {self.after} (new)"
        return f"{self.package} {self.before} -> {self.after or 'gone'}"


def update(root: Path, families: Collection[str]) -> list[Change]:
    """Write pyproject.toml and requirements/*.txt again and return what changed.

    Pins are raised within their series (3.8.8 to 3.8.9, not to 3.9), which the ranges of the package allow.

    Args:
        root: of the project.
        families: those of `FAMILIES` whose pins are raised too.

    Raises:
        Problem: a family is unknown, the requirements conflict, or the package index cannot be reached. No file has
            changed then.

    """
    if unknown := sorted(set(families) - FAMILIES.keys()):
        raise Problem(f"PINS names {', '.join(unknown)}", remedy=f"Name some of {', '.join(FAMILIES)}, or none")
    held = {package for name, packages in FAMILIES.items() if name not in families for package in packages}
    project, folder = root / PACKAGE / "pyproject.toml", root / "requirements"
    text = project.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="update-") as temporary:
        relaxed, target = Path(temporary, "relaxed"), Path(temporary, "new")
        for each in (relaxed, target):
            each.mkdir()
        (relaxed / "pyproject.toml").write_text(_relaxed(text, held), encoding="utf-8")
        newest: dict[str, str] = {}
        for group in ("data", "dev"):
            locks.resolve_group(group, relaxed / "pyproject.toml", relaxed)
            newest |= pins(relaxed / f"{group}.txt")
        new_text = _raised(text, newest, held)
        (target / "pyproject.toml").write_text(new_text, encoding="utf-8")
        locks.resolve(target / "pyproject.toml", target)
        changes = [*_pin_changes(text, new_text), *_lock_changes(folder, target)]
        for lock in sorted(target.glob("*.txt")):
            shutil.copyfile(lock, folder / lock.name)
    project.write_text(new_text, encoding="utf-8")
    return changes


def page(changes: Iterable[Change], families: Collection[str]) -> str:
    """Return what changed, for a terminal: a package once, with the files in which it did."""
    files: dict[str, list[str]] = {}
    for change in sorted(changes):
        files.setdefault(str(change), []).append(change.file)
    lines = [f"  {change}: {', '.join(names)}" for change, names in files.items()]
    lines = lines or ["  Nothing is newer."]
    for name, packages in FAMILIES.items():
        why = f"raised: {_REASONS[name]}" if name in families else f"as they were; PINS={name} raises them"
        lines.append(f"  {', '.join(packages)}: {why}")
    return "\n".join(lines)


def _relaxed(text: str, held: Collection[str]) -> str:
    """Return pyproject.toml with a later version of the same series allowed for each pin that is not held."""

    def relax(match: re.Match[str]) -> str:
        return (
            match[0] if match["name"] in held else f'"{match["name"]}>={match["version"]},<{_next(match["version"])}"'
        )

    return _PIN.sub(relax, text)


def _raised(text: str, newest: Mapping[str, str], held: Collection[str]) -> str:
    """Return pyproject.toml with the newest version as a pin, wherever it pins a package that is not held."""

    def pin(match: re.Match[str]) -> str:
        name = match["name"]
        return match[0] if name in held else f'"{name}=={newest.get(name, match["version"])}"'

    return _PIN.sub(pin, text)


def _next(version: str) -> str:
    """Return the first version of the next series: 3.9 after 3.8.8, 2026.9 after 2026.8.0."""
    first, second = (*Version(version).release, 0)[:2]
    return f"{first}.{second + 1}"


def _pin_changes(before: str, after: str) -> Iterator[Change]:
    old, new = _pinned(before), _pinned(after)
    for name, version in old.items():
        if new[name] != version:
            yield Change(package=name, file="pyproject.toml", before=version, after=new[name])


def _pinned(text: str) -> dict[str, str]:
    return {match["name"]: match["version"] for match in _PIN.finditer(text)}


def _lock_changes(folder: Path, target: Path) -> Iterator[Change]:
    for lock in sorted(target.glob("*.txt")):
        old = folder / lock.name
        before, after = pins(old) if old.is_file() else {}, pins(lock)
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield Change(package=name, file=lock.name, before=before.get(name, ""), after=after.get(name, ""))
