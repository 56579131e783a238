"""Monitors select pods and ports that there are, and the network lets Prometheus in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ephemeral_dask.contract import ports
from infra import naming, program
from infra.components import network_policies
from infra.components.network_policies import NetworkPoliciesArgs
from infra.monitoring.monitors import pod_monitors, service_monitors
from infra.settings import Network, Settings
from tests.mocks import Render
from tests.unit.infra.test_program import CONFIG

IMAGE = {"builder": "docker-build", "registry": "r"}
DASK: Mapping[str, Mapping[str, int]] = {
    "scheduler": {"http-metrics": ports.SCHEDULER_METRICS, "http-dashboard": ports.SCHEDULER_HTTP},
    "worker": {"http-dashboard": ports.WORKER_HTTP},
}
"""The named ports of the pods of a Dask cluster; tests of `ephemeral_dask.spec` hold them."""


def settings(**monitoring: Any) -> Settings:
    return Settings.model_validate({"image": IMAGE, "monitoring": {"monitors": True, **monitoring}}, by_alias=True)


def test_dask_pods_are_scraped_where_the_network_lets_prometheus_in_and_on_no_other_port() -> None:
    stack = settings()
    args = NetworkPoliciesArgs(
        names=stack.namespaces, network=Network(metrics_clients=("monitoring",)), api_server=(), embedded=True
    )
    policies = network_policies.specs(args).runs
    for component, named in DASK.items():
        spec = pod_monitors(stack)[f"dask-{component}"]
        assert spec["namespaceSelector"] == {"matchNames": ["flows-runs"]}
        assert spec["selector"] == policies[f"dask-{component}"]["podSelector"]
        [endpoint] = spec["podMetricsEndpoints"]
        client = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        opened = [rule for rule in policies[f"dask-{component}"]["ingress"] if client in rule["from"]]
        assert [port["port"] for rule in opened for port in rule["ports"]] == [named[endpoint["port"]]]


def test_the_reaper_is_selected_by_its_labels_on_the_port_that_it_names(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, "monitoring": {"monitors": True, "labels": {"release": "p"}}})
    [reaper] = [each for each in recorder.of("apps/v1:Deployment") if each["metadata"]["name"] == naming.REAPER]
    [spec] = [each["spec"] for each in recorder.of(":PodMonitor") if each["metadata"]["name"].endswith("dask-reaper")]
    assert spec["selector"]["matchLabels"].items() <= reaper["spec"]["template"]["metadata"]["labels"].items()
    named = {
        port["name"]: port["containerPort"] for port in reaper["spec"]["template"]["spec"]["containers"][0]["ports"]
    }
    assert named[spec["podMetricsEndpoints"][0]["port"]] == ports.REAPER_HTTP
    # The labels by which Prometheus selects objects.
    assert {each["metadata"]["labels"]["release"] for each in recorder.of(":PodMonitor")} == {"p"}


def test_a_scrape_of_the_reaper_has_time_for_an_api_that_does_not_answer() -> None:
    [endpoint] = pod_monitors(settings())[naming.REAPER]["podMetricsEndpoints"]
    seconds = {key: int(endpoint[key].removesuffix("s")) for key in ("interval", "scrapeTimeout")}
    # Ten for each of two APIs; Prometheus refuses a timeout above the interval.
    assert 20 < seconds["scrapeTimeout"] <= seconds["interval"]


def test_the_server_is_scraped_only_with_a_secret_which_the_object_names(render: Render) -> None:
    assert service_monitors(settings()) == {}
    login = {"monitors": True, "serverSecret": "prometheus-login"}
    [endpoint] = service_monitors(settings(**login))[naming.SERVER]["endpoints"]
    assert endpoint["basicAuth"]["password"] == {"name": "prometheus-login", "key": "password"}
    recorder = render(program.deploy, {**CONFIG, "monitoring": login})
    [service] = [each for each in recorder.of("v1:Service") if each["metadata"]["name"] == naming.SERVER]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert "'PREFECT_SERVER_METRICS_ENABLED'" in str(recorder.of("apps/v1:Deployment"))
    assert "PREFECT_SERVER_METRICS_ENABLED" not in str(render(program.deploy, CONFIG).of("apps/v1:Deployment"))


@pytest.fixture(autouse=True)
def no_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi.export", lambda *_: None)
