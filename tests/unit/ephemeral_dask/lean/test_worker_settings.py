from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect.context import SettingsContext, get_settings_context, hydrated_context
from prefect.settings import Settings

from ephemeral_dask.lean.worker_settings import sources


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prefect_still_makes_the_settings_again_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Settings] = []
    read = Settings.settings_customise_sources.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Settings], *args: object, **options: object) -> object:
        made.append(cls)  # type: ignore[arg-type]
        return read(cls, *args, **options)

    monkeypatch.setattr(Settings, "settings_customise_sources", classmethod(counted))
    written = {"settings_context": get_settings_context().serialize()}
    for _ in range(2):
        with hydrated_context(written, client=object()):  # type: ignore[arg-type]  # none is used
            assert SettingsContext.get() is not None
    assert len(made) >= 2


def test_the_sources_stay_the_same_while_nothing_changes() -> None:
    assert sources("profiles.toml") == sources("profiles.toml")


@pytest.mark.parametrize("name", [".env", "prefect.toml", "pyproject.toml", "profiles.toml"])
def test_a_file_that_appears_or_changes_is_another_source(name: str, elsewhere: Path) -> None:
    without = sources("profiles.toml")
    (elsewhere / name).write_text("a")
    first = sources("profiles.toml")
    (elsewhere / name).write_text("longer")
    assert len({without, first, sources("profiles.toml")}) == 3


def test_a_variable_of_prefect_is_a_source_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources(None)
    monkeypatch.setitem(os.environ, "SOMETHING_ELSE", "1")
    assert sources(None) == before
    monkeypatch.setitem(os.environ, "prefect_logging_level", "DEBUG")
    assert sources(None) != before
