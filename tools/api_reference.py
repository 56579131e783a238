"""docs/api.md: the package that flows import, from its own signatures and docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, Final

import ephemeral_dask
from tools.paths import ROOT

PATH: Final = ROOT / "docs" / "api.md"

_HEAD: Final = """\
# API of ephemeral_dask

What a flow may import. Generated from `ephemeral_dask/` by `make api-reference`; every other name of the package can
change without notice.

```python
from ephemeral_dask import {names}
```

[The size of a run's Dask cluster](flows.md#the-size-of-a-runs-dask-cluster) says which of several values applies.
"""

_SECTION: Final = re.compile(r"^(Args|Raises|Returns):\n((?:[ ]+.*\n|\n)*)", re.MULTILINE)
_ENTRY: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def text() -> str:
    """Return the whole page."""
    names = ephemeral_dask.__all__
    return "\n".join([_HEAD.format(names=", ".join(names)), *(_function(name) for name in names)])


def write() -> None:
    """Write it."""
    PATH.write_text(text())


def _function(name: str) -> str:
    function: Callable[..., Any] = getattr(ephemeral_dask, name)
    docstring = f"{inspect.getdoc(function) or ''}\n"
    blocks = [f"## {name}", f"```python\n{_signature(name, function)}\n```"]
    blocks += [_prose(docstring)]
    sections = {title: _entries(body) for title, body in _SECTION.findall(docstring)}
    if arguments := sections.get("Args"):
        parameters = inspect.signature(function).parameters
        rows = [f"| `{key}` | `{_annotation(parameters[key])}` | {meaning} |" for key, meaning in arguments]
        blocks.append("\n".join(["| argument | type | meaning |", "|---|---|---|", *rows]))
    blocks += [f"Raises `{key}`: {meaning}" for key, meaning in sections.get("Raises", [])]
    return "\n\n".join(blocks) + "\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        return f"{name}()"
    return "\n".join([f"{name}(", "    *,", *(f"    {each.name}={each.default!r}," for each in parameters), ")"])


def _annotation(parameter: inspect.Parameter) -> str:
    return str(parameter.annotation).removesuffix(" | None").replace("|", "or")


def _prose(docstring: str) -> str:
    """Return what is not a list of arguments, with indented lines as code."""
    prose = _SECTION.sub("", docstring).strip()
    return re.sub(r"(?:^ {4}.*\n?)+", _code, prose, flags=re.MULTILINE)


def _code(match: re.Match[str]) -> str:
    return f"```python\n{textwrap.dedent(match[0]).rstrip()}\n```"


def _entries(body: str) -> list[tuple[str, str]]:
    return [(key, " ".join(meaning.split())) for key, meaning in _ENTRY.findall(body)]
