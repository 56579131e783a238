from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.language import ROOT, text_files

PAGES = [name for name in text_files() if name.endswith(".md")] + ["CONTRIBUTING.md"]


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[str]:
    """Yield the targets of the links and pictures of a page."""
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "`", without_code(text)))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_to_a_file_and_a_heading(page: str) -> None:
    broken = []
    for link in links((ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_docs_is_in_their_index() -> None:
    folder = ROOT / "docs"
    index = (folder / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in links(index)}
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("## What `make down` deletes", "what-make-down-deletes"), ("# A flow's size", "a-flows-size")],
)
def test_an_anchor_is_the_heading_in_lower_case_without_punctuation(heading: str, anchor: str) -> None:
    assert anchors(heading) == {anchor}


def test_code_has_neither_links_nor_headings() -> None:
    text = "```bash\n# not a heading\n[x](missing.md)\n```\n`[y](z)`\n[a](b.md)\n"
    assert [*links(text)] == ["b.md"]
    assert anchors(text) == set()


def test_a_picture_counts_as_a_link() -> None:
    assert [*links("![run](docs/images/run.png)")] == ["docs/images/run.png"]
