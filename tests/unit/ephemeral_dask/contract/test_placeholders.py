from __future__ import annotations

from ephemeral_dask.contract.placeholders import names, rendered


def test_names_are_found_at_any_depth() -> None:
    assert names({"a": ["x {{ one }}", {"b": "{{two}}"}], "c": 3, "d": None}) == {"one", "two"}


def test_a_whole_placeholder_keeps_the_type_of_its_value_and_another_is_a_part_of_the_text() -> None:
    assert rendered({"a": "{{ n }}", "b": "n={{ n }}"}, {"n": 3}) == {"a": 3, "b": "n=3"}


def test_a_field_without_a_value_is_left_out_and_what_a_patch_removes_stays_removed() -> None:
    assert rendered({"a": "{{ n }}", "b": None, "c": ({"d": "{{ n }}"},)}, {}) == {"b": None, "c": [{}]}
