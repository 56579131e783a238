"""Building one group, in a temporary folder that is renamed to the final one when it is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TextIO

from tools.file_lock import locked
from tools.toolchain.failure import problem
from tools.toolchain.go import Go, environment
from tools.toolchain.group import Extract, Group, Module
from tools.toolchain.store import Store, complete


def build(group: Group, go: Go, store: Store) -> Path:
    """Build a group, unless another process has just built it, and return its folder.

    Raises:
        Problem: Go could not build it. Only the log is left.

    """
    folder = store.folder(group, go)
    with locked(store.root / f"{group.name}.lock", f"builds {group}"):
        if complete(group, folder):
            return folder
        # Only the holder of the lock has such a folder, so an existing one is that of a process that was killed.
        for stale in store.root.glob(f".{group.name}~*"):
            shutil.rmtree(stale, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)  # incomplete: files in it were deleted
        temporary = Path(tempfile.mkdtemp(prefix=f".{group.name}~", dir=store.root))
        try:
            _fill(temporary, group, go, store.log(group))
            temporary.chmod(0o755)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _fill(temporary: Path, group: Group, go: Go, log: Path) -> None:
    binaries = temporary / "bin"
    scratch = temporary / "scratch"
    binaries.mkdir()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        for module in group.modules:
            scratch.mkdir()
            _module(module, binaries, scratch, _Runner(group, go, scratch, output))
            shutil.rmtree(scratch)


def _module(module: Module, binaries: Path, scratch: Path, runner: _Runner) -> None:
    source = scratch / "source"
    shutil.copytree(module.folder, source)
    for embed in module.embeds:
        shutil.copyfile(runner.locate(embed, source), source / Path(embed.path).name)
    # With a file as output Go writes that file; with a folder it names each program after its package.
    target = binaries / next(iter(module.programs)) if len(module.programs) == 1 else f"{binaries}{os.sep}"
    runner.go(
        ["build", "-mod=readonly", "-ldflags", module.ldflags, "-o", str(target), *module.programs.values()],
        source,
    )
    for name, package in module.programs.items() if len(module.programs) > 1 else ():
        (binaries / package.rsplit("/", 1)[1]).rename(binaries / name)
    for script in module.scripts:
        copy = binaries / Path(script.path).name
        shutil.copyfile(runner.locate(script, source), copy)
        copy.chmod(0o755)
    for folder, name in zip(module.folders, module.folder_names, strict=True):
        _copy_folder(runner.locate(folder, source), binaries.parent / name)


def _copy_folder(origin: Path, copy: Path) -> None:
    """Copy names and contents without permissions: Go's module cache is read-only, and the copy must be removable."""
    copy.mkdir()
    for entry in origin.iterdir():
        if entry.is_dir():
            _copy_folder(entry, copy / entry.name)
        else:
            shutil.copyfile(entry, copy / entry.name)


class _Runner:
    """Runs `go` for one group, with its output in the group's log."""

    def __init__(self, group: Group, go: Go, scratch: Path, log: TextIO) -> None:
        self._group = group
        self._executable = go.executable
        self._environment = environment(scratch)
        self._log = log

    def go(self, arguments: list[str], folder: Path) -> str:
        """Return what `go` wrote to standard output; standard error goes to the log."""
        print("$ go", *arguments, file=self._log, flush=True)
        run = subprocess.run(
            [self._executable, *arguments],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise problem(self._group, Path(self._log.name))
        return run.stdout

    def locate(self, extract: Extract, folder: Path) -> Path:
        """Return the path of a file or folder of a module, after Go has downloaded and verified that module."""
        output = self.go(["list", "-mod=readonly", "-f", "{{.Module.Dir}}", extract.package], folder)
        return Path(output.strip()) / extract.path
