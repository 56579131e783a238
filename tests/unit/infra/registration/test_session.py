from __future__ import annotations

import base64
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest

from infra.registration import session
from infra.registration.endpoint import ApiEndpoint, PortForward, Url, from_props, to_props
from infra.registration.errors import GoneError, RegistrationError, UnreachableError
from infra.registration.work_pool import WorkPoolArgs, WorkPoolProvider, inputs
from infra.specs.credential import CREDENTIALS

ENDPOINTS: list[ApiEndpoint] = [
    Url(url="http://prefect.test/api"),
    Url(url="http://prefect.test/api", auth="api-key"),
    PortForward(namespace="flows", service="prefect-server"),
    PortForward(namespace="flows", service="prefect-server", port=80, context="kind", auth="auth-string"),
]
OWN_SERVER = ENDPOINTS[2]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_configuration", {})
    for variable, _ in CREDENTIALS.values():
        monkeypatch.delenv(variable, raising=False)


def _configure(**values: str) -> None:
    config = {f"project:{name}": value for name, value in values.items()}
    session.configure(ConfigureRequest(Config(config, "project")))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_survives_the_engine_as_properties(endpoint: Any) -> None:
    props = to_props(endpoint)
    # The engine turns numbers into doubles.
    assert from_props({k: float(v) if isinstance(v, int) else v for k, v in props.items()}) == endpoint


def test_a_key_from_the_configuration_is_sent_as_bearer() -> None:
    _configure(prefectApiKey="k")
    assert session._headers("api-key") == {"Authorization": "Bearer k"}


def test_an_authentication_string_is_sent_as_basic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "user:word")
    expected = base64.b64encode(b"user:word").decode()
    assert session._headers("auth-string") == {"Authorization": f"Basic {expected}"}


def test_the_environment_takes_precedence_over_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _configure(prefectApiKey="old")
    monkeypatch.setenv("PREFECT_API_KEY", "new")
    assert session._headers("api-key") == {"Authorization": "Bearer new"}


def test_a_credential_that_the_api_does_not_require_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "of-another-server")
    assert session._headers("none") == {}


def test_the_error_for_a_missing_credential_names_the_command_that_sets_it() -> None:
    with pytest.raises(RegistrationError, match="pulumi config set --secret prefectAuthString"):
        session._headers("auth-string")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HTTP_PROXY", "http://user:pass/word@proxy.test", "InvalidURL"),
        ("ALL_PROXY", "ftp://user:word@proxy.test", "ValueError"),
        ("ALL_PROXY", "socks5://user:word@proxy.test", "a SOCKS proxy is not supported"),
        ("NO_PROXY", "[::1", "InvalidURL"),
        ("PREFECT_API_SSL_CERT_FILE", "/missing.pem", "FileNotFoundError"),
    ],
)
def test_a_proxy_or_certificate_of_this_machine_that_is_not_valid_is_one_sentence(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in session._CONNECTION:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    if variable == "NO_PROXY":
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.test")
    monkeypatch.setenv(variable, value)
    api = session._connect(Url(url="http://prefect.test/api"))
    with pytest.raises(RegistrationError) as caught:
        api.wait_ready()
    assert f"of this machine is not valid ({reason}); correct apiUrl or what is set of HTTP_PROXY" in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("name", ["deployment/load/eu[1]", "deployment/日本/毎日 🙂", "automation/why?*"])
def test_an_object_is_adopted_by_its_name_or_by_a_pattern(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for listed, adoptable in (([name], True), (["*/*"], True), ([f"{name}x"], False)):
        monkeypatch.setattr(session, "_adoptable", listed)
        assert session.is_adoptable(name) is adoptable


def test_equal_endpoints_share_one_api() -> None:
    first = session.api({"reach": to_props(ENDPOINTS[0])})
    assert session.api({"reach": to_props(ENDPOINTS[0])}) is first
    assert session.api({"reach": to_props(ENDPOINTS[2])}) is not first


def _failing(error: Exception, monkeypatch: pytest.MonkeyPatch, endpoint: ApiEndpoint = ENDPOINTS[0]) -> dict[str, Any]:
    def find(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(WorkPoolProvider, "get", find)
    args = WorkPoolArgs(endpoint=endpoint, name="pool", base_job_template={"job_configuration": {}})
    return inputs(args, "project/dev/pool")


def test_a_refresh_with_an_unreachable_server_warns_and_keeps_the_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    props = _failing(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    read = WorkPoolProvider().read("pool", props)
    assert (read.id, read.outs, read.inputs) == ("pool", props, None)
    assert "warning: Prefect work pool 'pool' could not be compared" in capsys.readouterr().err


def test_a_refresh_with_a_credential_that_is_not_deployed_yet_warns_and_keeps_the_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = RegistrationError("Could not", why="401 Unauthorized", remedy="check the credentials", status=401)
    props = _failing(refused, monkeypatch, OWN_SERVER)
    read = WorkPoolProvider().read("pool", props)
    assert (read.id, read.outs, read.inputs) == ("pool", props, None)
    assert "check the credentials" in capsys.readouterr().err


@pytest.mark.parametrize("endpoint", [ENDPOINTS[0], OWN_SERVER])
def test_another_refusal_fails_the_refresh(monkeypatch: pytest.MonkeyPatch, endpoint: ApiEndpoint) -> None:
    props = _failing(
        RegistrationError("Could not", why="403 Forbidden", remedy="ask", status=403), monkeypatch, endpoint
    )
    with pytest.raises(RegistrationError, match="403"):
        WorkPoolProvider().read("pool", props)


def test_a_wrong_credential_of_an_external_server_fails_the_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = RegistrationError("Could not", why="401 Unauthorized", remedy="check the credentials", status=401)
    with pytest.raises(RegistrationError, match="check the credentials"):
        WorkPoolProvider().read("pool", _failing(refused, monkeypatch))


def test_the_objects_of_a_deleted_server_are_deleted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    props = _failing(GoneError("Could not", why="gone", remedy="none"), monkeypatch)
    assert WorkPoolProvider().read("pool", props).id is None
    WorkPoolProvider().delete("pool", props)
    assert "warning: Prefect work pool 'pool' was deleted with its server" in capsys.readouterr().err


def test_a_preview_without_a_server_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    props = _failing(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    assert WorkPoolProvider().check({}, props).failures == []


def test_a_delete_with_an_unreachable_server_fails_with_the_command_for_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    props = _failing(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    with pytest.raises(UnreachableError, match="pulumi state delete"):
        WorkPoolProvider().delete("pool", props)
