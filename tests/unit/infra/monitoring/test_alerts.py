"""Alerts are about metrics that there are, and each has a section in docs/operate.md."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.monitoring.alerts import PAGE, alerts, prometheus_rule
from infra.settings import Settings
from ops.judgement import Bounds
from ops.metrics import Metrics
from tools.paths import ROOT

IMAGE = {"builder": "docker-build", "registry": "r"}
CLOUD = {"mode": "cloud", "apiUrl": "https://api.example.com/api"}


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"image": IMAGE, **values}, by_alias=True)


def rules(stack: Settings) -> dict[str, Any]:
    [group] = prometheus_rule(stack)["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def own_metrics() -> set[str]:
    """Return the names of the reaper's series."""
    registry = Metrics({"dask": Bounds(pending_timeout=1, crashed_after=None)}).registry
    metrics = list(registry.collect())
    return {each.name for each in metrics} | {sample.name for each in metrics for sample in each.samples}


def test_every_alert_says_what_it_means_how_grave_it_is_and_where_the_remedy_is() -> None:
    for name, rule in rules(settings()).items():
        assert rule["for"] != "0m"
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["description"].endswith(".")


def test_every_alert_has_a_section_that_says_what_to_do() -> None:
    headings = re.findall(r"^### (.*)$", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    for name, rule in rules(settings()).items():
        assert f"`{name}`" in headings
        assert rule["annotations"]["runbook"] == f"{PAGE}#{name.lower()}"
    sections = [each.strip("`") for each in headings if each.startswith("`EphemeralDask")]
    assert sorted(sections) == sorted(rules(settings()))


def test_an_alert_links_to_the_page_of_the_team() -> None:
    stack = settings(monitoring={"alerts": True, "runbooks": "https://git.example.com/flows/docs/operate.md"})
    link = rules(stack)["EphemeralDaskRunsQueue"]["annotations"]["runbook_url"]
    assert link == "https://git.example.com/flows/docs/operate.md#ephemeraldaskrunsqueue"


@pytest.mark.parametrize("name", [alert.name for alert in alerts(settings())])
def test_an_alert_is_about_a_metric_of_the_reaper_or_of_kubelets_in_the_stacks_own_namespaces(name: str) -> None:
    [alert] = [each for each in alerts(settings(namespace="mine", results={"store": "volume"})) if each.name == name]
    used = set(re.findall(r"\b(ephemeral_dask_\w+|kubelet_\w+)\{", alert.expr))
    assert used
    assert {metric for metric in used if metric.startswith("ephemeral_dask_")} <= own_metrics()
    namespaces = set(re.findall(r'namespace="([^"]+)"', alert.expr))
    # Another stack of the cluster has alerts of its own.
    assert namespaces <= {"mine", "mine-runs"}
    assert len(re.findall(r"namespace=", alert.expr)) == len(re.findall(r"\{", alert.expr))


def test_a_stack_without_a_volume_has_no_alert_about_one() -> None:
    assert "EphemeralDaskVolumeFilling" in rules(settings())
    assert "EphemeralDaskVolumeFilling" not in rules(settings(prefect=CLOUD))
    claim = rules(settings(prefect=CLOUD, results={"store": "volume", "existingClaim": "shared"}))
    assert 'persistentvolumeclaim="shared"' in claim["EphemeralDaskVolumeFilling"]["expr"]
