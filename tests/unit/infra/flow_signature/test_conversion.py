"""Values of another type are converted as the flow converts them when it starts."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel

from infra.flow_signature.conversion import converted
from infra.flow_signature.validate import schema_error


class Size(BaseModel):
    rows: int = 1
    share: float = 0.5


@flow
def sized(
    n: int = 1,
    x: float | None = None,
    on: bool = False,
    size: Size | None = None,
    many: tuple[int, ...] = (),
) -> None: ...


SCHEMA = parameter_schema(sized).model_dump()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", "3"),
        ("n", " 3 "),
        ("n", "3.0"),
        ("n", True),
        ("x", "1.5"),
        ("x", False),
        ("on", "yes"),
        ("on", "OFF"),
        ("on", 1),
        ("size", {"rows": "2", "share": "0.25"}),
        ("many", ["1", 2]),
    ],
)
def test_a_value_that_the_flow_converts_fits_afterwards(name: str, value: object) -> None:
    field: dict[str, Any] = SCHEMA["properties"][name]
    assert schema_error(value, field, SCHEMA)
    result = converted(value, field, SCHEMA)
    assert not schema_error(result, field, SCHEMA)
    assert sized.validate_parameters({name: value}) == sized.validate_parameters({name: result})


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", "x"), ("n", "1.5"), ("n", "nan"), ("n", []), ("on", "maybe"), ("on", 2), ("many", ["x"]), ("many", "1")],
)
def test_a_value_that_the_flow_refuses_is_not_made_to_fit(name: str, value: object) -> None:
    field: dict[str, Any] = SCHEMA["properties"][name]
    assert schema_error(converted(value, field, SCHEMA), field, SCHEMA)
    with pytest.raises(Exception, match="Flow run received invalid parameters"):
        sized.validate_parameters({name: value})
