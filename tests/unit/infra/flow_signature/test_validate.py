from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.flow_signature.validate import schema_error

ROOT: dict[str, Any] = {
    "definitions": {"Level": {"enum": ["low", "high"]}, "Ones": {"items": {"const": 1}}, "Size": {"maximum": 16}}
}

CASES: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "integer"}, "3", "must be an integer"),
    ({"type": "integer"}, True, "must be an integer"),
    ({"type": "integer"}, 3.5, "must be an integer"),
    ({"type": ["integer", "null"]}, "x", "must be an integer or null"),
    ({"enum": ["a", 1]}, "b", "must be one of a, 1"),
    ({"const": 1}, 2, "must be 1"),
    ({"minimum": 2}, 1, "is below 2"),
    ({"maximum": 2}, 3, "is above 2"),
    ({"exclusiveMinimum": 2}, 2, "must be above 2"),
    ({"exclusiveMaximum": 2}, 2, "must be below 2"),
    ({"minLength": 2}, "a", "must have at least 2 characters"),
    ({"maxLength": 2}, "abc", "must have at most 2 characters"),
    ({"pattern": "^a"}, "b", "does not match ^a"),
    ({"items": {"type": "integer"}}, [1, "x"], "[1] must be an integer"),
    ({"required": ["a"]}, {}, "lacks 'a'"),
    ({"properties": {"a": {"type": "string"}}}, {"a": 1}, ".a must be a string"),
    ({"additionalProperties": False}, {"a": 1}, ".a is not allowed"),
    ({"additionalProperties": {"type": "string"}}, {"a": 1}, ".a must be a string"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", "must be an integer, must be null"),
    ({"oneOf": [{"type": "integer"}]}, "x", "must be an integer"),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 3, "is above 2"),
    ({"$ref": "#/definitions/Level"}, "middle", "must be one of low, high"),
    ({"$ref": "#/definitions/Ones"}, [1, 2], "[1] must be 1"),
]


@pytest.mark.parametrize(("schema", "value", "error"), CASES)
def test_an_error_names_the_rule_and_never_the_value(schema: dict[str, Any], value: Any, error: str) -> None:
    assert schema_error(value, schema, ROOT) == error


@pytest.mark.parametrize(
    "schema",
    [{"type": "integer", "minimum": 1, "maximum": 16}, {"anyOf": [{"maximum": 16}]}, {"$ref": "#/definitions/Size"}],
)
def test_an_upper_bound_can_be_named_by_its_origin(schema: dict[str, Any]) -> None:
    error = schema_error(40, schema, ROOT, bound_origin="the stack's dask.ceiling")
    assert error == "is above the stack's dask.ceiling (16)"


def test_the_origin_of_the_upper_bound_is_not_named_for_the_lower_one() -> None:
    assert schema_error(0, {"minimum": 1, "maximum": 16}, ROOT, bound_origin="the stack's dask.ceiling") == "is below 1"


def test_unknown_references_and_keywords_are_left_to_the_server() -> None:
    assert schema_error(3, {"$ref": "#/definitions/Missing"}, ROOT) == ""
    assert schema_error("x", {"format": "date", "unknown": 1}, ROOT) == ""


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
    if jsonschema.Draft202012Validator({**ROOT, **schema}).is_valid(value):
        assert schema_error(value, schema, ROOT) == ""


@pytest.mark.parametrize(
    ("schema", "value", "error"),
    [
        ({"type": "array", "prefixItems": [{"type": "integer"}] * 2, "maxItems": 2}, [1, 2, 3], "at most 2 items"),
        ({"type": "array", "prefixItems": [{"type": "integer"}] * 2, "minItems": 2}, [1], "at least 2 items"),
        ({"type": "array", "prefixItems": [{"type": "integer"}] * 2}, [1, "x"], "[1] must be an integer"),
        ({"type": "array", "prefixItems": [{}], "items": False}, [1, 2], "[1] is not allowed"),
        ({"type": "array", "uniqueItems": True}, [1, 2, 1], "has an item twice"),
        ({"type": "integer", "multipleOf": 5}, 7, "must be a multiple of 5"),
        ({"type": "object", "minProperties": 1}, {}, "must have at least 1 key"),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 1}, "must have at most 1 key"),
        ({"type": "object", "propertyNames": {"pattern": "^a"}}, {"b": 1}, "has the key 'b', which does not match ^a"),
        ({"type": "object", "patternProperties": {"^a": {"type": "null"}}}, {"ab": 1}, ".ab must be null"),
        ({"not": {"const": 1}}, 1, "is not allowed"),
        ({"type": "string", "pattern": r"^\p{L}+$"}, "abc", "has a pattern that Prefect's server cannot check"),
    ],
)
def test_keywords_of_tuples_sets_and_mappings_are_checked(schema: dict[str, Any], value: Any, error: str) -> None:
    assert error in schema_error(value, schema, schema)
