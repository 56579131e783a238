"""etcd as the local cluster and the control plane of these tests start it."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.engine.control_plane import started
from tests.support.scratch_prefect import free_port
from tools import toolchain
from tools.cluster import components, pki, programs
from tools.cluster.layout import Layout, Port, Ports

ENCRYPTED: Final = ("--client-cert-auth", "--peer-client-cert-auth", "--trusted-ca", "--cert", "--key", "--peer-")


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    ports = Ports(*(Port(free_port(), field.name) for field in dataclasses.fields(Ports)))
    place = Layout(root=tmp_path / "cluster", ports=ports)
    for folder in (place.logs, place.etcd):
        folder.mkdir(parents=True, mode=0o700)
    pki.ensure(place.pki, components.certificates("localhost"))
    pki.ensure(place.etcd_pki, components.etcd_certificates(), tokens=False)
    return place


@contextmanager
def etcd(place: Layout, *, plain: bool = False) -> Iterator[str]:
    """Run etcd and give the address for clients; in clear text as an earlier version did, if asked to."""
    [part] = [each for each in components.components(place, helper_image="") if each.name == "etcd"]
    program = programs.find(toolchain.ensure(("etcd",)).values(), ("etcd",))["etcd"]
    arguments = list(part.argv[1:])
    url = f"https://127.0.0.1:{place.ports.etcd.number}"
    ready = part.ready
    if plain:
        arguments = [each.replace("https://", "http://") for each in arguments if not each.startswith(ENCRYPTED)]
        url = url.replace("https://", "http://")
        ready = lambda: components.http_ok(place.ports.etcd.number, "/health")  # noqa: E731
    part = dataclasses.replace(part, argv=(str(program), *arguments), ready=ready)
    with started(part, place.log("etcd")):
        yield url


def version(url: str, authority: Path, client: Path | None) -> str:
    """Ask for the version, over TLS."""
    context = ssl.create_default_context(cafile=str(authority))
    if client:
        context.load_cert_chain(client, client.with_suffix(".key"))
    return httpx.get(f"{url}/version", verify=context, trust_env=False).text


def test_only_the_api_servers_certificate_opens_etcd(place: Layout) -> None:
    with etcd(place) as url:
        authority = place.etcd_pki / "ca.crt"
        assert "etcdserver" in version(url, authority, place.etcd_pki / "client.crt")
        # No certificate, and that of the cluster's administrator.
        for client in (None, place.pki / "admin.crt"):
            with pytest.raises(httpx.TransportError):
                version(url, authority, client)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url.replace('https', 'http')}/version", trust_env=False).raise_for_status()


def test_the_data_of_an_etcd_without_tls_is_taken_over(place: Layout) -> None:
    body = {"key": "a2V5", "value": "dmFsdWU="}
    with etcd(place, plain=True) as url:
        httpx.post(f"{url}/v3/kv/put", json=body, trust_env=False).raise_for_status()
    with etcd(place) as url:
        context = ssl.create_default_context(cafile=str(place.etcd_pki / "ca.crt"))
        context.load_cert_chain(place.etcd_pki / "client.crt", place.etcd_pki / "client.key")
        answer = httpx.post(f"{url}/v3/kv/range", json={"key": body["key"]}, verify=context, trust_env=False)
        assert answer.json()["kvs"][0]["value"] == body["value"]
