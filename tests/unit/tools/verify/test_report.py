from __future__ import annotations

import io

from rich.console import Console

from tools.errors import Problem
from tools.verify.report import Row, failed, of_problems, ok, passed, show, unknown


def table(*rows: Row, width: int = 100) -> str:
    output = Console(file=io.StringIO(), width=width)
    show(rows, output)
    return str(output.file.getvalue())  # type: ignore[attr-defined]


def test_the_table_has_a_line_for_each_check_with_verdict_cause_and_remedy() -> None:
    text = table(ok("API", "it answers"), failed("worker", "no heartbeat for 90 s", "Read its log"))
    header, _, *lines = text.splitlines()
    assert header.split() == ["check", "verdict", "cause", "and", "remedy"]
    assert lines[0].split() == ["API", "ok", "it", "answers"]
    assert lines[1].split() == ["worker", "failed", "no", "heartbeat", "for", "90", "s"]
    assert lines[2].strip() == "Remedy: Read its log."


def test_text_of_others_is_printed_as_it_is_and_folded_within_the_width() -> None:
    text = table(failed("run", "[red]" + "x" * 200, "r"), width=80)
    assert "[red]" in text
    assert text.count("x") == 200
    assert max(map(len, text.splitlines())) <= 80


def test_a_failed_check_fails_the_verification_and_one_that_could_not_be_made_does_not() -> None:
    assert passed([ok("a"), unknown("b", "the registry requires a login")])
    assert not passed([ok("a"), failed("b", "c", "d")])


def test_problems_become_rows_with_their_detail_and_none_becomes_a_good_row() -> None:
    assert of_problems("pods", [], "all are ready") == [ok("pods", "all are ready")]
    [row] = of_problems("pods", [Problem("one is missing", remedy="make up", detail=" why ")])
    assert row == failed("pods", "one is missing: why", "make up")
