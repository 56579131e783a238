from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.flow_signature.validate import complaint

TOP: dict[str, Any] = {"definitions": {"Level": {"enum": ["low", "high"]}, "Ones": {"items": {"const": 1}}}}

CASES: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "integer"}, "3", "is no integer"),
    ({"type": "integer"}, True, "is no integer"),
    ({"type": "integer"}, 3.5, "is no integer"),
    ({"type": ["integer", "null"]}, "x", "is no integer or null"),
    ({"enum": ["a", 1]}, "b", "is none of a, 1"),
    ({"const": 1}, 2, "is not 1"),
    ({"minimum": 2}, 1, "is below 2"),
    ({"maximum": 2}, 3, "is above 2"),
    ({"exclusiveMinimum": 2}, 2, "is not above 2"),
    ({"exclusiveMaximum": 2}, 2, "is not below 2"),
    ({"minLength": 2}, "a", "is shorter than 2"),
    ({"maxLength": 2}, "abc", "is longer than 2"),
    ({"pattern": "^a"}, "b", "does not match ^a"),
    ({"items": {"type": "integer"}}, [1, "x"], "[1] is no integer"),
    ({"required": ["a"]}, {}, "lacks 'a'"),
    ({"properties": {"a": {"type": "string"}}}, {"a": 1}, ".a is no string"),
    ({"additionalProperties": False}, {"a": 1}, ".a is not allowed"),
    ({"additionalProperties": {"type": "string"}}, {"a": 1}, ".a is no string"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", "is no integer, is no null"),
    ({"oneOf": [{"type": "integer"}]}, "x", "is no integer"),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 3, "is above 2"),
    ({"$ref": "#/definitions/Level"}, "middle", "is none of low, high"),
    ({"$ref": "#/definitions/Ones"}, [1, 2], "[1] is not 1"),
]


@pytest.mark.parametrize(("schema", "value", "sentence"), CASES)
def test_what_does_not_fit_is_said_without_the_value(schema: dict[str, Any], value: Any, sentence: str) -> None:
    assert complaint(value, schema, TOP) == sentence


def test_what_is_not_known_is_left_to_the_server() -> None:
    assert complaint(3, {"$ref": "#/definitions/Nowhere"}, TOP) == ""
    assert complaint("x", {"format": "date", "unknown": 1}, TOP) == ""


_SCHEMAS = st.sampled_from([schema for schema, _, _ in CASES] + [{}, {"anyOf": [{"type": "string"}, {"minimum": 1}]}])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.sampled_from([1.0, 2.5])
    | st.sampled_from(["", "a", "b", "low"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@given(_SCHEMAS, _VALUES)
def test_nothing_is_refused_that_the_full_validator_allows(schema: dict[str, Any], value: Any) -> None:
    if jsonschema.Draft202012Validator({**TOP, **schema}).is_valid(value):
        assert complaint(value, schema, TOP) == ""
