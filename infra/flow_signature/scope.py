"""Evaluates names of a module while executing as little of it as possible.

Only the statements that a name needs are executed: classes, aliases, constants, and imports of the standard library
and pydantic. The project's own modules are read the same way. Other libraries, which a flow computes with, are never
imported: a stand-in replaces what comes from them, and pydantic treats it as any class that it does not know.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import copy
import importlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from infra.flow_signature.source import imported_from, module_path, parse, statements

_IMPORTABLE: Final = frozenset({*sys.stdlib_module_names, "pydantic", "typing_extensions", "annotated_types"})
_numbers = itertools.count()


class _Unknown(type):
    """Metaclass of stand-ins: each attribute and item of a stand-in is a stand-in."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, _: object) -> Any:
        return cls


class StandIn(metaclass=_Unknown):
    """Replaces something from a library that is not imported."""

    def __init__(self, *_: object, **__: object) -> None:
        """Accept any arguments."""

    def __class_getitem__(cls, _: object) -> Any:
        return cls


class Scope:
    """The names of one module, each bound when it is first used.

    Attributes:
        foreign: the names used so far that come from libraries which are not imported.

    """

    def __init__(self, path: Path, root: Path, others: dict[Path, Scope] | None = None) -> None:
        self.foreign: set[str] = set()
        self._scopes = {} if others is None else others
        self._scopes[path] = self
        self._path = path
        self._root = root
        self._tree = parse(path)
        self._flags = _future_flags(self._tree)
        self._bound: set[str] = set()
        # Dataclasses and pydantic look up the module of a class by its name.
        self._module = ModuleType(f"_static_scope_{next(_numbers)}")
        sys.modules[self._module.__name__] = self._module

    def value(self, expression: ast.expr) -> Any:
        """Evaluate an annotation or a default as the module would.

        Raises:
            Exception: any error of the evaluation.

        """
        if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            return expression.value
        for name in names_read(expression):
            self._bind(name)
        code = compile(ast.Expression(expression), str(self._path), "eval")
        return eval(code, self._module.__dict__)  # noqa: S307  the project's own source

    def annotation(self, expression: ast.expr) -> Any:
        """Evaluate an annotation; an annotation in quotes is evaluated without them."""
        if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            return self.value(ast.parse(expression.value, mode="eval").body)
        return self.value(expression)

    def name(self, name: str) -> Any:
        """Return the value of a name of the module."""
        self._bind(name)
        return getattr(self._module, name)

    def _bind(self, name: str) -> None:
        if name in self._bound or hasattr(builtins, name):
            return
        self._bound.add(name)
        # In source order: a later definition of the same name wins.
        for node in statements(self._tree.body):
            if name in _binds(node):
                self._execute(node, name)

    def _execute(self, node: ast.stmt, name: str) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, name)
            return
        for needed in names_read(node):
            self._bind(needed)
        module = ast.Module([_undecorated(node)], [])
        code = compile(module, str(self._path), "exec", flags=self._flags, dont_inherit=True)
        exec(code, self._module.__dict__)  # noqa: S102  the project's own source

    def _import(self, node: ast.Import | ast.ImportFrom, name: str) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            if bound == name:
                setattr(self._module, name, self._imported(node, alias))

    def _imported(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> Any:
        if isinstance(node, ast.ImportFrom):
            beside = imported_from(node, self._path, self._root)
            if beside is not None and beside != self._path:
                scope = self._scopes.get(beside) or Scope(beside, self._root, self._scopes)
                value = scope.name(alias.name)
                self.foreign |= scope.foreign
                return value
            if not node.level and _importable(node.module or ""):
                return getattr(importlib.import_module(node.module or ""), alias.name)
        elif _importable(alias.name) and module_path(alias.name, self._root) is None:
            module = importlib.import_module(alias.name)
            return module if alias.asname else sys.modules[alias.name.split(".")[0]]
        self.foreign.add(alias.asname or alias.name)
        return StandIn


def _importable(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in _IMPORTABLE


def _binds(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign):
        return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    if isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def names_read(node: ast.AST) -> Iterator[str]:
    """Yield the names that executing a node reads. The bodies of functions are not executed."""
    if isinstance(node, ast.Name):
        yield node.id
    inside: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Lambda):
        inside = [node.args]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inside = [node.args, *([node.returns] if node.returns else [])]
    elif isinstance(node, ast.AnnAssign):
        yield from _names_in_strings(node.annotation)
    for child in inside:
        yield from names_read(child)


def _names_in_strings(annotation: ast.expr) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError):
                yield from names_read(ast.parse(node.value, mode="eval"))


def _undecorated(node: ast.stmt) -> ast.stmt:
    """Return a function without its decorators, which parameters do not depend on."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = copy.copy(node)
        node.decorator_list = []
    return node


def _future_flags(tree: ast.Module) -> int:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return sum(getattr(__future__, alias.name).compiler_flag for alias in node.names)
    return 0
