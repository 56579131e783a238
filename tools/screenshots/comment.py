"""The comment on a pull request, as a page that looks like one."""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt

_PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<title>Pull request</title>
<style>
  body {{ margin: 24px; background: #fff; color: #1f2328; font: 14px/1.5 system-ui, "DejaVu Sans", sans-serif; }}
  article {{ border: 1px solid #d1d9e0; border-radius: 6px; }}
  header {{ padding: 8px 16px; border-bottom: 1px solid #d1d9e0; border-radius: 6px 6px 0 0; background: #f6f8fa; }}
  main {{ padding: 0 16px 8px; }}
  table {{ border-collapse: collapse; margin: 0 0 16px; }}
  th, td {{ padding: 6px 13px; border: 1px solid #d1d9e0; text-align: left; overflow-wrap: anywhere; }}
  code {{ padding: 2px 4px; border-radius: 6px; background: #eff1f3; }}
  code, pre {{ font: 12px ui-monospace, "DejaVu Sans Mono", monospace; }}
  pre {{ padding: 16px; border-radius: 6px; background: #f6f8fa; }}
</style>
<article>
<header><b>github-actions</b> bot commented</header>
<main>
{comment}
</main>
</article>
"""


def page(markdown: str) -> str:
    """Return a comment as HTML, with tables and folded parts as GitHub shows them."""
    return _PAGE.format(comment=MarkdownIt("commonmark").enable("table").render(markdown))
