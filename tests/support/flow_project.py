"""A project's flow as this program reads it, and as Prefect's own deploy code loads it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from infra.flow_signature import schema
from infra.flow_signature.source import SourceError, UndecidedError, find

BOUNDED: Final = 5
"""Seconds of processor time: above what a bounded reading takes on a slow machine, far below an unbounded one."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What a deployment registers of a flow.

    Attributes:
        name: of the flow, or None if the reading does not know it.
        description: of the flow.
        schema: of its parameters.
        notes: what the reading left out.
        error: why there is no flow.
        undecided: whether the error says that only running the module would show the flow.
        seconds: processor time that it took.

    """

    name: str | None = None
    description: str | None = None
    schema: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    error: str = ""
    undecided: bool = False
    seconds: float = 0


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write a project: path -> content."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def ours(folder: Path, entrypoint: str) -> Flow:
    """Return what the static reading says of a flow."""
    start = time.process_time()
    try:
        source = find(entrypoint, folder)
        properties, notes = schema.build(source)
    except SourceError as error:
        undecided = isinstance(error, UndecidedError)
        return Flow(schema={}, error=str(error), undecided=undecided, seconds=time.process_time() - start)
    seconds = time.process_time() - start
    json.dumps(properties, allow_nan=False)
    return Flow(
        name=source.name,
        description=source.description,
        schema=properties,
        notes=(*source.notes, *notes),
        seconds=seconds,
    )


def prefects(folder: Path, entrypoint: str) -> Flow:
    """Return what Prefect's deploy code says of a flow, which it imports."""
    with imports(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
            parameters = json.loads(parameter_schema(flow).model_dump_json(exclude_unset=True))
        except BaseException as error:  # noqa: BLE001  the project's own code may raise anything
            return Flow(schema={}, error=f"{type(error).__name__}: {error}")
    return Flow(name=str.__str__(flow.name), description=flow.description, schema=parameters)


@contextlib.contextmanager
def imports(folder: Path) -> Iterator[None]:
    """Import from a folder, whatever was imported under the same names before, and forget what was imported."""
    directory, modules, path, writes = Path.cwd(), dict(sys.modules), list(sys.path), sys.dont_write_bytecode
    # Bytecode is valid for a time in seconds and a size, which the next generated file may share.
    sys.dont_write_bytecode = True
    os.chdir(folder)
    importlib.invalidate_caches()
    own = {path.stem for path in folder.rglob("*") if path.suffix == ".py" or path.is_dir()}
    for name in [name for name, module in modules.items() if name.partition(".")[0] in own and _is_loose(name, module)]:
        del sys.modules[name]
    if (folder / "src").is_dir():
        sys.path.insert(0, str(folder / "src"))
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:], sys.dont_write_bytecode = path, writes
        for name in [name for name in sys.modules if name not in modules and name.partition(".")[0] in own]:
            del sys.modules[name]
        sys.modules.update(modules)


def _is_loose(name: str, module: object) -> bool:
    """Tell whether a module is neither Python's own nor installed: a test may have left a project's module behind."""
    file = str(getattr(module, "__file__", None) or "")
    return name.partition(".")[0] not in sys.stdlib_module_names and not file.startswith((sys.prefix, sys.base_prefix))


def differences(ours: Flow, theirs: Flow) -> list[str]:
    """Return where the two differ and no note says that something was left out."""
    if theirs.error:
        return []
    if ours.error:
        return [] if ours.undecided else [f"refused: {ours.error}"]
    lines = []
    if ours.name not in (theirs.name, None):
        lines.append(f"name {ours.name!r}, Prefect: {theirs.name!r}")
    if ours.description != theirs.description and not _noted(ours, "the description is left out"):
        lines.append(f"description {ours.description!r}, Prefect: {theirs.description!r}")
    if _noted(ours, "the parameters are registered as the function has them"):
        return lines
    if list(ours.schema["properties"]) != list(theirs.schema["properties"]):
        return [*lines, f"parameters {list(ours.schema['properties'])}, Prefect: {list(theirs.schema['properties'])}"]
    names = list(theirs.schema["properties"])
    for key in sorted({*ours.schema, *theirs.schema} - {"properties"}):
        noted = key == "definitions" and any(_noted(ours, f"parameter '{name}'") for name in names)
        if not noted and ours.schema.get(key) != theirs.schema.get(key):
            lines.append(f"{key} {ours.schema.get(key)}, Prefect: {theirs.schema.get(key)}")
    return lines + [line for name in names for line in _difference(name, ours, theirs)]


def _difference(name: str, ours: Flow, theirs: Flow) -> list[str]:
    actual, expected = dict(ours.schema["properties"][name]), dict(theirs.schema["properties"][name])
    if _noted(ours, f"parameter '{name}'", "type"):
        return []
    if _noted(ours, f"parameter '{name}'", "default") and "default" not in actual:
        expected.pop("default", None)
    return [] if actual == expected else [f"parameter {name}: {actual}, Prefect: {expected}"]


def _noted(flow: Flow, start: str, word: str = "") -> bool:
    return any(note.startswith(start) and word in note.partition("because")[0] for note in flow.notes)
