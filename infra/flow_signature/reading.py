"""Reads the modules of a flow: what each of them binds, without importing any of the project's code or libraries."""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from infra.flow_signature import files
from infra.flow_signature.files import Location, SourceError
from infra.flow_signature.machine import Frame, Module
from infra.flow_signature.prefect_names import prefect_module
from infra.flow_signature.purity import Purity
from infra.flow_signature.statements import Statements
from infra.flow_signature.unknown import Undecidable, Unknown

_LIBRARIES: Final = frozenset({"pydantic", "pydantic_core", "typing_extensions", "annotated_types"})
_SIDE_EFFECTS: Final = frozenset(
    [
        "antigravity",
        "this",
        "idlelib",
        "turtle",
        "turtledemo",
        "tkinter",
        "test",
        "lib2to3",
        "ensurepip",
        "venv",
        "__main__",
        "pip",
    ]
)
"""Modules of the standard library that do something when they are imported, or that may be missing."""
_RUNTIME: Final = "ephemeral_dask"
"""The package of this platform, which every image has. Its names are neither types nor defaults of a flow's parameters,
and reading its forty modules again for the module of each flow would take most of the time of a preview."""
_FRAMES: Final = 6_000
"""Python's frames for what a reading nests: its own depth is bounded (`budget.py`)."""
_MOST_MODULES: Final = 300


class Reading(Statements):
    """The modules that a flow's module imports, as far as they can be read.

    Args:
        path: the file of the flow.
        root: the folder of prefect.yaml.
        name: the name that the flow's module has when Prefect loads it.
        script: whether Prefect loads it as a file.

    Attributes:
        sources: what `source.find` returned, by the name of the flow: it goes with the reading.

    """

    def __init__(self, path: Path, root: Path, *, name: str, script: bool) -> None:
        super().__init__(root)
        self.sources: dict[str, Any] = {}
        self.purity = Purity()
        self._installed: dict[str, types.ModuleType | None] = {}
        self._path = path
        self.files: dict[Path, tuple[int, int]] = {}
        self.folders = files.search_path(path, root, script=script)
        self._script = name if script else ""
        self._is_of_runtime = not script and name.partition(".")[0] == _RUNTIME
        self._locations: dict[str, Location] = {}
        self._objects: dict[str, types.ModuleType | Unknown] = {}
        self.modules: dict[str, Module] = {}
        with self.active():
            if not script:
                for parent in _parents(name):
                    self._module(parent)
            location = Location(path, (path.parent, root) if script else ())
            if path.name == "__init__.py" and not script:
                location = Location(path, (path.parent,))
            self._objects.pop(name, None)
            self._load(name, location)
        self.main = self.modules[name]

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Let Python find the modules by their names, as pydantic does, and nest as deeply as a reading may."""
        limit, outer = sys.getrecursionlimit(), self._installed
        sys.setrecursionlimit(max(limit, _FRAMES))
        self._installed = before = dict[str, types.ModuleType | None]()
        for name, module in self.modules.items():
            self._install(name, module.object)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for name, earlier in before.items():
                if earlier is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = earlier
            self._installed = outer
            sys.setrecursionlimit(limit)

    def _install(self, name: str, module: types.ModuleType) -> None:
        if name not in self._installed:
            self._installed[name] = sys.modules.get(name)
        sys.modules[name] = module

    def _load(self, name: str, location: Location) -> types.ModuleType | Unknown:
        """Read a module of the project, once."""
        made = types.ModuleType(name)
        self._objects[name], self._locations[name] = made, location
        if location.path is None:
            made.__path__ = [str(folder) for folder in location.folders]
            return made
        if len(self.modules) >= _MOST_MODULES:
            return Unknown.because(f"the flow imports more than {_MOST_MODULES} modules")
        if name != self._script and location.folders:
            made.__path__ = [str(folder) for folder in location.folders]
        try:
            tree = files.parse(location.path)
        except SourceError as error:
            if location.path == self._path:
                raise
            unknown = self._objects[name] = Unknown.because(str(error).partition(";")[0])
            return unknown
        with contextlib.suppress(OSError):
            status = location.path.stat()
            self.files[location.path] = (status.st_mtime_ns, status.st_size)
        module = Module(name, location.path, location.folders, made, postponed=_is_postponed(tree))
        self.modules[name] = module
        self._install(name, made)
        names = made.__dict__
        names["__doc__"] = ast.get_docstring(tree, clean=False)
        names["__package__"] = name if location.folders else name.rpartition(".")[0]
        names["__file__"] = Unknown.because("the folder of the project differs from machine to machine")
        loops, guarded, self.loops, self.guarded = self.loops, self.guarded, 0, 0
        journals, self._journals = self._journals, []
        try:
            self.block(tree.body, Frame("module", names, module))
        finally:
            self.loops, self.guarded, self._journals = loops, guarded, journals
            self.budget.renew()
        return made

    def _module(self, name: str) -> types.ModuleType | Unknown:  # noqa: PLR0911  one answer per kind
        """Return a module by its dotted name.

        Raises:
            ImportError: the project has no such module.

        """
        top = name.partition(".")[0]
        if top == "prefect":
            return self._prefect(name)
        if top == _RUNTIME and not self._is_of_runtime:
            return Unknown.library(name)
        if name in self._objects:
            return self._objects[name]
        if files.is_standard(top) and top not in self._locations:
            return self._library(name)
        module: types.ModuleType | Unknown = Unknown()
        for part in [*_parents(name), name]:
            if part in self._objects:
                module = self._objects[part]
            else:
                parent = part.rpartition(".")[0]
                folders = self._locations[parent].folders if parent else self.folders
                location = files.locate_module(part.rpartition(".")[2], folders)
                if location is None and not parent:
                    return self._library(name)
                if location is None:
                    if self._locations[parent].path is None:
                        return Unknown.library(name)
                    raise ModuleNotFoundError(f"No module named '{part}'", name=part)
                module = self._load(part, location)
                above = self._objects.get(parent)
                if isinstance(above, types.ModuleType):
                    self.write(above.__dict__, part.rpartition(".")[2], module)
            if isinstance(module, Unknown):
                return module
        return module

    def loaded_modules(self) -> Any:
        """Return `sys.modules` as far as it holds modules that are read."""
        return _Modules({name: module.object for name, module in self.modules.items()})

    def _library(self, name: str) -> types.ModuleType | Unknown:
        top = name.partition(".")[0]
        if top in _SIDE_EFFECTS or (top not in _LIBRARIES and top not in sys.stdlib_module_names):
            self.risks += 1
            self.import_risks += 1
            return Unknown.library(name)
        return importlib.import_module(name)

    def _prefect(self, name: str) -> types.ModuleType:
        if name not in self._objects:
            self._objects[name] = prefect_module(name)
        module = self._objects[name]
        assert isinstance(module, types.ModuleType)  # noqa: S101  nothing else is stored for Prefect
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(self._prefect(parent), child, module)
        return module

    def _import(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            module = self._module(alias.name)
            if isinstance(module, Unknown):
                self.store(frame, alias.asname or alias.name.partition(".")[0], module)
            elif alias.asname:
                self.store(frame, alias.asname, module)
            else:
                top = alias.name.partition(".")[0]
                self.store(frame, top, self._objects.get(top) or sys.modules[top])

    def _importfrom(self, node: ast.ImportFrom, frame: Frame) -> None:
        if node.module == "__future__" and not node.level:
            return
        name = self._absolute(node, frame)
        module = self._module(name) if name else Unknown.because("its import leads out of the project")
        for alias in node.names:
            if alias.name == "*":
                self._star(module, name, frame)
            elif isinstance(module, Unknown):
                self.store(frame, alias.asname or alias.name, module)
            else:
                self.store(frame, alias.asname or alias.name, self._member(module, alias.name, frame, node))

    def _absolute(self, node: ast.ImportFrom, frame: Frame) -> str:
        """Return the dotted name of the module that `from ... import` names; empty if there is none."""
        if not node.level:
            return node.module or ""
        module = frame.module
        package = module.name if module.folders else module.name.rpartition(".")[0]
        if module.name == self._script and node.level > 1:
            # Prefect loads the file by itself; a run of this platform imports it as the module that it is.
            folder = module.path.parent
            if not folder.is_relative_to(self.root):
                return ""
            package = ".".join(folder.relative_to(self.root).parts)
        parts = package.split(".") if package else []
        if node.level - 1 > len(parts) or (not parts and not node.module):
            return ""
        parts = parts[: len(parts) - (node.level - 1)]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _member(self, module: types.ModuleType, name: str, frame: Frame, node: ast.AST) -> Any:
        try:
            return self.attribute(module, name, frame, node)
        except AttributeError:
            full = f"{module.__name__}.{name}"
        if self.is_read(module):
            stars = self.modules[module.__name__].stars if module.__name__ in self.modules else []
            if stars:
                return Unknown.library(stars[0])
            if not self._locations[module.__name__].folders:
                raise ImportError(f"cannot import name '{name}' from '{module.__name__}'")
            return self._module(full)
        return importlib.import_module(full)

    def _star(self, module: types.ModuleType | Unknown, name: str, frame: Frame) -> None:
        if isinstance(module, Unknown):
            frame.module.stars.append(name)
            return
        if module.__name__.partition(".")[0] == "prefect":
            frame.module.stars.append("prefect")
        public = getattr(module, "__all__", None)
        if isinstance(public, Unknown) or self.causes(public):
            raise Undecidable(Unknown(*self.causes(public)))
        if module.__name__ in self.modules:
            frame.module.stars += self.modules[module.__name__].stars
        for each in list(public if public is not None else vars(module)):
            if public is not None or not each.startswith("_"):
                self.store(frame, each, self._member(module, each, frame, ast.Pass()))


class _Modules(dict[str, Any]):
    """`sys.modules`, in which every other module is unknown."""

    def __missing__(self, name: str) -> Any:
        return Unknown.library(name)


def _is_postponed(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
