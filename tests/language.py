"""Words that this project does not use, and a scanner that finds them in every tracked text file.

`python -m tests.language` lists what the test in tests/unit/test_language.py would report.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

SKIPPED: Final = (
    "LICENSE",
    "infra/package/",  # links to files at the root
    "CONTRIBUTING.md",  # its glossary names the words to avoid
    "requirements/",
    "tests/language.py",
    "tests/unit/test_language.py",
)
"""Files and folders that hold the words on purpose, texts of others, or no prose."""

SUFFIXES: Final = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".go", ".in", ".json", ".sh", ""})
"""Suffixes of the files that people read; `""` is the Makefile, the Dockerfile and the like."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A word or phrase to avoid.

    Args:
        pattern: regular expression; a space in it matches any white space, also an underscore or a line break with
            the next line's comment sign.
        instead: what to write.
        exact: whether upper and lower case matter, for names in code.

    """

    pattern: str
    instead: str
    exact: bool = False

    def compiled(self) -> re.Pattern[str]:
        """Return the expression that finds it as a whole word: in prose, in snake_case and in CamelCase."""
        spaced = self.pattern.replace(" ", r"(?:_|\s+(?:(?:\#|//|>|\*)\s*)?)")
        return re.compile(rf"(?<![A-Za-z])(?:{spaced})(?-i:(?![a-z]))", 0 if self.exact else re.IGNORECASE)


RULES: Final = (
    # Phrases.
    Rule(
        pattern=r"(?<!there.)(?:is|are|was|were) no(?! (?:longer|more|less|different|better|worse|later)[^a-z])",
        instead="must be a ..., is not a ..., has no ...",
    ),
    Rule(pattern="anew", instead="again, recreated"),
    Rule(pattern="for ever", instead="forever, indefinitely; better: never ends"),
    Rule(pattern="whoever|whosoever|whatsoever|wheresoever", instead="anyone who, users who"),
    Rule(pattern="nobody", instead="no one, no user; better: name the subject"),
    Rule(pattern="in vain", instead="without success, not found"),
    Rule(pattern="nowhere", instead="not found, missing"),
    Rule(pattern="come what may", instead="in any case"),
    Rule(pattern="put up with|puts up with", instead="tolerate"),
    Rule(pattern="taken? for (?!granted|each|every|all|a while)", instead="treat as, mark as"),
    Rule(pattern="without a word", instead="silently, without a message"),
    Rule(pattern="signs? of life", instead="heartbeat"),
    Rule(pattern="told", instead="given, reported, logged"),
    Rule(pattern="tells of", instead="reports, describes"),
    Rule(pattern="speaks?|spoken|speaking", instead="calls, sends requests to, uses"),
    Rule(pattern="mend(?:s|ed|ing)?", instead="fix"),
    Rule(pattern="lest", instead="so that ... does not"),
    Rule(pattern="ought", instead="should"),
    Rule(pattern="amiss|henceforth|thereof|whereof|wherein|therein|hereby|thereby", instead="plain words"),
    Rule(pattern="riddles?", instead="name the thing"),
    Rule(pattern="has (?:no|a) say in", instead="decides, affects"),
    Rule(pattern="see base\\.", instead="no docstring at all"),
    # Litotes.
    Rule(pattern="not un(?:common|usual|like|likely|known|reasonable|important|true)", instead="say it directly"),
    Rule(pattern="not without|nothing but|none other|no other than|not a few", instead="only, with, several"),
    # Names and metaphors with a standard term.
    Rule(pattern="hopeless(?:ly)?", instead="permanent"),
    Rule(pattern="sameness", instead="environment check, version mismatch"),
    Rule(pattern="patience", instead="start policy, retry policy, deadline"),
    Rule(pattern="companions?", instead="keepalive"),
    Rule(pattern="attend(?:s|ed|ing)?", instead="keep alive, touch the idle timer"),
    Rule(pattern="remembered", instead="cached, stored in the state"),
    Rule(pattern="voices?", instead="source, precedence"),
    Rule(pattern="remarks?", instead="warnings"),
    Rule(pattern="cur(?:e|es|ed|ing)", instead="remedy"),
    Rule(pattern="complaints?|complain(?:s|ed|ing)?", instead="errors, problems"),
    Rule(pattern="lanes?", instead="queue"),
    Rule(pattern="amend(?:s|ed|ing)?", instead="update"),
    Rule(pattern="glanc(?:e|es|ed|ing)", instead="get_cached, look up"),
    Rule(pattern="speak_plainly|plainly", instead="clearly; install_error_formatter"),
    Rule(pattern="dask'?s? definitions|(?:the )?definitions \\(crds?\\)", instead="CRDs"),
    Rule(pattern="marks? of ownership|ownership marks?", instead="ownership label"),
    Rule(pattern=r"Reach|import marks|marks\.py|marks\.[a-z]", instead="ApiEndpoint, endpoint; ownership", exact=True),
    Rule(pattern="scheduler_side|Ledger", instead="scheduler plugin, usage, pod context", exact=True),
    Rule(pattern=r"doing\s*[:=](?!=)", instead="operation", exact=True),
)

PARTICIPLES: Final = frozenset({"found", "chosen", "given", "wanted", "seen"})
"""Names that say when a value arose and not what it is; a variable is called by a noun."""


@dataclass(frozen=True, kw_only=True, order=True)
class Hit:
    """One use of a word to avoid: `content` is the line without its indentation."""

    file: str
    line: int
    content: str
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.word}' (write: {self.instead}): {self.content}"


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A line that keeps its word: `content` must occur in the line, so that the entry survives moved lines."""

    file: str
    content: str
    reason: str

    def covers(self, hit: Hit) -> bool:
        """Whether `hit` is the use that this entry allows."""
        return hit.file == self.file and self.content in hit.content


def text_files(root: Path = ROOT) -> list[str]:
    """Return the files that git tracks or would track, relative to `root`, which the rules apply to."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = sorted({name for name in listing.split("\0") if name and (root / name).is_file()})
    return [name for name in names if Path(name).suffix in SUFFIXES and not name.startswith(SKIPPED)]


def scan_text(file: str, text: str, rules: Sequence[Rule] = RULES) -> Iterator[Hit]:
    """Yield every use of a rule's words in `text`; a phrase may run over the end of a line."""
    lines = text.splitlines() or [""]
    for rule, expression in _compiled(tuple(rules)):
        for match in expression.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            word = " ".join(match.group().split())
            yield Hit(file=file, line=line, content=lines[line - 1].strip(), word=word, instead=rule.instead)


def scan_names(file: str, source: str) -> Iterator[Hit]:
    """Yield the variables, parameters and fields of a Python module that are called by a participle.

    Raises:
        SyntaxError: `source` is not Python.

    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        if name in PARTICIPLES and isinstance(node, (ast.Name, ast.arg)):
            content = lines[node.lineno - 1].strip()
            yield Hit(file=file, line=node.lineno, content=content, word=name, instead="a noun")


def scan(root: Path = ROOT, allowed: Sequence[Allowed] = ()) -> list[Hit]:
    """Return every use of a word to avoid in the names and contents of the tracked files that no entry allows."""
    hits: set[Hit] = set()
    for name in text_files(root):
        hits.update(scan_text(name, name))
        text = (root / name).read_text(encoding="utf-8")
        hits.update(scan_text(name, text))
        if name.endswith(".py") and any(word in text for word in PARTICIPLES):  # parsing is what takes time
            hits.update(scan_names(name, text))
    return sorted(hit for hit in hits if not any(entry.covers(hit) for entry in allowed))


@cache
def _compiled(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    return tuple((rule, rule.compiled()) for rule in rules)


ALLOWED: Final[tuple[Allowed, ...]] = (
    Allowed(file="tools/cluster/images.py", content="nobody:x:65534", reason="the name of a system user"),
)
"""The lines that keep their word, each with its reason."""


if __name__ == "__main__":
    sys.stdout.writelines(f"{hit}\n" for hit in scan(allowed=ALLOWED))
