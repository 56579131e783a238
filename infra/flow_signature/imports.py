"""What a flow imports when it is loaded, read from its source without importing anything.

Only imports that always run are listed: at the top of a module, in a class body or in a `with` block. A flow loads
without the others: below `if` (`TYPE_CHECKING`, a platform), in a function, or in a `try` that catches ImportError.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.flow_signature.files import SourceError, import_roots, module_path, parse

_MOST_MODULES: Final = 500
"""Modules of the project that are followed from one flow."""

_CHANGES: Final = frozenset({"append", "extend", "insert"})
"""Methods of `sys.path` by which a module makes others importable."""

_OWN_PACKAGE: Final = "ephemeral_dask"
"""This project's runtime package, which every flow image has with all its dependencies."""

_CATCHES: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass(frozen=True, kw_only=True)
class Import:
    """An import of something that is neither the standard library's nor the project's own.

    Attributes:
        module: dotted name of the project's module that has the import.
        name: dotted name of what it imports; its last part may be an attribute instead of a module.
        sibling: a file of that name beside the importing file, which `PYTHONPATH` does not reach.
        changes_path: whether the importing file changes `sys.path`; then the sibling may be anywhere in the project,
            and a run may find it.

    """

    module: str
    name: str
    sibling: Path | None = None
    changes_path: bool = False

    @property
    def top(self) -> str:
        """The first part of the name, such as `sklearn`."""
        return self.name.partition(".")[0]


def third_party_imports(path: Path, root: Path) -> tuple[Import, ...]:
    """Return what a file and the project's modules that it imports take from elsewhere, in the order of the source.

    Args:
        path: file of the flow.
        root: folder of prefect.yaml, from which modules are imported.

    """
    imports: dict[tuple[str, str], Import] = {}
    for file in project_files(path, root):
        changes = _changes_path(file)
        for name in _imported_names(file):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top == _OWN_PACKAGE or _is_own(name, root):
                continue
            module, sibling = dotted(file, root), module_path(top, file.parent)
            if sibling is None and changes:
                sibling = _anywhere(top, root)
            each = Import(module=module, name=name, sibling=sibling, changes_path=changes)
            imports.setdefault((module, name), each)
    return tuple(imports.values())


def _changes_path(file: Path) -> bool:
    try:
        nodes = list(ast.walk(parse(file)))
    except SourceError:
        return False
    methods = [node.func for node in nodes if isinstance(node, ast.Call)]
    changed = [each.value for each in methods if isinstance(each, ast.Attribute) and each.attr in _CHANGES]
    changed += [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    changed += [node.target for node in nodes if isinstance(node, ast.AugAssign)]
    return any(ast.unparse(each).startswith("sys.path") for each in changed)


def _anywhere(name: str, root: Path) -> Path | None:
    """Return the file of a module of that name in a visible folder of the project; None if there is none."""
    pending = [root]
    for folder in pending:
        if (file := module_path(name, folder)) is not None:
            return file
        below = [each for each in sorted(folder.iterdir()) if each.is_dir() and each.name[0] not in "._"]
        pending += below[: _MOST_MODULES - len(pending)]
    return None


def project_files(path: Path, root: Path) -> dict[Path, Path | None]:
    """Return each file of the project that a flow loads -> the file that imports it, in the order of the source.

    Args:
        path: file of the flow, the first of them; no file imports it or its packages.
        root: folder of prefect.yaml, from which modules are imported.

    """
    files: dict[Path, Path | None] = {}
    pending: list[tuple[Path, Path | None]] = [(file, None) for file in _with_packages(path, root)]
    while pending and len(files) < _MOST_MODULES:
        file, importer = pending.pop(0)
        if file in files:
            continue
        files[file] = importer
        pending += [(own, file) for name in _imported_names(file) for own in _own_files(name, root)]
        pending += [(other, file) for each in _relative_files(file) for other in _with_packages(each, root)]
    return files


def _imported_names(file: Path) -> Iterator[str]:
    """Yield absolute dotted names: `a.b` for `import a.b`, `a.b.c` for `from a.b import c`."""
    for node in _imports(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not node.level and node.module:
            yield from (f"{node.module}.{alias.name}" if alias.name != "*" else node.module for alias in node.names)


def _relative_files(file: Path) -> Iterator[Path]:
    for node in _imports(file):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level > len(file.parents):
                continue
            package = file.parents[node.level - 1]
            names = [f"{node.module}.{alias.name}" if node.module else alias.name for alias in node.names]
            for name in [*names, *([node.module] if node.module else []), "__init__"]:
                target = module_path(name, package)
                if target is not None:
                    yield target


def _imports(file: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    try:
        tree = parse(file)
    except SourceError:
        return
    yield from _unconditional(tree.body)


def _unconditional(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom():
                yield node
            case ast.ClassDef():
                yield from _unconditional(node.body)
            case ast.With() if not any(_names(item.context_expr) & _CATCHES for item in node.items):
                yield from _unconditional(node.body)
            case ast.Try() if not any(_catches_import_error(handler) for handler in node.handlers):
                yield from _unconditional([*node.body, *node.orelse, *node.finalbody])
            case ast.Try():
                yield from _unconditional(node.finalbody)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names(handler.type) & _CATCHES)


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def _own_files(name: str, folder: Path) -> list[Path]:
    """Return the files below a folder that an import executes: the module and its packages."""
    if name.partition(".")[0] == _OWN_PACKAGE:
        return []
    parts = name.split(".")
    prefixes = [".".join(parts[: count + 1]) for count in range(len(parts))]
    files = [module_path(prefix, folder) for prefix in prefixes]
    return [file for file in files if file is not None]


def _with_packages(file: Path, root: Path) -> Iterator[Path]:
    """Yield a file and the `__init__.py` of each package below the root that it is in."""
    yield file
    for folder in file.parents:
        if folder == root or not folder.is_relative_to(root):
            return
        package = folder / "__init__.py"
        if package.is_file():
            yield package


def _is_own(name: str, root: Path) -> bool:
    """Return whether an import is the project's own: a module, or a folder without `__init__.py`."""
    folders = [folder / name.partition(".")[0] for folder in import_roots(root)]
    return bool(_own_files(name, root)) or any(
        folder.is_dir() and next(folder.rglob("*.py"), None) is not None for folder in folders
    )


def dotted(file: Path, root: Path) -> str:
    """Return the name of a file of the project as a module."""
    base = next((folder for folder in reversed(import_roots(root)) if file.is_relative_to(folder)), None)
    if base is None:
        return file.name
    parts = file.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
