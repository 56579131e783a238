"""The name of the Pulumi project, which is the team's: it is the prefix of all keys of a stack file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

PACKAGE: Final = "infra/package"
"""Folder with what the wheel of `ephemeral_dask` is built from beside its code: pyproject.toml, which has the groups of
the locks too, and the license. Here they are links. In a repository that has adopted the program they are files,
because those at its root are the team's."""


def name(root: Path = ROOT) -> str:
    """Return the name in Pulumi.yaml.

    Raises:
        LookupError: it has none.

    """
    text = (root / "Pulumi.yaml").read_text(encoding="utf-8")
    match = re.search(r"^name:[ \t]*[\"']?([\w.-]+)", text, re.MULTILINE)
    if match is None:
        message = "Pulumi.yaml has no `name`"
        raise LookupError(message)
    return match[1]


NAME: Final = name()
