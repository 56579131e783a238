"""Python files of a project: which file a module name means, and the syntax tree of a file."""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from infra.flow_signature import newer_python
from infra.flow_signature.type_parameters import rewritten

_LARGEST_FILE = 2_000_000
"""Bytes of a source file."""


SOURCES = "src"
"""Folder with a project's packages, where it has one ("src layout")."""


class SourceError(Exception):
    """An entrypoint does not name a flow. The text says why and what to write."""


def parse(path: Path) -> ast.Module:
    """Parse a file in the encoding that it declares; the same content is parsed once.

    Raises:
        SourceError: neither this Python nor one that `newer_python` accepts would compile the file.

    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read ({error.strerror}); correct it") from None
    if len(content) > _LARGEST_FILE:
        raise SourceError(f"{path.name} has more than {_LARGEST_FILE} bytes; move the flow to a smaller file")
    try:
        try:
            return _parsed(content)
        except SyntaxError as error:
            return _parsed_by_target(content, error)
    except SyntaxError as error:
        line = f" line {error.lineno}" if error.lineno else ""
        message = f"{path.name}{line} has a syntax error ({error.msg}); correct it"
    except (RecursionError, MemoryError):
        message = f"{path.name} has an expression that is nested too deeply to be read; simplify it"
    except ValueError as error:
        message = f"{path.name} is not Python source ({error}); correct it"
    raise SourceError(message)


@lru_cache(maxsize=256)
def _parsed(content: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as "invalid escape sequence"
        tree = ast.parse(content)
        # The compiler refuses more than the parser does, such as two parameters of one name.
        compile(tree, "<flow>", "exec", dont_inherit=True)
    return rewritten(tree) if sys.version_info >= (3, 12) else tree


def _parsed_by_target(content: bytes, error: SyntaxError) -> ast.Module:
    tree = newer_python.parse_newer(content)
    if tree is None:
        raise error
    return rewritten(tree)


def import_roots(root: Path) -> tuple[Path, ...]:
    """Return the folders that module names start from, as on the image's PYTHONPATH."""
    return root, root / SOURCES


def module_path(module: str, root: Path) -> Path | None:
    """Return the file of a module below `root` or its folder `src`, or None."""
    bases = [folder.joinpath(*module.split(".")) for folder in import_roots(root)]
    # A package hides a module of its name.
    candidates = [path for base in bases for path in (base / "__init__.py", base.with_name(f"{base.name}.py"))]
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class Location:
    """Where a module is.

    Attributes:
        path: its file, or None for a folder without `__init__.py`.
        folders: where its submodules are; empty if it is not a package.

    """

    path: Path | None
    folders: tuple[Path, ...]


def search_path(path: Path, root: Path, *, script: bool) -> tuple[Path, ...]:
    """Return the folders that absolute imports of a flow start from.

    Args:
        path: the file of the flow.
        root: the folder of prefect.yaml.
        script: whether the entrypoint names the file, whose folder then comes first, as Prefect has it.

    """
    return tuple(dict.fromkeys([*([path.parent] if script else []), *import_roots(root)]))


def locate_module(name: str, folders: tuple[Path, ...]) -> Location | None:
    """Return the location of a top-level module or of a submodule, given the folders that may have it."""
    spaces = []
    for folder in folders:
        base = folder / name
        if _is_file(base / "__init__.py"):
            return Location(base / "__init__.py", (base,))
        if _is_file(folder / f"{name}.py"):
            return Location(folder / f"{name}.py", ())
        if _is_folder(base):
            spaces.append(base)
    return Location(None, tuple(spaces)) if spaces else None


def is_standard(name: str) -> bool:
    """Whether a top-level module of the standard library wins over a file of that name in the project.

    It does once it has been imported, and Prefect imports most of them before it loads a flow.
    """
    return name in sys.builtin_module_names or (name in sys.stdlib_module_names and name in sys.modules)


def relative(path: Path, root: Path) -> str:
    """Return a path as messages show it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
