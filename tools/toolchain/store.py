"""The folders of finished groups: `<cache>/tools/<group>-<version>-<key>-<go>/bin`."""

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
"""Part of every key: raise it when recipe.py builds something else from the same modules."""


def cache_key(group: Group) -> str:
    """Return 16 digits that change with everything that determines the result, except Go's version."""
    inputs = {
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
                # Only where there are some: groups without folders keep the keys that they had before folders existed.
                **({"folders": [asdict(each) for each in module.folders]} if module.folders else {}),
            }
            for module in group.modules
        ],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


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
    def in_cache(cls, cache: Path | None) -> Store:
        """Return the store in a cache folder, by default in the project's."""
        return cls((cache or cache_dir()) / "tools")

    def folder(self, group: Group, go: Go) -> Path:
        """Return the folder for this Go's build of the group."""
        compiler = re.sub(r"[^A-Za-z0-9.]+", "_", go.version)
        return self.root / f"{self._prefix(group)}-{compiler}"

    def ready(self, group: Group, go: Go | None) -> Path | None:
        """Return the finished folder; None when there is none.

        Without a usable Go nothing can be built, so the newest build by any Go counts: a cache that was copied from
        another machine works on one without Go.
        """
        if go is not None and go.numbers >= group.go:
            folder = self.folder(group, go)
            return folder if complete(group, folder) else None
        builds = [path for path in self.root.glob(f"{self._prefix(group)}-*") if complete(group, path)]
        return max(builds, key=lambda path: path.stat().st_mtime, default=None)

    def _prefix(self, group: Group) -> str:
        return f"{group.name}-{group.version}-{cache_key(group)}"

    def log(self, group: Group) -> Path:
        """Return the log of the group's last build."""
        return self.root / "logs" / f"{group.name}.log"


def complete(group: Group, folder: Path) -> bool:
    """Return whether a folder has all files: it is complete when it appears, but files may have been deleted since."""
    programs = all((folder / "bin" / name).is_file() for name in group.outputs)
    return programs and all((folder / name).is_dir() for name in group.folder_names)
