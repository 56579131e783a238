"""Where finished groups lie: `<cache>/tools/<group>-<version>-<key>/bin`."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.paths import cache_dir
from tools.toolchain.go import SETTINGS, Go, target
from tools.toolchain.group import Group

RECIPE = 1
"""Raise it when build.py changes what comes out of the same modules."""


def content(group: Group) -> str:
    """Return 16 digits that change with anything that determines the result, except Go's version."""
    described = {
        "recipe": RECIPE,
        "settings": dict(SETTINGS),
        "target": target(),
        "modules": [
            {
                "files": _files(module.folder),
                "programs": dict(module.programs),
                "ldflags": module.ldflags,
                "embeds": [asdict(each) for each in module.embeds],
                "scripts": [asdict(each) for each in module.scripts],
                # Named only where there are some: the key of a group without any is that of the time before them.
                **({"folders": [asdict(each) for each in module.folders]} if module.folders else {}),
            }
            for module in group.modules
        ],
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Store:
    """The folder with all groups."""

    root: Path

    @classmethod
    def under(cls, cache: Path | None) -> Store:
        """Return the store in a cache folder; in the project's own when none is given."""
        return cls((cache or cache_dir()) / "tools")

    def folder(self, group: Group, go: Go) -> Path:
        """Return where this Go's build of the group belongs."""
        compiler = re.sub(r"[^A-Za-z0-9.]+", "_", go.version)
        return self.root / f"{self._prefix(group)}-{compiler}"

    def ready(self, group: Group, go: Go | None) -> Path | None:
        """Return the finished folder, if there is one.

        Without a usable Go nothing can be built, so the newest build by any Go will do: a cache that was
        brought from another machine works on one that has none.
        """
        if go is not None and go.numbers >= group.go:
            folder = self.folder(group, go)
            return folder if complete(group, folder) else None
        found = [path for path in self.root.glob(f"{self._prefix(group)}-*") if complete(group, path)]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def _prefix(self, group: Group) -> str:
        return f"{group.name}-{group.version}-{content(group)}"

    def log(self, group: Group) -> Path:
        """Return the path of the output of the group's last build."""
        return self.root / "logs" / f"{group.name}.log"


def complete(group: Group, folder: Path) -> bool:
    """Whether everything is there: a folder appears whole, but a person may have deleted from it."""
    programs = all((folder / "bin" / name).is_file() for name in group.outputs)
    return programs and all((folder / name).is_dir() for name in group.folder_names)
