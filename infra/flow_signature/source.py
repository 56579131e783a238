"""Finds a flow by its entrypoint, without importing its module."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.flow_signature.files import SOURCES, SourceError, import_roots, module_path, parse, relative
from infra.flow_signature.machine import Frame
from infra.flow_signature.prefect_names import Flow
from infra.flow_signature.reading import Reading
from infra.flow_signature.unknown import Cause, Decorated, Unknown, explain

__all__ = [
    "SOURCES",
    "FlowSource",
    "SourceError",
    "UndecidedError",
    "find",
    "import_roots",
    "locate",
    "module_path",
    "parse",
]

WAY_OUT = "write schema and flowName for the deployment in the stack file (docs/flows.md, What cannot be read)"

_readings: dict[tuple[Path, Path, str, bool], Reading] = {}
_MOST_READINGS = 64


class UndecidedError(SourceError):
    """Only running the module would show whether the entrypoint names a flow.

    Attributes:
        function: the name of the function in the entrypoint.

    """

    def __init__(self, text: str, function: str) -> None:
        super().__init__(text)
        self.function = function


@dataclass(frozen=True, kw_only=True)
class FlowSource:
    """A flow.

    Attributes:
        path: its file.
        root: the folder that module names start from.
        flow: what its module defines.
        reading: of its module.

    """

    path: Path
    root: Path
    flow: Flow = field(compare=False)
    reading: Reading = field(compare=False, repr=False)
    schema: list[Any] = field(default_factory=list, compare=False, repr=False)
    """What `schema.build` returned for it: deployments of one flow share it."""

    @property
    def function(self) -> str:
        """The name of the flow's function."""
        return str(self.flow.fn.__name__)

    @property
    def name(self) -> str | None:
        """The flow's name, or None if only running the module would show it."""
        return None if isinstance(self.flow.name, Unknown) else str(self.flow.name)

    @property
    def unknown_name(self) -> str:
        """Why the name is unknown, as a clause."""
        return explain(self.flow.name.causes)

    @property
    def description(self) -> str | None:
        """The flow's description, if there is one that is known."""
        description = self.flow.description
        return description if isinstance(description, str) else None

    @property
    def docstring(self) -> str | None:
        """The docstring of the flow's function, cleaned."""
        text = inspect.getdoc(self.flow)
        return text if isinstance(text, str) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unknown about the flow, apart from its name and its parameters."""
        notes = []
        if self.flow.causes:
            notes.append(
                "the parameters are registered as the function has them, because whether its decorators change them is"
                f" unknown: {explain(self.flow.causes)}"
            )
        if isinstance(self.flow.description, Unknown):
            notes.append(f"the description is left out, because {explain(self.flow.description.causes)}")
        return tuple(notes)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature, with postponed annotations as text."""
        with self.reading.active():
            return inspect.signature(self.flow.fn)


def find(entrypoint: str, root: Path) -> FlowSource:
    """Return the flow that an entrypoint names.

    Args:
        entrypoint: `package.module.function`, `path/to/file.py:function` or `package.module:function`; after a colon
            the function may be a method.
        root: the folder of prefect.yaml.

    Raises:
        SourceError: there is no such file, function or flow.

    """
    path, name = locate(entrypoint, root)
    file, colon, _ = entrypoint.rpartition(":")
    script = bool(colon) and file.endswith(".py")
    reading = _read(path, root, path.stem if script else file or entrypoint.rpartition(".")[0], script=script)
    if name not in reading.sources:
        reading.sources[name] = _source(reading, name, path, root)
    source: FlowSource = reading.sources[name]
    return source


def _source(reading: Reading, name: str, path: Path, root: Path) -> FlowSource:
    where = relative(path, root)
    value = _lookup(reading, name.split("."), where)
    causes: tuple[Cause, ...] = ()
    function = name.rpartition(".")[2]
    if isinstance(value, Decorated):
        causes, value = value.causes, value.inner
        if not isinstance(value, Flow) and any(cause.text != "prefect.task" for cause in causes):
            value = Unknown(*causes)
    if isinstance(value, Unknown):
        for cause in value.causes:
            if cause.refused:
                raise SourceError(cause.text)
        clause = explain(value.causes) or "only running it would show it"
        raise UndecidedError(f"whether '{name}' in {where} is a flow is unknown: {clause}; {WAY_OUT}", function)
    if not isinstance(value, Flow):
        raise SourceError(f"'{name}' in {where} is not a flow; decorate it with @flow from prefect")
    flow = value
    if causes:
        flow = value.with_options()
        flow.causes = (*value.causes, *causes)
    return FlowSource(path=path, root=root, flow=flow, reading=reading)


def locate(entrypoint: str, root: Path) -> tuple[Path, str]:
    """Return the file that an entrypoint loads, and the name of the flow function in it.

    Args:
        entrypoint: as in `find`.
        root: the folder of prefect.yaml.

    Raises:
        SourceError: there is no such file.

    """
    file, colon, name = entrypoint.rpartition(":")
    if colon and file.endswith(".py"):
        path = root / file
        if not path.is_file():
            raise SourceError(f"no file {file} next to prefect.yaml; write path/to/file.py:function")
        return path, name
    if not colon:
        file, _, name = entrypoint.rpartition(".")
    module = module_path(file, root)
    if not file or not name or module is None:
        raise SourceError(
            f"no module '{file or entrypoint}' next to prefect.yaml; write package.module.function or"
            " path/to/file.py:function"
        )
    return module, name


def _read(path: Path, root: Path, name: str, *, script: bool) -> Reading:
    """Return the reading of a file, which is kept until one of the files that it read changes."""
    key = (path, root, name, script)
    reading = _readings.get(key)
    if reading is None or not _is_current(reading.files):
        if len(_readings) >= _MOST_READINGS:
            _readings.clear()
        reading = _readings[key] = Reading(path, root, name=name, script=script)
    return reading


def _is_current(files: Mapping[Path, tuple[int, int]]) -> bool:
    for path, state in files.items():
        try:
            status = path.stat()
        except OSError:
            return False
        if (status.st_mtime_ns, status.st_size) != state:
            return False
    return True


def _lookup(reading: Reading, names: list[str], where: str) -> Any:
    frame = Frame("module", reading.main.object.__dict__, reading.main)
    missing = f"no '{{}}' in {where}; name a function that is decorated with @flow"
    value: Any = None
    for index, name in enumerate(names):
        try:
            if index:
                value = reading.known(getattr(value, name))
            elif name in frame.names or reading.main.stars:
                value = reading.load(frame, name)
            else:
                value = getattr(reading.main.object, name)
        except (AttributeError, NameError):
            raise SourceError(missing.format(name)) from None
        except Exception as error:  # noqa: BLE001  the project's own source may raise anything
            raise SourceError(f"'{name}' in {where} raises {type(error).__name__}; correct it") from None
    return value
