"""What the images say, and that each workaround in them is still needed."""

from __future__ import annotations

import re
from zoneinfo import reset_tzpath

import pytest
from prefect.server.schemas.schedules import CronSchedule
from uvicorn import Config

from tools.paths import ROOT


def test_the_server_still_lists_all_timezones_for_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def listed() -> set[str]:
        asked.append(True)
        return {"UTC"}

    monkeypatch.setattr("prefect.types._datetime.available_timezones", listed)
    for _ in range(3):
        CronSchedule(cron="0 3 * * *", timezone="UTC")
    assert len(asked) >= 3, "delete PYTHONTZPATH from the Dockerfile and from benchmarks/server.py"


def test_without_a_system_folder_the_timezones_are_those_of_the_tzdata_package() -> None:
    assert "PYTHONTZPATH=\n" in (ROOT / "Dockerfile").read_text()
    try:
        reset_tzpath(())
        assert CronSchedule(cron="0 3 * * *", timezone="Europe/Berlin").timezone == "Europe/Berlin"
    finally:
        reset_tzpath()


def test_the_server_runs_on_the_event_loop_that_the_platform_image_adds() -> None:
    assert re.search(r"^uvloop==", (ROOT / "requirements" / "platform.txt").read_text(), re.MULTILINE)
    factory = Config("prefect's own leaves the choice to uvicorn").get_loop_factory()
    assert factory is not None
    assert factory.__module__ == "uvloop"


def test_every_secret_of_a_build_is_mounted_where_no_layer_keeps_it_and_may_be_missing() -> None:
    mounts = re.findall(r"--mount=type=secret,(\S+)", (ROOT / "Dockerfile").read_text())
    assert {re.sub(r"id=(\w+),.*", r"\1", each) for each in mounts} == {"ca", "netrc"}
    assert all(",target=/run/" in each and each.endswith(",required=false") for each in mounts)
