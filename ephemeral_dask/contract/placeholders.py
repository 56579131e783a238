"""Placeholders of Prefect's templates in a part of a pod: `{{ name }}` stands for the job variable of that name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

PATTERN: Final = re.compile(r"{{\s*(\w+)\s*}}")


def names(value: Any) -> frozenset[str]:
    """Return the job variables that a part of a template names."""
    if isinstance(value, str):
        return frozenset(PATTERN.findall(value))
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*map(names, value))
    return frozenset()


def rendered(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return a part of a template with values for its placeholders; a field without a value is left out."""
    if isinstance(value, str):
        if whole := PATTERN.fullmatch(value):
            return variables.get(whole[1])
        return PATTERN.sub(lambda match: str(variables.get(match[1], "")), value)
    if isinstance(value, Mapping):
        parts = {name: rendered(part, variables) for name, part in value.items()}
        # A patch removes a field with null.
        return {name: part for name, part in parts.items() if part is not None or value[name] is None}
    if isinstance(value, list | tuple):
        return [rendered(part, variables) for part in value]
    return value
