"""A change of the server's password waits for the runs that have the old one."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from infra.registration import credential_gate, kubernetes, session
from infra.registration.credential_gate import CredentialGateProvider, wait
from infra.registration.errors import RegistrationError
from infra.registration.kubernetes import LiveObjects

PROPS = {"namespace": "flows", "secret": "prefect-api", "secret_key": "value", "deadline": 300}


class Cluster:
    """A cluster with a Secret and live Jobs, and a clock: each Job ends at its time."""

    def __init__(self, password: str | None = "user:old", **ends: float) -> None:
        self.password, self.ends, self.now, self.version = password, ends, 0.0, "1"

    def secret(self, *_: object) -> dict[str, Any] | None:
        if self.password is None:
            return None
        data = {"value": base64.b64encode(self.password.encode()).decode()}
        return {"metadata": {"uid": "u", "resourceVersion": self.version}, "data": data}

    def live_jobs(self) -> Sequence[str]:
        return tuple(job for job, end in self.ends.items() if end > self.now)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, deadline: float = 300) -> None:
        wait(self, deadline, clock=lambda: self.now, pause=self.pause)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    live = Cluster()
    monkeypatch.setattr(kubernetes, "read_secret", live.secret)
    monkeypatch.setattr(
        kubernetes.Cluster, "live_objects", lambda _: LiveObjects(jobs=tuple(live.live_jobs()), dask=())
    )
    monkeypatch.setitem(session._configuration, "prefectAuthString", "user:new")
    return live


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    result: list[str] = []
    monkeypatch.setattr(credential_gate, "log", lambda _, text: result.append(text))
    return result


def checked(olds: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = CredentialGateProvider().check(olds, dict(PROPS)).inputs
    return result


def test_an_update_waits_until_the_last_live_run_has_ended(lines: list[str]) -> None:
    cluster = Cluster(first=20, second=100)
    cluster.wait()
    assert cluster.now == 100
    assert lines == ["prefectAuthString changes: waiting up to 300 s for live runs: first, second."]


def test_runs_that_do_not_end_stop_the_update_with_their_names(lines: list[str]) -> None:
    cluster = Cluster(endless=10_000)
    with pytest.raises(RegistrationError) as caught:
        cluster.wait()
    assert cluster.now == 300
    text = str(caught.value)
    assert "prefectAuthString was not changed: 1 flow run(s) are live" in text
    assert "endless" in text
    assert "pause the work pools" in text
    assert lines


def test_nothing_waits_without_a_live_run(lines: list[str]) -> None:
    cluster = Cluster()
    cluster.wait()
    assert (cluster.now, lines) == (0, [])


def test_a_changed_password_is_an_update_of_the_gate_and_an_unchanged_one_is_not(
    cluster: Cluster, lines: list[str]
) -> None:
    cluster.password = "user:new"
    first = checked({})
    assert first["change"] == ""
    session._configuration["prefectAuthString"] = "user:newer"
    second = checked(first)
    assert second["change"] == "u/1"
    assert CredentialGateProvider().diff("id", first, second).changes
    cluster.password, cluster.version = "user:newer", "2"
    third = checked(second)
    assert not CredentialGateProvider().diff("id", second, third).changes
    assert lines == []


def test_the_state_holds_neither_password(cluster: Cluster) -> None:
    assert cluster.password not in (None, "")
    assert not [value for value in checked({}).values() if "user:" in str(value)]


def test_a_preview_names_the_live_runs(cluster: Cluster, lines: list[str]) -> None:
    cluster.ends = {"tidy-otter": 100}
    checked({})
    assert lines == ["prefectAuthString changes: the update waits up to 300 s for live runs: tidy-otter."]


def test_a_new_stack_has_nothing_to_wait_for(cluster: Cluster) -> None:
    cluster.password = None
    assert checked({})["change"] == ""


def test_an_update_and_the_first_creation_on_an_existing_stack_wait(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(credential_gate, "wait", lambda _, deadline: waits.append(deadline))
    provider = CredentialGateProvider()
    changed = checked({})
    provider.create(changed)
    provider.update("id", {**changed, "change": ""}, changed)
    assert waits == [300, 300]
    provider.update("id", changed, {**changed, "deadline": 60})
    provider.create({**changed, "change": ""})
    assert waits == [300, 300], "only the deadline has changed"
    assert cluster.ends == {}


def test_a_cluster_that_cannot_be_read_is_a_warning(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    def refuse(*_: object) -> None:
        raise RegistrationError("Could not read Secret", why="forbidden", remedy="ask")

    monkeypatch.setattr(kubernetes, "read_secret", refuse)
    assert checked({"change": "u/1"})["change"] == "u/1"
    assert "live runs are not waited for" in lines[0]
