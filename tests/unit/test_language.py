from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.language import ALLOWED, PARTICIPLES, RULES, Allowed, Hit, scan, scan_names, scan_text, text_files


def words(text: str) -> list[str]:
    return [hit.word for hit in scan_text("page.md", text)]


@pytest.fixture(scope="module")
def every_hit() -> list[Hit]:
    return scan()


def test_no_file_uses_a_word_to_avoid(every_hit: list[Hit]) -> None:
    hits = [hit for hit in every_hit if not any(entry.covers(hit) for entry in ALLOWED)]
    shown = "\n".join(map(str, hits[:50]))
    assert not hits, f"{len(hits)} lines; reword them, or add an entry with a reason to tests/language.py:\n{shown}"


def test_every_allowed_line_still_exists_and_has_a_reason(every_hit: list[Hit]) -> None:
    stale = [entry for entry in ALLOWED if not any(entry.covers(hit) for hit in every_hit)]
    assert not stale, "no such line is left: remove these entries"
    assert all(entry.reason for entry in ALLOWED)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("'x' is no integer", "is no"),
        ("def test_a_text_is_no_list() -> None:", "is_no"),
        ("It waits for ever.", "for ever"),
        ("It waits for\n# ever.", "for # ever"),
        ("It waits for\n    ever.", "for ever"),
        ("class HopelessCause:", "Hopeless"),
        ("HOPELESS = 1", "HOPELESS"),
        ("Whoever reads this", "Whoever"),
        ("from infra.registration.endpoint import Reach", "Reach"),
        ("Problem(doing='a look')", "doing="),
        ("a run is taken for Crashed", "taken for"),
        ("not uncommon", "not uncommon"),
        ('"""See base."""', "See base."),
    ],
)
def test_a_word_to_avoid_is_found_in_prose_in_names_and_across_lines(text: str, word: str) -> None:
    assert words(text) == [word]


@pytest.mark.parametrize(
    "text",
    [
        "There is no worker.",
        "It is no longer needed.",
        "Pods reach the API; `reach` is a property in the state.",
        "A threshold is foretold.",
        "planes, procured, secure, attendance",
        "It took ten seconds for each run; it is taken for granted.",
        "for everyone",
    ],
)
def test_plain_english_is_not_reported(text: str) -> None:
    assert words(text) == []


def test_a_hit_names_its_file_line_and_replacement() -> None:
    [hit] = scan_text("docs/page.md", "First.\n  It is recreated anew.\n")
    assert str(hit) == "docs/page.md:2: 'anew' (write: again, recreated): It is recreated anew."


@pytest.mark.parametrize(
    "source",
    ["found = 1", "for found in []: pass", "def f(found): pass", "class A:\n    found: int", "[0 for found in []]"],
)
def test_a_variable_called_by_a_participle_is_reported(source: str) -> None:
    assert [hit.word for hit in scan_names("module.py", source)] == ["found"]


def test_a_participle_is_fine_as_an_imported_name_or_a_use() -> None:
    assert [*scan_names("module.py", "from hypothesis import given\n@given(1)\ndef test(): pass\n")] == []


def test_an_allowed_line_is_known_by_its_content_and_not_by_its_number() -> None:
    entry = Allowed(file="a.py", content="nobody:x:65534", reason="the user's name")
    [hit] = scan_text("a.py", "\n\nLINE = 'nobody:x:65534'\n")
    assert entry.covers(hit)
    assert not entry.covers(Hit(file="b.py", line=3, content=hit.content, word=hit.word, instead=""))


def test_a_new_file_is_scanned_before_it_is_committed_and_an_ignored_one_is_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("built/\n")
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "page.md").write_text("anew")
    (tmp_path / "anew.py").write_text("seen = 1\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert text_files(tmp_path) == [".gitignore", "anew.py"]
    assert [(hit.file, hit.word) for hit in scan(tmp_path)] == [("anew.py", "anew"), ("anew.py", "seen")]


def test_every_rule_says_what_to_write_and_none_is_listed_twice() -> None:
    assert all(rule.instead for rule in RULES)
    assert len({rule.pattern for rule in RULES}) == len(RULES)
    assert {"found", "chosen", "given", "wanted", "seen"} == PARTICIPLES
