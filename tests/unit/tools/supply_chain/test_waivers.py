from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tools.errors import Problem
from tools.supply_chain import waivers
from tools.supply_chain.waivers import Waiver

TODAY = date(2027, 1, 1)
REASON = "the parser is only given files of this project"
GOOD = f'[[waiver]]\nid = "GHSA-1"\npackage = "example"\nreason = "{REASON}"\nexpires = 2027-02-01\n'


def test_the_projects_own_waivers_are_well_formed_and_hold_today() -> None:
    waivers.read(today=datetime.now(UTC).date())


def test_a_waiver_holds_to_its_last_day(tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(GOOD)
    expected = Waiver(id="GHSA-1", package="example", reason=REASON, expires=date(2027, 2, 1))
    for day in (TODAY, expected.expires):
        assert waivers.read(tmp_path / "waivers.toml", today=day) == (expected,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("2027-02-01", "2026-12-31"), "waiver 1: GHSA-1 of example has expired on 2026-12-31"),
        (GOOD.replace("2027-02-01", "2028-01-01"), "expires is more than 180 days ahead"),
        (GOOD.replace("2027-02-01", '"2027-02-01"'), "expires is not a date such as 2027-01-31, without quotes"),
        (GOOD.replace("2027-02-01", "2027-02-01T00:00:00"), "expires is not a date"),
        (GOOD.replace(REASON, "later"), "reason does not say why"),
        (GOOD.replace('"GHSA-1"', "1"), "id is not text"),
        (
            '[[waiver]]\nid = "GHSA-1"\n',
            "package is missing; waiver 1: reason is missing; waiver 1: expires",
        ),
        (f"{GOOD}severity = 1\n", "severity is not a key"),
        (GOOD + GOOD, "GHSA-1 of example is waived twice"),
        ("[waivers]\n", "waivers: unknown key"),
        ("[[waiver]\n", "is not valid TOML"),
    ],
)
def test_a_waiver_that_is_wrong_or_too_old_fails_the_audit(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(text)
    with pytest.raises(Problem) as caught:
        waivers.read(tmp_path / "waivers.toml", today=TODAY)
    assert sentence in str(caught.value)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(GOOD.replace("2027-02-01", "2026-12-31") + GOOD.replace(REASON, "later"))
    with pytest.raises(Problem, match=r"waiver 1: .* has expired.*waiver 2: reason"):
        waivers.read(tmp_path / "waivers.toml", today=TODAY)


def test_the_longest_waiver_ends_within_half_a_year() -> None:
    assert timedelta(days=90) < waivers.LONGEST < timedelta(days=200)
