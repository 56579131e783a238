"""The documentation site, built by MkDocs as CI does it."""

from __future__ import annotations

from pathlib import PurePosixPath

from tools import docs_site
from tools.docs_site.pages import PAGES, names
from tools.paths import ROOT


def test_the_site_builds_with_every_link_checked_and_has_every_page() -> None:
    docs_site.build()
    missing = []
    for name in names(ROOT, PAGES):
        page = PurePosixPath(name)
        folder = page.parent if page.name == "README.md" else page.with_suffix("")
        if not (docs_site.SITE / folder / "index.html").is_file():
            missing.append(name)
    assert missing == []
