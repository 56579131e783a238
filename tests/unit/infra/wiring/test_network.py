from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pulumi
import pytest

from infra.settings import Settings
from infra.wiring import network
from tests.mocks import Render

IMAGE = {"builder": "docker-build", "registry": "r"}
LIVE = [{"cidr": "192.0.2.1/32", "ports": [6443.0]}]
POSTGRESQL = {"mode": "embedded", "database": {"kind": "postgresql"}}


def rendered(render: Render, live: Any, **values: Any) -> dict[str, Any]:
    """Return the specs of both namespaces for what the preflight has read."""
    settings = Settings.model_validate({"image": IMAGE, **values}, by_alias=True)
    specs: dict[str, Any] = {}

    def build() -> None:
        policies = network.policies(settings, Mock(api_server=pulumi.Output.from_input(live)))
        for name, spec in {**policies.platform, **policies.runs}.items():
            pulumi.Output.from_input(spec).apply(lambda value, name=name: specs.update({name: value}))

    render(build)
    return specs


def reached(spec: Any) -> set[tuple[str, int]]:
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in spec.get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }


@pytest.mark.parametrize("name", ["prefect-worker", "dask-operator", "dask-reaper", "flow-run"])
def test_pods_that_call_the_api_server_reach_the_address_that_the_preflight_has_read(render: Render, name: str) -> None:
    [(cidr, port)] = reached(rendered(render, LIVE)[name])
    assert (cidr, port) == ("192.0.2.1/32", 6443)
    # Kubernetes takes no 6443.0.
    assert isinstance(port, int)


@pytest.mark.parametrize(("family", "anywhere"), [("IPv4", "0.0.0.0/0"), ("IPv6", "::/0")])
@pytest.mark.parametrize("live", [None, []])
def test_an_address_that_is_not_known_is_any_of_the_pods_family(
    render: Render, live: Any, family: str, anywhere: str
) -> None:
    specs = rendered(render, live, network={"ipFamily": family})
    assert reached(specs["flow-run"]) == {(anywhere, 443), (anywhere, 6443)}


def test_the_address_of_the_stack_file_is_taken_as_it_is(render: Render) -> None:
    written = {"apiServer": [{"cidr": "10.0.0.0/28", "ports": [443]}]}
    assert reached(rendered(render, LIVE, network=written)["flow-run"]) == {("10.0.0.0/28", 443)}


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ({}, True),
        ({"policies": False}, False),
        ({"apiServer": [{"cidr": "10.0.0.1/32", "ports": [443]}]}, False),
    ],
)
def test_the_cluster_is_asked_only_when_a_policy_needs_the_answer(values: dict[str, Any], *, read: bool) -> None:
    settings = Settings.model_validate({"image": IMAGE, "network": values}, by_alias=True)
    assert network.reads_api_server(settings.network) is read


@pytest.mark.parametrize(
    ("prefect", "opened"),
    [
        ({"mode": "embedded"}, False),
        ({"mode": "embedded", "redis": {}}, True),
        (POSTGRESQL, True),
    ],
)
def test_a_database_is_opened_only_for_a_server_that_has_one_on_the_network(
    render: Render, prefect: dict[str, Any], *, opened: bool
) -> None:
    assert bool(reached(rendered(render, LIVE, prefect=prefect)["prefect-server"])) is opened
