"""The text of PARAMS, VARS and TAGS, as it was typed."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from tools.errors import Problem

_NAME: Final = re.compile(r"([^\s=\"'\[\]{}]+)=")
_FORM: Final = (
    "Write name=value, several of them separated by spaces, where a value is JSON or a word in the shell's quoting;"
    " or one JSON object for all of them"
)


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        json: what JSON makes of it, or its text.
        text: how it was written, where JSON read a bare number, true, false or null; otherwise None. It is what is
            meant where a string is asked for: the CPU request `2` of a Kubernetes quantity.

    """

    json: Any
    text: str | None = None


def parse(text: str, variable: str) -> dict[str, Value]:
    """Read `name=value ...` or one JSON object.

    Args:
        text: as it was typed.
        variable: its name for error messages, such as PARAMS.

    Raises:
        Problem: the text is neither of the two, or gives a name twice; the message points at the place.

    """
    if text.lstrip().startswith("{"):
        return _parse_object(text, variable)
    values: dict[str, Value] = {}
    position = _skip_space(text, 0)
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            _refuse(text, position, variable, "here a name= must begin")
        if match[1] in values:
            _refuse(text, position, variable, f"'{match[1]}' is given twice")
        value, end = _parse_value(text, match.end(), variable)
        values[match[1]] = value
        position = _skip_space(text, end)
    return values


def parse_tags(text: str) -> list[str]:
    """Return the tags of a text that separates them by commas or spaces."""
    return [tag for tag in re.split(r"[,\s]+", text) if tag]


def _parse_object(text: str, variable: str) -> dict[str, Value]:
    try:
        values = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(text, error.pos, variable, f"the JSON object is not valid: {error.msg}")
    except ValueError as error:  # NaN and the infinities, which JSON does not have
        _refuse(text, text.find(str(error)), variable, f"the JSON object is not valid: {error} is not JSON")
    return {name: Value(value) for name, value in values.items()}


def _parse_value(text: str, start: int, variable: str) -> tuple[Value, int]:
    """Return the value that begins at `start`, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except ValueError:  # not JSON at all, or NaN
        pass
    else:
        if end == len(text) or text[end].isspace():
            literal = text[start] not in '"[{'
            return Value(value, text[start:end] if literal else None), end
    return _parse_word(text, start, variable)


def _parse_word(text: str, start: int, variable: str) -> tuple[Value, int]:
    if start == len(text) or text[start].isspace():
        return Value(""), start
    stream = io.StringIO(text[start:], newline="")
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        word = lexer.get_token()
    except ValueError as error:
        _refuse(text, start, variable, f"the value is not a word in the shell's quoting: {str(error).lower()}")
    # The lexer has read one character more than the word, unless the text ended.
    end = start + stream.tell()
    return Value(word or ""), end if end == len(text) and not text[end - 1].isspace() else end - 1


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _refuse(text: str, position: int, variable: str, why: str) -> NoReturn:
    line_start = text.rfind("\n", 0, position) + 1
    line = text[line_start:].partition("\n")[0]
    raise Problem(
        f"{variable} cannot be read at character {position + 1}: {why}",
        remedy=_FORM,
        detail=f"  {line}\n  {' ' * (position - line_start)}^",
    )


def json_values(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the values as JSON has them."""
    return {name: value.json for name, value in values.items()}
