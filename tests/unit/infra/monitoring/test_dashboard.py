"""The dashboard is a document that Grafana takes; `tests/engine/test_monitoring.py` runs its queries."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import jsonschema
import pytest

from infra import program
from infra.monitoring.dashboard import dashboard
from infra.settings import Settings
from tests.mocks import Render
from tests.unit.infra.monitoring.test_alerts import own_metrics
from tests.unit.infra.test_program import CONFIG

TEXT = {"type": "string", "minLength": 1}
PLACE = {
    "type": "object",
    "required": ["x", "y", "w", "h"],
    "additionalProperties": {"type": "integer", "minimum": 0},
}
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "templating", "time"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "title": TEXT,
        "panels": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos"],
                "properties": {"id": {"type": "integer"}, "title": TEXT, "gridPos": PLACE},
                "if": {"properties": {"type": {"const": "timeseries"}}},
                "then": {
                    "required": ["description", "datasource", "targets", "fieldConfig"],
                    "properties": {
                        "description": TEXT,
                        "targets": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["refId", "expr", "legendFormat", "datasource"],
                                "properties": {"refId": {"pattern": "^[A-Z]$"}, "expr": TEXT, "legendFormat": TEXT},
                            },
                        },
                    },
                },
                "else": {"properties": {"type": {"const": "row"}}},
            },
        },
    },
}
"""What Grafana needs of its JSON model."""


def made(**values: Any) -> dict[str, Any]:
    image = {"builder": "docker-build", "registry": "r"}
    return dashboard(Settings.model_validate({"image": image, **values}, by_alias=True))


def test_grafana_can_read_it() -> None:
    jsonschema.validate(json.loads(json.dumps(made())), SCHEMA)


def test_no_two_panels_have_one_id_or_overlap_and_all_are_within_the_24_columns() -> None:
    panels = made(results={"store": "volume"})["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
        for p in (panel["gridPos"] for panel in panels)
    ]
    assert all(not first & second for first, second in itertools.combinations(cells, 2))
    assert all(x < 24 for cell in cells for x, _ in cell)


def test_each_query_is_about_the_stacks_own_namespaces_and_metrics_that_there_are() -> None:
    panels = made(namespace="mine")["panels"]
    for query in (each["expr"] for panel in panels for each in panel.get("targets", ())):
        assert set(re.findall(r'namespace="([^"]+)"', query)) <= {"mine", "mine-runs"}
        assert len(re.findall("namespace=", query)) == len(re.findall(r"\{", query))
        assert set(re.findall(r"\b(ephemeral_dask_\w+)\{", query)) <= own_metrics()


def test_two_stacks_of_a_grafana_have_dashboards_of_their_own() -> None:
    assert made(namespace="one")["uid"] != made(namespace="two")["uid"]


@pytest.mark.parametrize("switched_on", [True, False])
def test_it_is_a_config_map_for_the_sidecar_only_where_it_is_switched_on(
    render: Render, monkeypatch: pytest.MonkeyPatch, *, switched_on: bool
) -> None:
    monkeypatch.setattr("pulumi.export", lambda *_: None)
    recorder = render(program.deploy, {**CONFIG, "monitoring": {"dashboard": switched_on}})
    maps = [each for each in recorder.of("v1:ConfigMap") if "dashboard" in each["metadata"]["name"]]
    assert len(maps) == switched_on
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        [(file, text)] = each["data"].items()
        assert file.endswith(".json")
        jsonschema.validate(json.loads(text), SCHEMA)
    assert not recorder.of(":PodMonitor")
    assert not recorder.of(":PrometheusRule")
