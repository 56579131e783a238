"""What Prefect takes for a placeholder, and what it makes of one in the value of an environment variable.

`prefect deploy` replaces placeholders twice: environment variables first, then the outputs of build steps. The second
time it meets what the values of the variables contain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.prefect_yaml.document import Place

PLACEHOLDER: Final = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")
"""What Prefect replaces. Braces around anything else, such as a Jinja filter, are text to it."""

CONTEXT: Final = "ctx."
VARIABLES: Final = "prefect.variables."

FOR_LATER: Final = ("prefect.blocks.", VARIABLES, CONTEXT)
"""Prefixes that the worker replaces in job variables when a run starts."""


@dataclass(frozen=True, kw_only=True)
class Second:
    """What the second pass makes of a value.

    Attributes:
        text: the value; None if it was one placeholder alone, which Prefect leaves out together with its key.
        warning: what was lost; None if nothing was.

    """

    text: str | None
    warning: str | None


def second_pass(name: str, value: str, place: Place, environment: Mapping[str, str]) -> Second:
    """Replace the placeholders that the value of an environment variable contains, as Prefect does.

    Args:
        name: of the environment variable.
        value: of it; it may be a secret, so no message repeats it.
        place: of the value in the deployment.
        environment: for `{{ $NAME }}` in the value; one that is not set becomes nothing.

    """
    if place[:1] + place[2:3] == ("triggers", "parameters"):
        return Second(text=value, warning=None)
    kept = FOR_LATER if place[0] not in ("schedule", "schedules", "triggers") else ("prefect.blocks.", VARIABLES)
    lost: list[str] = []

    def replace(match: re.Match[str]) -> str:
        inner = match[1]
        if inner.startswith("$") and inner.lstrip("$") in environment:
            return environment[inner.lstrip("$")]
        if inner.startswith(kept):
            return match[0]
        lost.append(inner)
        return ""

    text = PLACEHOLDER.sub(replace, value)
    if not lost:
        return Second(text=text, warning=None)
    what = f"the value of the environment variable {name} has a name in double braces"
    remedy = "set it without, or give a parameter or job variable in the stack file"
    alone = PLACEHOLDER.fullmatch(value) and not lost[0].startswith("$")
    return Second(text=None if alone else text, warning=f"{what}, and Prefect replaces that by nothing; {remedy}")
