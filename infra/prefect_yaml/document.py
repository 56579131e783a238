"""Reads prefect.yaml: plain values, and the line of each."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.specs.numbers import is_exact

# The loader in C is ten times as fast and gives the same values and lines.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]
"""Keys and indices from the top of the file to a value."""


class Document:
    """A YAML file.

    Attributes:
        path: the file.
        values: its content, with aliases and merge keys resolved.
        errors: the errors recorded so far. Duplicate keys, which YAML ignores, are the first of them.

    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ValueError: the file does not exist or is not a YAML mapping. The message says what to do.

        """
        self.path = path
        self._lines: dict[Place, int] = {}
        self.errors: list[str] = []
        try:
            loader = _Loader(path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
        except FileNotFoundError:
            message = f"{path.name} does not exist: create it next to Pulumi.yaml, with `deployments: []` for none"
            raise ValueError(message) from None
        except yaml.YAMLError as error:
            raise ValueError(self._syntax(error)) from None
        self._walk(node, ())
        self.values: Any = self._plain(loader.construct_document(node), ()) if node is not None else {}
        if not isinstance(self.values, dict):
            message = f"{path.name} must be a mapping: write `deployments:` with a list below it"
            raise ValueError(message)  # noqa: TRY004  the caller collects sentences, not kinds of errors

    def at(self, place: Place) -> str:
        """Return `<file>:<line>` of a value, or of the nearest enclosing value with a line."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self.path.name}:{self._lines.get(place, 1)}"

    def error(self, place: Place, message: str) -> None:
        """Record an error: what is wrong and what to do."""
        self.errors.append(f"{self.at(place)}: {message}")

    def _walk(self, node: Any, place: Place) -> None:
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*place, index)] = item.start_mark.line + 1
                self._walk(item, (*place, index))
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.value in keys:
                    line = key.start_mark.line + 1
                    self.errors.append(f"{self.path.name}:{line}: '{key.value}' is written twice; keep one")
                keys.add(key.value)
                if key.value == "<<":
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        self._walk(merged, place)
            # After merged keys, because the mapping's own keys win.
            for key, value in node.value:
                self._lines[(*place, key.value)] = key.start_mark.line + 1
                self._walk(value, (*place, key.value))

    def _plain(self, value: Any, place: Place) -> Any:
        """Return a value in JSON's types, as Prefect does: YAML has dates, and keys that are not strings."""
        if isinstance(value, dict):
            return {str(key): self._plain(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self._plain(item, (*place, index)) for index, item in enumerate(value)]
        if isinstance(value, dt.date):
            return value.isoformat().replace("+00:00", "Z")
        if not is_exact(value):
            self.error(place, f"{value} is too large for Pulumi, which stores numbers as doubles; write it as text")
        return value

    def _syntax(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        return f"{self.path.name}{line}: this is not valid YAML ({getattr(error, 'problem', error)}); correct it"


def strings(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every string inside a value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*place, index))


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint that names the most similar known word, or all of them."""
    near = difflib.get_close_matches(word, known, n=1) or [name for name in known if len(word) > 3 and word in name]
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(sorted(known))}" if known else "none is known here"
