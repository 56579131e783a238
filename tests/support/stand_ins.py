"""Stand-ins for libraries that are not installed, so that a project's own modules can be imported without them."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock


class _Anything(type):
    """A class of a library that is not installed: any attribute is another one."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _class(name)

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        if cls.__bases__ != (object,) or cls.__dict__.keys() - {"__module__", "__doc__", "__dict__", "__weakref__"}:
            return super().__call__()
        if len(arguments) == 1 and not options and callable(arguments[0]):
            return arguments[0]  # a decorator
        return mock.MagicMock()

    def __getitem__(cls, _: Any) -> Any:
        return cls

    def __or__(cls, _: Any) -> Any:
        return cls

    __ror__ = __or__


def _class(name: str) -> Any:
    return _Anything(name, (), {})


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.isupper():
            return mock.MagicMock()
        value = _class(name)
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, folder: Path, used: set[str]) -> None:
        self._folder, self._used = folder, used

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or not self._is_asked_by_project():
            return None
        for base in (self._folder, *(Path(each) for each in sys.path if Path(each).is_relative_to(self._folder))):
            if (base / top).is_dir() or (base / f"{top}.py").is_file():
                return None
        parent = name.rpartition(".")[0]
        if parent and not isinstance(sys.modules.get(parent), _Module):
            return None
        self._used.add(top)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def _is_asked_by_project(self) -> bool:
        """Return whether a file of the project imports: a library that is installed knows what it can do without."""
        frame: types.FrameType | None = sys._getframe(2)
        while frame is not None and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
            frame = frame.f_back
        return frame is not None and Path(frame.f_code.co_filename).resolve().is_relative_to(self._folder)

    def create_module(self, spec: Any) -> Any:
        module = _Module(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: Any) -> None:
        """Leave the module empty."""


@contextlib.contextmanager
def missing_libraries(folder: Path) -> Iterator[set[str]]:
    """Import a stand-in for each library that is not installed, but not for modules of the project.

    Yields:
        the names of those that were imported.

    """
    used: set[str] = set()
    before = set(sys.modules)
    finder = _Finder(folder, used)
    sys.meta_path.append(finder)
    try:
        yield used
    finally:
        sys.meta_path.remove(finder)
        own = {path.stem for path in folder.rglob("*.py")} | {path.name for path in folder.iterdir()}
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in own or isinstance(sys.modules[name], _Module):
                del sys.modules[name]
