"""The pages of the documentation site, as hooks of MkDocs: the repository's Markdown files under their own names.

A link between two files is then the same on the site as on a page of the repository. MkDocs runs this module in the
environment `docs`, without the rest of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ("*.md", "docs/**/*.md", "examples/*/README.md")
PICTURES: Final = ("docs/images/*.png",)

_FENCE: Final = re.compile(r"^( *```.*?^ *```)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def names(root: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the files that match, relative to `root`."""
    for pattern in patterns:
        yield from (path.relative_to(root).as_posix() for path in sorted(root.glob(pattern)))


def on_files(files: Files, *, config: Any) -> Files:
    """Replace the files of `docs_dir` by those of the repository; those of the theme stay."""
    from mkdocs.structure.files import File  # noqa: PLC0415  the rest is tested without MkDocs

    theme = [file for file in files if file.src_dir != config.docs_dir]
    own = [File.generated(config, name, abs_src_path=str(ROOT / name)) for name in names(ROOT, (*PAGES, *PICTURES))]
    return type(files)([*own, *theme])


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Make the links of a page those of the site."""
    return with_links(markdown, (ROOT / page.file.src_uri).parent, ROOT)


def with_links(markdown: str, folder: Path, root: Path) -> str:
    """Return a page of `folder` in which a link to a folder leads to its README, and one to a source file is text."""
    pages = {root / name for name in names(root, PAGES)}

    def replace(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", path):
            return match[0]
        target = (folder / path).resolve()
        if target.is_dir() and target / "README.md" in pages:
            return f"[{text}]({path.rstrip('/')}/README.md{anchor})"
        return match[0] if target in pages or not target.exists() else text

    parts = _FENCE.split(markdown)
    # The odd ones are blocks of code.
    return "".join(part if index % 2 else _LINK.sub(replace, part) for index, part in enumerate(parts))
