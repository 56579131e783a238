from __future__ import annotations

from typing import Any

import pytest

from infra import settings

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}


def parse(**prices: Any) -> settings.Prices | None:
    return settings.parse({"image": IMAGE, "prices": prices}, stack="dev").prices


def test_a_price_may_be_a_whole_number_and_the_others_are_zero() -> None:
    assert parse(coreHour=1, currency="EUR") == settings.Prices(core_hour=1.0, currency="EUR")


def test_a_stack_has_no_prices_unless_it_sets_some() -> None:
    assert parse() is None


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"coreHour": -1}, "prices.coreHour"),
        ({"gibHour": "free"}, "prices.gibHour"),
        ({"gpuHour": float("nan")}, "prices.gpuHour"),
        ({"coreHour": 1, "currency": "euro"}, "prices.currency"),
        ({"coreHour": 0}, "has no price above zero"),
        ({"corehour": 1}, "coreHour"),
    ],
)
def test_nonsense_is_refused_with_its_key(prices: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.SettingsError, match=said):
        parse(**prices)
