"""The description of a group of programs: the Go modules that it is built from, and the files of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.toolchain.pins import go_line


@dataclass(frozen=True, kw_only=True)
class Extract:
    """A file or folder inside a Go module, located by a package of that module.

    `go list` on a package downloads its module and checks it against go.sum, while `go mod download` would add a
    missing checksum instead of refusing it.

    The names of these attributes are part of the cache key of a build.
    """

    package: str
    path: str
    """Relative to the root of the module that holds `package`."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """One folder with a go.mod, and what is built from it."""

    folder: Path
    requires: str
    """The Go module that it builds."""
    programs: Mapping[str, str]
    """Name of the executable -> its Go package."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Go variables that the linker sets, so that the programs report their version."""
    embeds: tuple[Extract, ...] = ()
    """Files copied beside the module's own sources before the build."""
    scripts: tuple[Extract, ...] = ()
    """Files copied beside the executables after the build."""
    folders: tuple[Extract, ...] = ()
    """Folders copied beside `bin/`, each under its own name."""

    @property
    def ldflags(self) -> str:
        """Return the linker's flags: no symbol table and no debug information, which halves the size."""
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of all files that it puts into `bin/`."""
        return (*self.programs, *(Path(script.path).name for script in self.scripts))

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Return the names of all folders that it puts beside `bin/`."""
        return tuple(Path(folder.path).name for folder in self.folders)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Programs that are built and stored together: one `bin/` folder, and the folders that they need beside it."""

    name: str
    version: str
    modules: tuple[Module, ...]
    size_mib: int
    """MiB of the finished folder."""
    cold_mib: int
    """MiB by which an empty module cache and an empty build cache of Go grow."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of all files in its `bin/`."""
        return tuple(name for module in self.modules for name in module.outputs)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Return the names of all folders beside its `bin/`."""
        return tuple(name for module in self.modules for name in module.folder_names)

    @property
    def go(self) -> tuple[int, ...]:
        """Return the oldest Go version that all its modules accept."""
        return max(go_line(module.folder) for module in self.modules)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
