from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.server.schemas.actions import DeploymentCreate

from infra.registration.parameter_validation import conforms, loading

_FLOW = "00000000-0000-0000-0000-000000000000"
_KINDS = st.sampled_from(["string", "integer", "boolean", "array", "null", "nothing known", 3])
_SCHEMAS = st.fixed_dictionaries(
    {"properties": st.dictionaries(st.sampled_from("abc"), st.fixed_dictionaries({"type": _KINDS}))},
    optional={
        "type": st.sampled_from(["object", "array"]),
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
        "$schema": st.just("http://json-schema.org/draft-04/schema#"),
    },
)
_VALUES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", 1, 1.5, True, None, []]))


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    loading().join()


def _refused(parameters: dict[str, Any], schema: dict[str, Any]) -> bool:
    given_to_prefect = {"parameters": parameters, "parameter_openapi_schema": schema, "enforce_parameter_schema": True}
    try:
        DeploymentCreate(name="one", flow_id=_FLOW, **given_to_prefect)
    except ValueError:
        return True
    return False


@settings(deadline=None)
@given(parameters=_VALUES, schema=_SCHEMAS)
def test_parameters_that_the_server_refuses_never_conform(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    assert not (conforms(parameters, schema) and _refused(parameters, schema))


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [({"day": "today", "top": 3}, True), ({}, True), ({"top": "3"}, False), ({"level": "high"}, True)],
)
def test_parameters_conform_exactly_if_the_server_accepts_them(parameters: dict[str, Any], fits: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"day": {"type": "string"}, "top": {"type": "integer"}, "level": {"$ref": "#/definitions/Level"}},
        "required": ["day"],
        "definitions": {"Level": {"enum": ["low", "high"]}},
    }
    assert conforms(parameters, schema) is fits
    assert _refused(parameters, schema) is not fits


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"properties": {"a": {"$ref": "#/definitions/Missing"}}},
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/never-fetched"}}},
    ],
)
def test_a_doubtful_schema_is_left_to_the_server(schema: dict[str, Any]) -> None:
    assert not conforms({"a": 1}, schema)
