"""The documentation site has every page, in a form that its Markdown and GitHub's read alike."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
import yaml

from tests.howtos import below
from tests.unit.test_links import without_code
from tools.docs_site.pages import PAGES, names
from tools.paths import ROOT

NAV = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)["nav"]
ON_SITE = list(names(ROOT, PAGES))
NESTED = re.compile(r"^ {1,3}(?:[-*] |\d+\. |```)", re.MULTILINE)


def test_the_site_has_four_parts() -> None:
    assert [title for part in NAV for title in part] == ["Tutorial", "How-to", "Reference", "Explanation"]


def test_every_page_is_in_the_navigation_once() -> None:
    count = Counter(below(NAV))
    assert [name for name, number in count.items() if number > 1] == []
    decisions = {name for name in ON_SITE if name.startswith("docs/adr/0")}
    assert set(count) == set(ON_SITE) - decisions


def test_every_decision_is_in_their_index() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    titles = {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in (ROOT / "docs/adr").glob("0*.md")}
    listed = {name: f"# {number}. {title}" for number, title, name in re.findall(r"(\d+)\. \[(.+)\]\((.+)\)", index)}
    assert listed == titles


@pytest.mark.parametrize("name", ON_SITE)
def test_what_is_inside_a_list_is_indented_by_four_spaces(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert NESTED.findall(plain) == []


@pytest.mark.parametrize("name", ON_SITE)
def test_a_list_begins_after_an_empty_line(name: str) -> None:
    lines = without_code((ROOT / name).read_text(encoding="utf-8")).splitlines()
    item = re.compile(r"[-*] |\d+\. ")
    joined = [
        line
        for before, line in pairwise(lines)
        if item.match(line) and before.strip() and not item.match(before) and not before.startswith(" ")
    ]
    assert joined == []
