"""The login of a registry, with a transport instead of one."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest

from tools.registry_login import RegistryAuth

CHALLENGE = 'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:library/python:pull"'
LOGIN = base64.b64encode(b"me:word").decode()


class Servers:
    """A registry and what hands out its tokens; both record what they are sent."""

    def __init__(self, challenge: str) -> None:
        self.challenge = challenge
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.host == "auth.example.com":
            return httpx.Response(200, json={"token": "short-lived"})
        if request.headers.get("Authorization") in ("Bearer short-lived", f"Basic {LOGIN}"):
            return httpx.Response(200, content=b"manifest")
        return httpx.Response(401, headers={"WWW-Authenticate": self.challenge})


def ask(servers: Servers, host: str = "registry-1.docker.io") -> int:
    with httpx.Client(transport=httpx.MockTransport(servers), auth=RegistryAuth()) as client:
        return client.get(f"https://{host}/v2/library/python/manifests/3.11").status_code


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_a_registry_that_asks_for_a_token_gets_the_one_that_it_hands_out_to_all() -> None:
    servers = Servers(CHALLENGE)
    assert ask(servers) == 200
    _, token, _ = servers.requests
    assert dict(token.url.params) == {"service": "registry", "scope": "repository:library/python:pull"}
    assert "Authorization" not in token.headers


def test_a_stored_login_goes_to_its_own_registry_only(docker: Path) -> None:
    docker.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": LOGIN}}}))
    servers = Servers(CHALLENGE)
    assert ask(servers) == 200
    assert servers.requests[1].headers["Authorization"] == f"Basic {LOGIN}"
    other = Servers(CHALLENGE)
    ask(other, "registry.example.com")
    assert all(LOGIN not in str(each.headers) for each in other.requests)


def test_a_registry_with_passwords_gets_the_stored_one(docker: Path) -> None:
    servers = Servers('Basic realm="registry"')
    assert ask(servers, "registry.example.com") == 401
    docker.write_text(json.dumps({"auths": {"registry.example.com": {"auth": LOGIN}}}))
    assert ask(servers, "registry.example.com") == 200


@pytest.mark.parametrize("challenge", ["", "Negotiate", 'Bearer realm="http://auth.example.com/token"'])
def test_an_unknown_kind_of_login_and_one_in_clear_text_are_left_alone(challenge: str) -> None:
    servers = Servers(challenge)
    assert ask(servers) == 401
    assert len(servers.requests) == 1


def test_a_broken_configuration_of_docker_has_no_login(docker: Path) -> None:
    docker.write_text("{")
    assert ask(Servers(CHALLENGE)) == 200
