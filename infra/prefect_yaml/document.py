"""Reads prefect.yaml: plain values, and the line of each."""

from __future__ import annotations

import datetime as dt
import difflib
import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from infra.prefect_yaml import syntax
from infra.specs.numbers import is_exact

# The loader in C is ten times as fast and gives the same values and lines.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]
"""Keys and indices from the top of the file to a value."""

READ: Final = ("prefect-version", "name", "build", "push", "pull", "deployments")
"""Top-level keys that Prefect reads. Others may hold YAML anchors, or nothing of use."""

_MOST_VALUES: Final = 100_000
"""Values that a file may have once its aliases are resolved: a few lines of aliases of aliases can make billions."""


class Other(NamedTuple):
    """A top-level key that Prefect does not read.

    Attributes:
        used: whether an alias in what Prefect reads refers to a part of it.
        holds_values: whether it is a list or a mapping that is not empty.

    """

    used: bool
    holds_values: bool


class Document:
    """A YAML file.

    Attributes:
        path: the file.
        values: the content of the keys that Prefect reads, with aliases and merge keys resolved.
        others: its other top-level keys, which have an effect through YAML aliases only.
        errors: the errors recorded so far.

    """

    def __init__(self, path: Path, *, warn: Callable[[str], None] = lambda _: None) -> None:
        """Read the file.

        Raises:
            ValueError: the file does not exist or is not a YAML mapping. The message says what to do.

        """
        self.path = path
        self._lines: dict[Place, int] = {}
        self._warn = warn
        self.errors: list[str] = []
        self.values: dict[str, Any] = {}
        self.others: dict[str, Other] = {}
        text = syntax.decoded(path)
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            if node is not None:
                self._read(node, loader)
        except yaml.YAMLError as error:
            raise ValueError(self._syntax(error)) from None
        except RecursionError:
            raise ValueError(f"{path.name} is nested too deeply; write it flatter") from None

    def at(self, place: Place) -> str:
        """Return `<file>:<line>` of a value, or of the nearest enclosing value with a line."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self.path.name}:{self._lines.get(place, 1)}"

    def error(self, place: Place, message: str) -> None:
        """Record an error: what is wrong and what to do."""
        self.errors.append(f"{self.at(place)}: {message}")

    def warning(self, place: Place, message: str) -> None:
        """Warn about something at a place of the file that is ignored or means something else."""
        self._warn(f"{self.at(place)}: {message}{'' if message.endswith('?') else '.'}")

    def _read(self, node: yaml.Node, loader: Any) -> None:
        if not isinstance(node, yaml.MappingNode):
            message = f"{self.path.name} must be a mapping: write `deployments:` with a list below it"
            raise ValueError(message)  # noqa: TRY004  the caller collects sentences, not kinds of errors
        for line, key in syntax.complex_keys(node):
            raise ValueError(f"{self.path.name}:{line}: the key {key} is not text; write a word before the colon")
        for line, key in syntax.repeated_keys(node):
            self._warn(f"{self.path.name}:{line}: '{key}' is written twice, and only the last one counts: remove one.")
        loader.flatten_mapping(node)
        read = [value for key, value in node.value if syntax.key_text(key) in READ]
        for key, value in node.value:
            name = syntax.key_text(key)
            self._lines[(name,)] = key.start_mark.line + 1
            if name not in READ:
                holds = isinstance(value, yaml.CollectionNode) and bool(value.value)
                self.others[name] = Other(used=syntax.shared(value, read), holds_values=holds)
                continue
            if loop := syntax.first_loop(value):
                message = (
                    f"'{name}' holds a YAML alias of something that contains it, so it never ends; remove the alias"
                )
                raise ValueError(f"{self.path.name}:{loop}: {message}")
            if syntax.size(value) > _MOST_VALUES:
                message = f"'{name}' has more than {_MOST_VALUES} values with its YAML aliases; write fewer"
                raise ValueError(f"{self.at((name,))}: {message}")
            self._walk(value, (name,))
            self.values[name] = self._plain(self._construct(loader, value), (name,))

    def _construct(self, loader: Any, node: yaml.Node) -> Any:
        try:
            return loader.construct_document(node)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            line = syntax.invalid_scalar(node, loader)
            message = f"this is not a valid value ({error}); correct it, or put it in quotes if it is text"
            raise ValueError(f"{self.path.name}:{line}: {message}") from None

    def _walk(self, node: yaml.Node, place: Place) -> None:
        """Record the line of every value."""
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*place, index)] = item.start_mark.line + 1
                self._walk(item, (*place, index))
        elif isinstance(node, yaml.MappingNode):
            merged = [value for key, value in node.value if syntax.is_merge(key)]
            for value in merged:
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self._walk(each, place)
            # After merged keys, because the mapping's own keys win.
            for key, value in node.value:
                if not syntax.is_merge(key):
                    name = syntax.key_text(key)
                    self._lines[(*place, name)] = key.start_mark.line + 1
                    self._walk(value, (*place, name))

    def _plain(self, value: Any, place: Place) -> Any:
        """Return a value in JSON's types, as Prefect does: YAML has dates, and keys that are not strings."""
        if isinstance(value, dict):
            return {_key(key): self._plain(item, (*place, _key(key))) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self._plain(item, (*place, index)) for index, item in enumerate(value)]
        if isinstance(value, dt.date):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if isinstance(value, str) and not syntax.is_unicode(value):
            self.error(place, "this text has characters that are not valid Unicode; remove them")
        elif isinstance(value, float) and not math.isfinite(value):
            self.error(place, f"{value} cannot be stored in JSON, so Prefect's server refuses it; write a number")
        elif not is_exact(value):
            self.error(place, f"{value} is too large for Pulumi, which stores numbers as doubles; write it as text")
        return value

    def _syntax(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        return (
            f"{self.path.name}{line}: this is not valid YAML ({getattr(error, 'problem', None) or error}); correct it"
        )


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


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
