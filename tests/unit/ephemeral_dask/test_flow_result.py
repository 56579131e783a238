from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from ephemeral_dask.flow_result import LONGEST, as_json


@dataclass
class Score:
    accuracy: float
    names: tuple[str, ...]


class Login(BaseModel):
    user: str
    password: SecretStr


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (3, "3"),
        ("größer", '"größer"'),
        (Score(0.5, ("a", "b")), '{"accuracy": 0.5, "names": ["a", "b"]}'),
        ({"day": dt.date(2026, 11, 27), "sum": Decimal("1.5")}, '{"day": "2026-11-27", "sum": "1.5"}'),
        (Login(user="a", password=SecretStr("b")), '{"user": "a", "password": "**********"}'),
    ],
)
def test_a_result_that_json_can_hold_is_shown_and_a_secret_in_it_is_not(result: Any, text: str) -> None:
    assert as_json(result) == text


@pytest.mark.parametrize("result", [None, object(), "x" * LONGEST, [lambda: None]])
def test_no_result_a_long_one_and_one_that_json_cannot_hold_are_not_shown(result: Any) -> None:
    assert as_json(result) == ""
