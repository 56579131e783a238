"""Parses source that is newer than this process, by an interpreter of the version that the flow image has.

The interpreter gets the source on its standard input, parses it, and answers with the tree as JSON. It imports and runs
nothing of the project: it is started in its isolated mode, without site-packages, and outside the project's folder.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 20
"""For one file, which takes a tenth of a second on an idle machine."""

_DUMP: Final = """
import ast, json, sys
def dump(value):
    if isinstance(value, ast.AST):
        places = [getattr(value, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
        return {"node": type(value).__name__, "fields": {k: dump(v) for k, v in ast.iter_fields(value)}, "at": places}
    if isinstance(value, list):
        return [dump(each) for each in value]
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"int": hex(value)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real.hex(), value.imag.hex()]}
    return {"bytes": value.hex()} if isinstance(value, bytes) else {"ellipsis": True}
answer = {"version": "%d.%d" % sys.version_info[:2]}
source = sys.stdin.buffer.read()
try:
    tree = ast.parse(source)
    compile(source, "<flow>", "exec", dont_inherit=True)
    answer["tree"] = dump(tree)
except SyntaxError as error:
    answer["error"] = [str(error.msg), error.lineno]
except (RecursionError, MemoryError):
    answer["deep"] = True
json.dump(answer, sys.stdout)
"""

_PLACE: Final = ("lineno", "col_offset", "end_lineno", "end_col_offset")
_CONSTANTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda parts: complex(*map(float.fromhex, parts)),
    "bytes": bytes.fromhex,
    "ellipsis": lambda _: ...,
}
"""Kind of a constant in the answer -> what reads it."""

_versions: ContextVar[tuple[str, ...]] = ContextVar("versions", default=())


class NoInterpreterError(Exception):
    """The machine has no interpreter of a version."""


@contextmanager
def accepted(*versions: str) -> Iterator[None]:
    """Let `parse_newer` try versions of Python, such as `3.13`, the oldest first."""
    token = _versions.set(tuple(sorted(versions, key=numbers)))
    try:
        yield
    finally:
        _versions.reset(token)


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers, which compare."""
    return tuple(map(int, version.split(".")))


def parse_newer(content: bytes) -> ast.Module | None:
    """Parse source with the oldest accepted version that knows its syntax, or return None without an interpreter of it.

    Raises:
        SyntaxError: none of them knows it.

    """
    refusal: SyntaxError | None = None
    for version in _versions.get():
        try:
            return parse_as(content, version)
        except SyntaxError as error:
            refusal = error
        except NoInterpreterError:
            continue
    if refusal is not None:
        raise refusal
    return None


def parse_as(content: bytes, version: str) -> ast.Module:
    """Parse source by an interpreter of a version.

    Raises:
        SyntaxError: that version does not know the syntax.
        RecursionError: an expression is nested too deeply.
        NoInterpreterError: the machine has no interpreter of that version.

    """
    answer = _answer(content, version)
    if answer is None:
        raise NoInterpreterError(version)
    if "error" in answer:
        message, line = answer["error"]
        raise SyntaxError(message, ("<flow>", line, None, None))
    if "tree" not in answer:
        raise RecursionError
    tree = _rebuilt(answer["tree"])
    assert isinstance(tree, ast.Module)  # noqa: S101  what `ast.parse` returns
    return tree


@lru_cache(maxsize=64)
def _answer(content: bytes, version: str) -> Mapping[str, Any] | None:
    for program in _interpreters(version):
        try:
            ended = subprocess.run(
                [str(program), "-I", "-S", "-W", "ignore", "-c", _DUMP],
                input=content,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
                cwd="/",
                env={"PATH": os.defpath},
            )
            answer: Mapping[str, Any] = json.loads(ended.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError):
            continue  # such as a shim without that version behind it
        if answer.get("version") == version:
            return answer
    return None


def _interpreters(version: str) -> Iterator[Path]:
    """Yield programs that may be an interpreter of a version: on PATH, and where pyenv and uv keep theirs."""
    name = f"python{version}"
    if program := shutil.which(name):
        yield Path(program)
    home = Path.home()
    folders = [
        (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions", f"{version}.*"),
        (Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python")), f"cpython-{version}.*"),
    ]
    for folder, pattern in folders:
        yield from sorted(folder.glob(f"{pattern}/bin/{name}"))


def _rebuilt(value: Any) -> Any:
    if isinstance(value, list):
        return [_rebuilt(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "node" not in value:
        [(kind, content)] = value.items()
        return _CONSTANTS[kind](content)
    node = _class(value["node"])()
    for name, each in value["fields"].items():
        setattr(node, name, _rebuilt(each))
    for name, each in zip(_PLACE, value["at"], strict=True):
        if each is not None:
            setattr(node, name, each)
    return node


@lru_cache
def _class(name: str) -> type[ast.AST]:
    """Return the class of a node; one of its own for a node that this process's `ast` does not know."""
    known: type[ast.AST] | None = getattr(ast, name, None)
    return known or type(name, (ast.stmt if name == "TypeAlias" else ast.expr,), {})
