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

REACHES: list[ApiEndpoint] = [
    Url(url="http://prefect.test/api"),
    Url(url="http://prefect.test/api", auth="api-key"),
    PortForward(namespace="flows", service="prefect-server"),
    PortForward(namespace="flows", service="prefect-server", port=80, context="kind", auth="auth-string"),
]
OWN_SERVER = REACHES[2]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_configuration", {})
    for variable, _ in CREDENTIALS.values():
        monkeypatch.delenv(variable, raising=False)


def _configure(**values: str) -> None:
    config = {f"project:{name}": value for name, value in values.items()}
    session.configure(ConfigureRequest(Config(config, "project")))


@pytest.mark.parametrize("endpoint", REACHES)
def test_a_reach_survives_as_properties(endpoint: Any) -> None:
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


def test_the_environment_wins_because_destroy_gets_the_configuration_of_yesterday(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _configure(prefectApiKey="old")
    monkeypatch.setenv("PREFECT_API_KEY", "new")
    assert session._headers("api-key") == {"Authorization": "Bearer new"}


def test_a_credential_that_the_api_does_not_ask_for_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "of-another-server")
    assert session._headers("none") == {}


def test_a_missing_credential_is_a_sentence_with_the_command() -> None:
    with pytest.raises(RegistrationError, match="pulumi config set --secret prefectAuthString"):
        session._headers("auth-string")


def test_the_same_reach_shares_one_api_and_another_does_not() -> None:
    first = session.api({"reach": to_props(REACHES[0])})
    assert session.api({"reach": to_props(REACHES[0])}) is first
    assert session.api({"reach": to_props(REACHES[2])}) is not first


def _silent(error: Exception, monkeypatch: pytest.MonkeyPatch, endpoint: ApiEndpoint = REACHES[0]) -> dict[str, Any]:
    def find(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(WorkPoolProvider, "get", find)
    args = WorkPoolArgs(endpoint=endpoint, name="pool", base_job_template={"job_configuration": {}})
    return inputs(args, "project/dev/pool")


def test_a_silent_server_leaves_the_state_as_it_is_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    props = _silent(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    read = WorkPoolProvider().read("pool", props)
    assert (read.id, read.outs, read.inputs) == ("pool", props, None)
    assert "warning: Prefect work pool 'pool' was not compared" in capsys.readouterr().err


def test_a_credential_that_the_server_does_not_know_yet_does_not_stop_the_update_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = RegistrationError("Could not", why="401 Unauthorized", remedy="check the credentials", status=401)
    props = _silent(refused, monkeypatch, OWN_SERVER)
    read = WorkPoolProvider().read("pool", props)
    assert (read.id, read.outs, read.inputs) == ("pool", props, None)
    assert "check the credentials" in capsys.readouterr().err


@pytest.mark.parametrize("endpoint", [REACHES[0], OWN_SERVER])
def test_any_other_refusal_stops_a_refresh(monkeypatch: pytest.MonkeyPatch, endpoint: ApiEndpoint) -> None:
    props = _silent(
        RegistrationError("Could not", why="403 Forbidden", remedy="ask", status=403), monkeypatch, endpoint
    )
    with pytest.raises(RegistrationError, match="403"):
        WorkPoolProvider().read("pool", props)


def test_a_wrong_credential_of_a_server_that_is_not_the_stacks_stops_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = RegistrationError("Could not", why="401 Unauthorized", remedy="check the credentials", status=401)
    with pytest.raises(RegistrationError, match="check the credentials"):
        WorkPoolProvider().read("pool", _silent(refused, monkeypatch))


def test_a_server_that_is_gone_took_its_objects_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    props = _silent(GoneError("Could not", why="gone", remedy="none"), monkeypatch)
    assert WorkPoolProvider().read("pool", props).id is None
    WorkPoolProvider().delete("pool", props)
    assert "warning: Prefect work pool 'pool' went with its server" in capsys.readouterr().err


def test_a_preview_goes_on_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    props = _silent(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    assert WorkPoolProvider().check({}, props).failures == []


def test_deleting_at_a_silent_server_is_an_error_with_the_way_to_forget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    props = _silent(UnreachableError("Could not", why="silence", remedy="wait"), monkeypatch)
    with pytest.raises(UnreachableError, match="pulumi state delete"):
        WorkPoolProvider().delete("pool", props)
