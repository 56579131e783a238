from __future__ import annotations

import re

import pytest

from infra.admission.names import Names, union
from infra.settings import JobVariable

TEAM = {"team": JobVariable(enum=("one", "t.wo")), "tenant": JobVariable()}


def matched(names: Names, text: str) -> bool:
    """Return what the API server would find, whose regular expressions these are as well."""
    return text in names.exact or any(re.search(f"^({pattern})$", text) for pattern in names.patterns)


def test_a_name_without_a_placeholder_is_that_name() -> None:
    assert Names.written("warehouse", {}) == Names.of("warehouse")
    assert Names.of("warehouse", "").contain("x") == '(x in ["warehouse"])'


def test_no_name_contains_nothing() -> None:
    assert Names().contain("x") == "false"
    assert not Names()
    assert str(Names()) == "none"


@pytest.mark.parametrize(
    ("text", "taken", "refused"),
    [
        ("{{ team }}-key", ("one-key", "t.wo-key"), ("three-key", "one-keys", "tawo-key", "x-one-key")),
        ("key.{{ tenant }}", ("key.acme", "key."), ("keyXacme", "other")),
        ("{{ unknown }}-{{team}}", ("any-one",), ("any-three",)),
    ],
)
def test_a_name_with_placeholders_is_all_that_a_run_can_make_of_it(
    text: str, taken: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    names = Names.written(text, TEAM)
    assert all(matched(names, each) for each in taken)
    assert not any(matched(names, each) for each in refused)


def test_a_union_has_the_names_of_both() -> None:
    names = union([Names.of("a"), Names.of("b"), Names.written("c-{{ team }}", TEAM)])
    assert all(matched(names, each) for each in ("a", "b", "c-one"))
    assert names.contain("x").startswith('(x in ["a", "b"] || string(x).matches(')


def test_all_names_need_no_comparison() -> None:
    assert (Names.any() | Names.of("a")).contain("x") == "true"
