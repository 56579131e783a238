from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.output import Unknown

from infra.registration.encoding import NULL, decode, encode, known

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]  # Pulumi leaves it untyped

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text()
    | st.sampled_from([NULL, NULL * 2, f"a{NULL}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=12,
)


Through = Callable[[dict[str, Any]], dict[str, Any]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=_JSON)
def test_every_json_value_survives_the_engine(value: Any, through_the_engine: Through) -> None:
    assert decode(through_the_engine({"value": encode(value)})["value"]) == value


def test_without_encoding_the_engine_drops_a_null_in_a_dictionary(through_the_engine: Through) -> None:
    assert through_the_engine({"value": {"default": None}}) == {"value": {}}


@pytest.mark.parametrize("value", [2**53 + 1, -(2**60)])
def test_an_integer_too_large_for_a_double_is_refused_with_a_remedy(value: int) -> None:
    with pytest.raises(ValueError, match="write it as a string"):
        encode({"deep": [value]})


def test_integers_and_booleans_keep_their_type(through_the_engine: Through) -> None:
    back = decode(through_the_engine({"value": encode([1, 2.0, 2.5, True])})["value"])
    assert [type(item) for item in back] == [int, int, float, bool]


def test_a_value_with_an_unknown_part_is_unknown() -> None:
    assert known({"a": [1, {"b": "c"}]})
    assert not known({"a": [1, {"b": UNKNOWN}]})
