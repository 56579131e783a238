from __future__ import annotations

from tools.screenshots import comment


def test_a_comment_is_shown_as_a_pull_request_shows_it() -> None:
    page = comment.page(
        "### Stack `dev`: new\n\n<details><summary>1</summary>\n\n| a | b |\n|---|---|\n| 1 | {x} |\n\n</details>\n"
    )
    assert "<h3>Stack <code>dev</code>: new</h3>" in page
    assert "<details><summary>1</summary>" in page
    assert "<td>{x}</td>" in page
