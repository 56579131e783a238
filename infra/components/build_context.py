"""The folder that a builder gets: what the image is made of and nothing else, the same in every clone.

Both providers hash names, contents and modes of their context, and BuildKit keeps modes in the image. Git does not
keep them: a clone under umask 077 would give files that the image's user cannot read, one under 002 another digest
than one under 022.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from infra.project import PACKAGE
from infra.settings import FlowBuild

CA_BUNDLE: Final = "ca.crt"
"""Path in the context of the file that `image.caBundle` names. As a build secret, its 200 KB would be in the state four
times, encrypted."""

_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".venv", ".ipynb_checkpoints", ".DS_Store"})


def flow(build: FlowBuild) -> dict[str, str]:
    """Return path in the context -> path in the project of a flow image's files and folders."""
    return {
        "Dockerfile": "Dockerfile",
        "requirements/uv.txt": "requirements/uv.txt",
        "requirements/flows.txt": build.requirements,
        **{f"package/{name}": f"{PACKAGE}/{name}" for name in ("pyproject.toml", "LICENSE")},
        "package/ephemeral_dask": "ephemeral_dask",
        **{f"app/{name}": name for name in (".prefectignore", *build.packages)},
    }


def platform() -> dict[str, str]:
    """Return the same of the platform image."""
    return {
        "Dockerfile": "Dockerfile.platform",
        "requirements/uv.txt": "requirements/uv.txt",
        "requirements/platform.txt": "requirements/platform.txt",
        # Of the package only the contract: the whole would tie the platform's pods to every change of the runtime.
        "app/ephemeral_dask/__init__.py": "ephemeral_dask/__init__.py",
        "app/ephemeral_dask/contract": "ephemeral_dask/contract",
        "app/ops": "ops",
    }


def assemble(sources: Mapping[str, str], root: Path, folder: Path) -> None:
    """Make a folder hold the sources, with modes that do not depend on the clone, and nothing else.

    A file that has not changed is not written again. Two processes may assemble the same folder at the same time.

    Args:
        sources: path in the folder -> path below the root, as `flow` and `platform` return it.
        root: folder of the project.
        folder: the build context; it is created if it does not exist.

    Raises:
        OSError: a source does not exist, or the folder cannot be written.

    """
    # A source that is a link itself stands for what it leads to: elsewhere in the folder it would lead to nothing.
    places = {target: (root / source).resolve() for target, source in sources.items()}
    files = {Path(target) / path.relative_to(place): path for target, place in places.items() for path in _files(place)}
    folder.mkdir(parents=True, exist_ok=True)
    _remove_others(folder, files)
    for target, source in files.items():
        _make_folders(folder, target)
        _copy(source, folder / target, folder.parent)


def _files(source: Path) -> Iterator[Path]:
    if source.is_symlink() or not source.is_dir():
        yield source
        return
    for path in sorted(source.iterdir()):
        if path.name not in _LEFT_OUT and path.suffix != ".pyc":
            yield from _files(path)


def _remove_others(folder: Path, files: Mapping[Path, Path]) -> None:
    folders = {parent for file in files for parent in file.parents}
    for place, names, leaves in os.walk(folder, topdown=False):
        here = Path(place)
        for name in (*names, *leaves):
            path = here / name
            is_folder = path.is_dir() and not path.is_symlink()
            if path.relative_to(folder) not in (folders if is_folder else files):
                with suppress(FileNotFoundError):
                    path.rmdir() if is_folder else path.unlink()


def _make_folders(folder: Path, target: Path) -> None:
    for parent in reversed(target.parents):
        path = folder / parent
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _copy(source: Path, target: Path, drafts: Path) -> None:
    if source.is_symlink():
        link = source.readlink()
        if not target.is_symlink() or target.readlink() != link:
            target.unlink(missing_ok=True)
            target.symlink_to(link)
        return
    mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    # BuildKit fetches a file again whose size or time has changed, so what is the same keeps its time.
    if not target.is_symlink() and target.is_file() and target.read_bytes() == source.read_bytes():
        target.chmod(mode)
        return
    handle, draft = tempfile.mkstemp(dir=drafts, prefix=".draft-")
    os.close(handle)
    shutil.copyfile(source, draft)
    Path(draft).chmod(mode)
    Path(draft).replace(target)
