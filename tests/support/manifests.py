"""Kubernetes objects as they are written, with changes."""

from __future__ import annotations

import copy
from typing import Any

Manifest = dict[str, Any]


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """Return a manifest with another value at a path; a number is an index, `+` appends, and `~` is a dot of a name."""
    result = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    part: Any = result
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name.replace("~", "."), {})
    if last == "+":
        part.append(value)
    else:
        part[last.replace("~", ".")] = value
    return result
