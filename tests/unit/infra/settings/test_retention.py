from __future__ import annotations

from datetime import timedelta

import pytest
from prefect.settings import get_current_settings
from prefect.settings.models.root import Settings as PrefectSettings

from infra import settings
from infra.settings.retention import Retention


@pytest.fixture
def server_settings(monkeypatch: pytest.MonkeyPatch) -> PrefectSettings:
    """Return the settings that Prefect reads from the default environment."""
    for name, value in Retention().environment().items():
        monkeypatch.setenv(name, value)
    return PrefectSettings()


def test_prefect_deletes_runs_after_90_days_and_events_after_7_by_default(server_settings: PrefectSettings) -> None:
    vacuum = server_settings.server.services.db_vacuum
    assert vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert vacuum.retention_period == timedelta(days=90)
    assert server_settings.server.events.retention_period == timedelta(days=7)


def test_without_the_setting_prefect_would_never_delete_a_run() -> None:
    assert "flow_runs" not in get_current_settings().server.services.db_vacuum.enabled_vacuum_types


def test_null_keeps_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Retention(run_days=None, event_days=30).environment().items():
        monkeypatch.setenv(name, value)
    server = PrefectSettings().server
    assert server.services.db_vacuum.enabled_vacuum_types == {"events"}
    assert server.events.retention_period == timedelta(days=30)


@pytest.mark.parametrize("retention", [{"runDays": 0}, {"eventDays": 0}, {"eventDays": None}])
def test_a_retention_that_deletes_at_once_or_never_by_accident_is_refused(retention: dict[str, int | None]) -> None:
    prefect = {"mode": "embedded", "retention": retention}
    with pytest.raises(settings.SettingsError, match=next(iter(retention))):
        settings.parse({"image": {"builder": "docker-build", "registry": "r"}, "prefect": prefect}, stack="dev")
