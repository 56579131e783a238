"""Finds a flow function in its source, without executing any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef

SOURCES = "src"
"""Folder with a project's packages, where it has one ("src layout")."""

_DEEPEST = 8
"""Re-exports that are followed from module to module."""


class SourceError(Exception):
    """An entrypoint does not name a flow. The text says why and what to write."""


@dataclass(frozen=True, kw_only=True)
class FlowSource:
    """A flow function.

    Attributes:
        path: its file.
        root: the folder that module names start from.
        function: its definition.
        decorator: its `@flow` decorator.

    """

    path: Path
    root: Path
    function: Function
    decorator: ast.expr

    @property
    def docstring(self) -> str | None:
        """The function's docstring, cleaned as `inspect.getdoc` does."""
        return ast.get_docstring(self.function)

    def option(self, name: str) -> ast.expr | None:
        """Return the argument of `@flow(...)` with that name, or None."""
        if isinstance(self.decorator, ast.Call):
            for keyword in self.decorator.keywords:
                if keyword.arg == name:
                    return keyword.value
        return None


def parse(path: Path) -> ast.Module:
    """Parse a file; the same text is parsed once.

    Raises:
        SourceError: the file has a syntax error.

    """
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        message = f"{path.name} line {error.lineno} has a syntax error ({error.msg}); correct it"
        raise SourceError(message) from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def module_path(module: str, root: Path) -> Path | None:
    """Return the file of a module below `root` or its folder `src`, or None."""
    bases = [folder.joinpath(*module.split(".")) for folder in import_roots(root)]
    return next(
        (path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None
    )


def import_roots(root: Path) -> tuple[Path, ...]:
    """Return the folders that module names start from, as on the image's PYTHONPATH."""
    return root, root / SOURCES


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
    return _lookup(path, name.split("."), root, 0)


def locate(entrypoint: str, root: Path) -> tuple[Path, str]:
    """Return the file that an entrypoint loads, and the name of the flow function in it.

    Args:
        entrypoint: as in `find`.
        root: the folder of prefect.yaml.

    Raises:
        SourceError: there is no such file.

    """
    file, colon, name = entrypoint.rpartition(":")
    if colon:
        module = None if file.endswith(".py") else module_path(file, root)
        path = module or root / file
        if not path.is_file():
            raise SourceError(f"no file {file} next to prefect.yaml; write path/to/file.py:function")
        return path, name
    file, _, name = entrypoint.rpartition(".")
    module = module_path(file, root) if file else None
    if module is None:
        raise SourceError(
            f"no module '{file or entrypoint}' next to prefect.yaml; write package.module.function or"
            " path/to/file.py:function"
        )
    return module, name


def _lookup(path: Path, names: list[str], root: Path, depth: int) -> FlowSource:
    tree = parse(path)
    body: list[ast.stmt] = tree.body
    for outer in names[:-1]:
        classes = [node for node in statements(body) if isinstance(node, ast.ClassDef) and node.name == outer]
        if not classes:
            raise SourceError(_no_such(outer, path, root))
        body = classes[-1].body
    name = names[-1]
    for node in reversed(list(statements(body))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return FlowSource(path=path, root=root, function=node, decorator=_decorator(node, tree, path, root))
        if isinstance(node, ast.ImportFrom) and depth < _DEEPEST:
            for alias in node.names:
                source = imported_from(node, path, root)
                if (alias.asname or alias.name) == name and source is not None:
                    return _lookup(source, [alias.name], root, depth + 1)
        if isinstance(node, ast.Assign) and name in _targets(node):
            raise SourceError(
                f"{_relative(path, root)} assigns '{name}', and only running it would show what that is; name a"
                " function that is decorated with @flow"
            )
    raise SourceError(_no_such(name, path, root))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module or class, including those inside `if` and `try`."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from statements(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from statements(node.body + [s for h in node.handlers for s in h.body] + node.orelse)


def imported_from(node: ast.ImportFrom, path: Path, root: Path) -> Path | None:
    """Return the file below `root` that a `from ... import` reads, or None if it is elsewhere."""
    module = node.module or ""
    if node.level:
        package = path.parent
        for _ in range(node.level - 1):
            package = package.parent
        return module_path(module, package) if module else module_path("__init__", package)
    return module_path(module, root)


def _decorator(function: Function, tree: ast.Module, path: Path, root: Path) -> ast.expr:
    names, modules = _flow_names(tree)
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Name) and called.id in names:
            return decorator
        if (
            isinstance(called, ast.Attribute)
            and called.attr == "flow"
            and isinstance(called.value, ast.Name)
            and called.value.id in modules
        ):
            return decorator
    file = _relative(path, root)
    raise SourceError(f"'{function.name}' in {file} is not a flow; decorate it with @flow from prefect")


def _flow_names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Return the names that stand for `prefect.flow` and for `prefect` in a module."""
    names: set[str] = set()
    modules: set[str] = set()
    for node in statements(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module in ("prefect", "prefect.flows"):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "flow"}
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "prefect"}
    return names, modules


def _targets(node: ast.Assign) -> set[str]:
    return {target.id for target in node.targets if isinstance(target, ast.Name)}


def _no_such(name: str, path: Path, root: Path) -> str:
    return f"no '{name}' in {_relative(path, root)}; name a function that is decorated with @flow"


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
