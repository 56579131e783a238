"""Reading prefect.yaml: plain values, and for each of them the line where it stands."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.specs.numbers import LARGEST_EXACT_INTEGER

# The loader in C is ten times as fast; both give the same values and the same lines.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]
"""Keys and indices from the top of the file to a value."""


class Document:
    """A YAML file.

    Attributes:
        path: of the file, as messages name it.
        values: what stands in it; aliases and merge keys resolved.
        problems: mistakes found so far, first of all keys written twice, which YAML passes over in silence.

    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ValueError: it cannot be read, or is no mapping; a sentence.

        """
        self.path = path
        self._lines: dict[Place, int] = {}
        self.problems: list[str] = []
        try:
            loader = _Loader(path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
        except FileNotFoundError:
            message = f"{path.name} does not exist: create it beside Pulumi.yaml, or say `deployments: []`"
            raise ValueError(message) from None
        except yaml.YAMLError as error:
            raise ValueError(self._syntax(error)) from None
        self._walk(node, ())
        self.values: Any = self._plain(loader.construct_document(node), ()) if node is not None else {}
        if not isinstance(self.values, dict):
            message = f"{path.name} is no mapping: write `deployments:` with a list below it"
            raise ValueError(message)  # noqa: TRY004  the caller collects sentences, not kinds of errors

    def at(self, place: Place) -> str:
        """Return `<file>:<line>` of a value, or of the nearest thing around it that has a line."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self.path.name}:{self._lines.get(place, 1)}"

    def complain(self, place: Place, text: str) -> None:
        """Add a mistake: a sentence with its remedy."""
        self.problems.append(f"{self.at(place)}: {text}")

    def _walk(self, node: Any, place: Place) -> None:
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*place, index)] = item.start_mark.line + 1
                self._walk(item, (*place, index))
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    self.problems.append(f"{self.path.name}:{line}: '{key.value}' is written twice; keep one")
                seen.add(key.value)
                if key.value == "<<":
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        self._walk(merged, place)
            # After what is merged, because the mapping's own keys win.
            for key, value in node.value:
                self._lines[(*place, key.value)] = key.start_mark.line + 1
                self._walk(value, (*place, key.value))

    def _plain(self, value: Any, place: Place) -> Any:
        """Return a value as JSON has it, as Prefect does: YAML knows dates, and keys that are no text."""
        if isinstance(value, dict):
            return {str(key): self._plain(item, (*place, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self._plain(item, (*place, index)) for index, item in enumerate(value)]
        if isinstance(value, dt.date):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, int) and abs(value) > LARGEST_EXACT_INTEGER:
            self.complain(place, f"{value} is too large for Pulumi, which keeps numbers as doubles; write it as text")
        return value

    def _syntax(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        return f"{self.path.name}{line}: this is no YAML ({getattr(error, 'problem', error)}); correct it"


def strings(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every text inside a value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*place, index))


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint at the known word that was meant, or at all of them."""
    near = difflib.get_close_matches(word, known, n=1) or [name for name in known if len(word) > 3 and word in name]
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(sorted(known))}" if known else "none is known here"
