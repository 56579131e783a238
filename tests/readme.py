"""The commands of README.md, found in its text, and its example of a first flow."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[1] / "README.md"
SHELLS: Final = ("bash", "sh")
_PROGRAMS: Final = r"make|eval|git|cd|cp|pulumi|kubectl|prefect|python|\.venv/bin/\w+"
_INLINE: Final = re.compile(rf"(?<!`)`((?:{_PROGRAMS}) [^`]+)`(?!`)")
"""Code in a sentence or a table that can be typed into a shell."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what stands after the fence.
        lead: the paragraph before it.
        text: its content.

    """

    language: str
    lead: str
    text: str


@dataclass(frozen=True)
class Example:
    """The flow that README tells its readers to write.

    Attributes:
        path: the flow's file.
        source: its content.
        declaration: what is appended to `deployments` in prefect.yaml.
        commands: what is typed then, in order; those before `declared_at` need the file only.
        declared_at: index of the first command that needs the declaration.
        output: what the last command prints in the end.

    """

    path: str
    source: str
    declaration: str
    commands: tuple[str, ...]
    declared_at: int
    output: str


def commands(text: str) -> list[str]:
    """Return every command of the text once, in the order of its first occurrence."""
    typed: dict[str, None] = {}
    prose, previous = [], 0
    for match, block in _fences(text):
        prose.append((previous, text[previous : match.start()]))
        previous = match.end()
        if block.language in SHELLS:
            typed |= dict.fromkeys(_lines(block.text))
    prose.append((previous, text[previous:]))
    for _, part in prose:
        typed |= dict.fromkeys(_INLINE.findall(part))
    return list(typed)


def example(text: str) -> Example:
    """Return the example of the section "Add a flow"."""
    section = re.search(r"^## Add a flow\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, "README has no section 'Add a flow'"
    path = source = declaration = output = ""
    typed: list[str] = []
    declared_at = 0
    for _, block in _fences(section[1]):
        match block.language:
            case "python":
                [path] = re.findall(r"`(flows/\w+\.py)`", block.lead)
                source = block.text
            case "yaml":
                declaration, declared_at = block.text, len(typed)
            case "text":
                output = block.text
            case language if language in SHELLS:
                typed += _lines(block.text)
    return Example(path, source, declaration, tuple(typed), declared_at, output)


def make_arguments(command: str) -> dict[str, str]:
    """Return the variables of a `make` command."""
    return dict(word.split("=", 1) for word in shlex.split(command) if "=" in word)


def _fences(text: str) -> Iterator[tuple[re.Match[str], Block]]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        lead = text[: match.start()].rstrip().rpartition("\n\n")[2]
        yield match, Block(match[1], lead, match[2])


def _lines(block: str) -> list[str]:
    joined = block.replace("\\\n", " ")
    lines = (line.strip() for line in joined.splitlines())
    return [re.sub(r"\s+# .*", "", line) for line in lines if line and not line.startswith("#")]
