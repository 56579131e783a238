from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.errors import Problem
from tools.runs.arguments import Value, json_values, parse, parse_tags

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.from_regex(r"[^\W\d]\w{0,8}", fullmatch=True)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("folds=3 name=Berlin", {"folds": 3, "name": "Berlin"}),
        ('lines=["a b","c"] least=5', {"lines": ["a b", "c"], "least": 5}),
        ('report={"countries":["FR"], "least": 5}', {"report": {"countries": ["FR"], "least": 5}}),
        ('{"folds": 3, "name": "Berlin"}', {"folds": 3, "name": "Berlin"}),
        ("note='two words' \n other=\"it's\"", {"note": "two words", "other": "it's"}),
        ("query=a=b&c=#d", {"query": "a=b&c=#d"}),
        (
            "pattern=[a-z]* version=3.11.2 day=2026-11-27",
            {"pattern": "[a-z]*", "version": "3.11.2", "day": "2026-11-27"},
        ),
        ("empty= then=1", {"empty": "", "then": 1}),
        ("limit=NaN", {"limit": "NaN"}),
        ("price=$5 emoji=🦉", {"price": "$5", "emoji": "🦉"}),
        (r"path=C:\\data", {"path": r"C:\data"}),
        ("", {}),
        ("  \n ", {}),
    ],
)
def test_a_value_is_json_where_it_parses_as_json_and_a_shell_word_otherwise(text: str, values: dict[str, Any]) -> None:
    assert json_values(parse(text, "PARAMS")) == values


@given(st.dictionaries(NAMES, JSON))
def test_every_value_that_is_written_as_json_is_read_back(values: dict[str, Any]) -> None:
    text = " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())
    assert json_values(parse(text, "PARAMS")) == values


@given(st.dictionaries(NAMES, JSON))
def test_one_json_object_is_read_back(values: dict[str, Any]) -> None:
    assert json_values(parse(json.dumps(values, indent=1), "PARAMS")) == values


@given(st.dictionaries(NAMES, st.text().filter(lambda text: not is_json(shlex.quote(text)))))
def test_every_text_in_shell_quotes_is_read_back(values: dict[str, str]) -> None:
    text = "\n\t ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    assert json_values(parse(text, "PARAMS")) == values


@given(st.text())
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        parse(text, "PARAMS")
    except Problem as error:
        problem = error
    else:
        return
    assert "PARAMS cannot be read at character " in str(problem)
    assert problem.detail.rstrip().endswith("^")


@pytest.mark.parametrize(
    ("text", "what", "column"),
    [
        ("folds", "at character 1: here a name= must begin", 0),
        ('lines=["a b"] c]', "at character 15: here a name= must begin", 14),
        ("=3", "at character 1: here a name= must begin", 0),
        ("a=1 a=2", "at character 5: 'a' is given twice", 4),
        ("a=1 note='open", "at character 10: the value is not a word in the shell's quoting: no closing quotation", 9),
        ('{"a": 1,}', "the JSON object is not valid", 8),
        ('{"a": NaN}', "the JSON object is not valid: NaN is not JSON", 6),
        ("a=1\nb=2 c", "at character 9: here a name= must begin", 4),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_mark_below_the_place(text: str, what: str, column: int) -> None:
    with pytest.raises(Problem) as caught:
        parse(text, "PARAMS")
    assert what in str(caught.value)
    shown, mark = caught.value.detail.splitlines()
    assert shown[2:] in text
    assert mark.index("^") - 2 == column


def test_a_bare_literal_keeps_how_it_was_written() -> None:
    values = parse('cpu=2.50 flag=true quoted="2" list=[1]', "VARS")
    assert values == {"cpu": Value(2.5, "2.50"), "flag": Value(True, "true"), "quoted": Value("2"), "list": Value([1])}


@pytest.mark.parametrize("text", ["a, b,c", "a b  c", " a,b c,", "a\nb\nc"])
def test_tags_are_separated_by_commas_or_spaces(text: str) -> None:
    assert parse_tags(text) == ["a", "b", "c"]
