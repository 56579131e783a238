from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs_site.pages import PAGES, names, with_links


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("README.md", "LICENSE", "docs/page.md", "docs/adr/README.md", "tools/README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("markdown", "on_the_site"),
    [
        ("[first](page.md#heading)", "[first](page.md#heading)"),
        ("[up](../README.md)", "[up](../README.md)"),
        ("[all\ndecisions](adr/)", "[all\ndecisions](adr/README.md)"),
        ("the [licence](../LICENSE)", "the licence"),
        ("[elsewhere](https://example.com/LICENSE)", "[elsewhere](https://example.com/LICENSE)"),
        ("```text\n[licence](../LICENSE)\n```\n", "```text\n[licence](../LICENSE)\n```\n"),
        # MkDocs reports it.
        ("[missing](missing.md)", "[missing](missing.md)"),
    ],
)
def test_a_link_leads_to_a_page_or_is_text(repository: Path, markdown: str, on_the_site: str) -> None:
    assert with_links(markdown, repository / "docs", repository) == on_the_site


def test_only_pages_for_readers_are_on_the_site(repository: Path) -> None:
    assert list(names(repository, PAGES)) == ["README.md", "docs/adr/README.md", "docs/page.md"]
