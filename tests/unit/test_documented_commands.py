"""Every command of make and every key of `pulumi config set` that a page names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infra.settings import SECRETS, Settings
from tools.docs_site.pages import PAGES, names
from tools.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VERBS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\b([A-Z][A-Z_]+)\b", MAKEFILE))
# The history names what existed then, a decision what was not chosen.
PAST = ("CHANGELOG.md", "UPGRADING.md", "docs/adr/")
GUIDES = [name for name in names(ROOT, PAGES) if not name.startswith(PAST)]
OTHERS = {
    "examples/consumer/README.md": {"platform"},
    # The name that the page has just given to a build secret.
    "docs/operate.md": {"netrc"},
}
"""Keys of other programs, and names that a page has introduced."""


def code(text: str) -> Iterator[str]:
    """Yield what a page shows as code: blocks for a shell, and code in sentences."""
    for block in re.findall(r"^ *```(?:bash|sh)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def made(line: str) -> Iterator[tuple[str, str]]:
    """Yield kind and word for each verb and variable of the `make` commands in a line."""
    for words in re.findall(r"(?:^|[ (])make ((?:-s )?[a-z][^`|&;#]*)", line):
        for word in words.split():
            if match := re.match(r"([A-Z_]+)=", word):
                yield "variable", match[1]
            elif re.fullmatch(r"[a-z][a-z0-9-]*", word):
                yield "verb", word


@pytest.mark.parametrize("page", GUIDES)
def test_every_make_command_of_a_page_exists(page: str) -> None:
    words = {word for line in code((ROOT / page).read_text(encoding="utf-8")) for word in made(line)}
    assert {word for kind, word in words if kind == "verb"} <= VERBS
    assert {word for kind, word in words if kind == "variable"} <= VARIABLES


@pytest.mark.parametrize("page", GUIDES)
def test_every_key_that_a_page_sets_is_a_setting(page: str) -> None:
    text = "\n".join(code((ROOT / page).read_text(encoding="utf-8")))
    keys = set(re.findall(r"pulumi config set (?:--secret )?(?:--path )?(?:ephemeral-dask:)?(\w+)", text))
    known = {field.alias for field in Settings.model_fields.values()} | set(SECRETS) | OTHERS.get(page, set())
    assert keys <= known


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    text = "Run `make up STACK=prod`.\n\n```bash\nmake -s bogus X=1 && make lint unit\n```\n\n```py\nmake none\n```\n"
    words = [word for line in code(text) for word in made(line)]
    assert words == [
        ("verb", "bogus"),
        ("variable", "X"),
        ("verb", "lint"),
        ("verb", "unit"),
        ("verb", "up"),
        ("variable", "STACK"),
    ]
