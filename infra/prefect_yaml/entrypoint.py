"""The form in which an entrypoint is registered: by module, so that flow pod and Dask workers import the same thing."""

from __future__ import annotations

from pathlib import Path

from infra.flow_signature.source import SOURCES


def module_form(entrypoint: str, root: Path) -> str:
    """Return `package.module.function` for `package/module.py:function`, and anything else as it is.

    Prefect loads a file as a top-level module of that file's name, whatever folder it is in. No Dask worker has a
    module of that name, so tasks that use a class or function of the file fail there, and imports from a parent package
    fail in the flow pod. A method keeps the colon that separates it from its module: `package.module:Class.method`.

    Args:
        entrypoint: as prefect.yaml has it; the file exists.
        root: the folder that module names start from, on PYTHONPATH in the image like its folder `src`.

    """
    file, _, name = entrypoint.rpartition(":")
    path = (root / file).resolve()
    if not file.endswith(".py") or not path.is_relative_to(root.resolve()):
        return entrypoint
    parts = path.relative_to(root.resolve()).with_suffix("").parts
    if parts[0] == SOURCES and not (root / SOURCES / "__init__.py").is_file():
        parts = parts[1:]
    if any("." in part for part in parts) or path.with_suffix("").joinpath("__init__.py").is_file():
        return entrypoint  # no module name leads to this file
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return f"{'.'.join(parts)}{':' if '.' in name else '.'}{name}" if parts else entrypoint
