from __future__ import annotations

from typing import Any

import pytest

from infra import settings

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
CLOUD = {"mode": "cloud", "apiUrl": "https://api.example.com/api"}


def parse(monitoring: Any, **more: Any) -> settings.Monitoring:
    return settings.parse({"image": IMAGE, "monitoring": monitoring, **more}, stack="dev").monitoring


def test_a_stack_has_nothing_for_prometheus_unless_it_says_so() -> None:
    assert parse({}).kinds == ()
    assert not parse({}).dashboard


@pytest.mark.parametrize(
    ("monitoring", "kinds"),
    [
        ({"monitors": True}, ("PodMonitor",)),
        ({"alerts": True, "dashboard": True}, ("PrometheusRule",)),
        ({"monitors": True, "serverSecret": "login"}, ("PodMonitor", "ServiceMonitor")),
        ({"dashboard": True}, ()),
    ],
)
def test_the_kinds_that_the_cluster_needs_are_those_of_the_objects(monitoring: Any, kinds: tuple[str, ...]) -> None:
    assert parse(monitoring).kinds == kinds


@pytest.mark.parametrize(
    ("monitoring", "more", "said"),
    [
        ({"serverSecret": "login"}, {}, "monitors is false"),
        ({"monitors": True, "serverSecret": "login"}, {"prefect": CLOUD}, "prefect.mode is cloud"),
        ({"monitors": True, "serverSecret": "Log In"}, {}, "monitoring.serverSecret"),
        ({"labels": {"release": "my prometheus"}}, {}, "monitoring.labels"),
        ({"runbooks": "docs/operate.md"}, {}, "monitoring.runbooks"),
        ({"podLogs": "https://logs.example.com/{namespace}"}, {}, "must contain {pod}"),
        ({"alert": True}, {}, "did you mean 'alerts'"),
    ],
)
def test_nonsense_is_refused_with_its_key(monitoring: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.SettingsError, match=said):
        parse(monitoring, **more)
