"""Sets of names as CEL expressions. A name with placeholders stands for all that job variables can make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ephemeral_dask.contract import placeholders
from infra.settings import JobVariable

_ANYTHING: Final = ".*"


def literal(value: Any) -> str:
    """Return a value as a CEL literal, which for strings, lists, maps and numbers is JSON."""
    return json.dumps(value)


@dataclass(frozen=True)
class Names:
    """Names that are admitted.

    Attributes:
        exact: names.
        patterns: regular expressions that match whole names.

    """

    exact: frozenset[str] = frozenset()
    patterns: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *exact: str) -> Names:
        """Return a set of names, without empty ones."""
        return cls(exact=frozenset(name for name in exact if name))

    @classmethod
    def any(cls) -> Names:
        """Return the set of all names."""
        return cls(patterns=frozenset([_ANYTHING]))

    @classmethod
    def written(cls, text: str, variables: Mapping[str, JobVariable]) -> Names:
        """Return what a name of the stack file can become in a run.

        Args:
            text: may have placeholders.
            variables: the job variables that have a type; any other placeholder stands for any text.

        """
        if not placeholders.names(text):
            return cls.of(text)
        parts, end = [], 0
        for match in placeholders.PATTERN.finditer(text):
            parts += [re.escape(text[end : match.start()]), _values(variables.get(match[1]))]
            end = match.end()
        return cls(patterns=frozenset(["".join([*parts, re.escape(text[end:])])]))

    def __or__(self, other: Names) -> Names:
        """Return the union."""
        return Names(self.exact | other.exact, self.patterns | other.patterns)

    def __bool__(self) -> bool:
        """Return whether there is any name."""
        return bool(self.exact or self.patterns)

    def __str__(self) -> str:
        """Return the names for a message."""
        return ", ".join([*sorted(self.exact), *sorted(self.patterns)]) or "none"

    def contain(self, value: str) -> str:
        """Return the CEL expression for: an expression's value is one of the names."""
        if _ANYTHING in self.patterns:
            return "true"
        clauses = [f"{value} in {literal(sorted(self.exact))}"] if self.exact else []
        clauses += [f"string({value}).matches({literal(f'^({pattern})$')})" for pattern in sorted(self.patterns)]
        return f"({' || '.join(clauses)})" if clauses else "false"


def union(sets: Iterable[Names]) -> Names:
    """Return the union of sets of names."""
    result = Names()
    for each in sets:
        result |= each
    return result


def _values(variable: JobVariable | None) -> str:
    if variable is None or not variable.enum:
        return _ANYTHING
    return f"({'|'.join(re.escape(str(value)) for value in variable.enum)})"
