"""What a group of programs is: which Go modules it is built from, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.toolchain.pins import go_line


@dataclass(frozen=True, kw_only=True)
class Extract:
    """A file inside a Go module, found through a package of that module.

    Why a package: `go list` on a package downloads its module and checks it against go.sum, while
    `go mod download` would add a missing checksum instead of refusing.
    """

    package: str
    path: str
    """Relative to the root of the module that holds `package`."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """One folder with a go.mod, and what comes out of it."""

    folder: Path
    requires: str
    """The Go module that it is here for."""
    programs: Mapping[str, str]
    """Name of the executable -> its Go package."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Go variables set by the linker, without which the programs report no version."""
    embeds: tuple[Extract, ...] = ()
    """Laid beside the module's own sources before the build."""
    scripts: tuple[Extract, ...] = ()
    """Laid beside the executables after it."""
    folders: tuple[Extract, ...] = ()
    """Laid beside `bin/`, each under its own name."""

    @property
    def ldflags(self) -> str:
        """The linker's flags: no symbol table and no debug information, which halves the size."""
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())])

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all files it puts into `bin/`."""
        return (*self.programs, *(Path(script.path).name for script in self.scripts))

    @property
    def folder_names(self) -> tuple[str, ...]:
        """The names of all folders it puts beside `bin/`."""
        return tuple(Path(folder.path).name for folder in self.folders)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Programs that are built, kept and versioned together, in one `bin/` folder and with what they need beside it."""

    name: str
    version: str
    modules: tuple[Module, ...]
    size_mib: int
    """What the finished folder takes."""
    cold_mib: int
    """What Go's module and build caches grow by when they held nothing of it."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all files in its `bin/`."""
        return tuple(name for module in self.modules for name in module.outputs)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """The names of all folders beside its `bin/`."""
        return tuple(name for module in self.modules for name in module.folder_names)

    @property
    def go(self) -> tuple[int, ...]:
        """The oldest Go that its modules accept."""
        return max(go_line(module.folder) for module in self.modules)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
