from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from infra.registration import api_server
from infra.registration.api_server import ApiServer, addresses, look_up
from infra.registration.errors import RegistrationError, UnreachableError

SERVICE = {"spec": {"clusterIPs": ["10.96.0.1"], "ports": [{"port": 443, "targetPort": 6443}]}}
LAST = ({"cidr": "192.0.2.9/32", "ports": [443]},)


def endpoints(*hosts: str, port: int = 6443, family: str = "IPv4", ready: bool = True) -> dict[str, Any]:
    return {
        "addressType": family,
        "endpoints": [{"addresses": [host], "conditions": {"ready": ready}} for host in hosts],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


@pytest.mark.parametrize(
    ("slices", "service", "peers"),
    [
        (
            [endpoints("192.0.2.2", "192.0.2.1")],
            SERVICE,
            [("10.96.0.1/32", [443]), ("192.0.2.1/32", [6443]), ("192.0.2.2/32", [6443])],
        ),
        # One that restarts comes back.
        ([endpoints("192.0.2.1", ready=False)], None, [("192.0.2.1/32", [6443])]),
        ([endpoints("2001:db8::1", family="IPv6")], None, [("2001:db8::1/128", [6443])]),
        ([endpoints("192.0.2.1", port=443), endpoints("192.0.2.1")], None, [("192.0.2.1/32", [443, 6443])]),
        # Without an endpoint there is nothing that a policy could open.
        ([endpoints()], SERVICE, []),
        ([endpoints("api.example.com", family="FQDN")], SERVICE, []),
        ([{"addressType": "IPv4", "endpoints": None, "ports": None}], SERVICE, []),
        ([], SERVICE, []),
    ],
)
def test_the_addresses_are_those_of_the_endpoints_and_of_the_service(
    slices: list[dict[str, Any]], service: Any, peers: list[tuple[str, list[int]]]
) -> None:
    assert [(each["cidr"], each["ports"]) for each in addresses(slices, service)] == peers


def looked_up(monkeypatch: pytest.MonkeyPatch, slices: Any, last: Sequence[Any] = ()) -> ApiServer:
    async def call(_api: Any, method: str, **options: Any) -> Any:
        assert (method, options["namespace"]) == ("GET", "default")
        if options["url"] == "services/kubernetes":
            return SERVICE
        assert (options["version"], options["url"]) == ("discovery.k8s.io/v1", "endpointslices")
        assert options["params"] == {"labelSelector": "kubernetes.io/service-name=kubernetes"}
        if isinstance(slices, Exception):
            raise slices
        return slices

    monkeypatch.setattr(api_server, "call", call)
    monkeypatch.setattr(api_server, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return look_up(None, last=last)


def test_what_the_cluster_says_replaces_what_it_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    live = looked_up(monkeypatch, {"items": [endpoints("192.0.2.1")]}, LAST)
    assert [each["cidr"] for each in live.peers] == ["10.96.0.1/32", "192.0.2.1/32"]
    assert live.warnings == ()


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        (RegistrationError("Could not look", why="forbidden", remedy="ask"), "Could not look"),
        (UnreachableError("Could not look", why="no answer", remedy="ask"), "Could not look"),
        ({"items": []}, "its Service has no endpoint"),
        # A Kubernetes without EndpointSlices.
        (None, "its Service has no endpoint"),
    ],
)
def test_addresses_that_cannot_be_read_stay_as_they_were_with_a_sentence_about_it(
    monkeypatch: pytest.MonkeyPatch, slices: Any, why: str
) -> None:
    kept, unknown = looked_up(monkeypatch, slices, LAST), looked_up(monkeypatch, slices)
    assert (kept.peers, unknown.peers) == (LAST, ())
    [text] = kept.warnings
    assert text.startswith(f"The addresses of the API server could not be read: {why}")
    assert "keep the addresses of the last update. Give this user the right" in text
    assert text.endswith("or set network.apiServer.")
    assert "connect to any address on 443 and 6443" in unknown.warnings[0]
