from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from infra.registration import kubernetes
from infra.registration.errors import RegistrationError, UnreachableError
from infra.registration.exact_access import ExactAccessProvider

READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
CLOSED = {"podSelector": {}, "policyTypes": ["Ingress"]}
OPEN = {**CLOSED, "ingress": [{}]}
DECLARED = {"namespace": "flows", "Role/worker": [READ], "NetworkPolicy/default-deny": CLOSED}


class FakeCluster:
    """A namespace with objects that allow something."""

    live: dict[str, Any]
    written: list[dict[str, Any]]
    silent: RegistrationError | None

    def __init__(self, namespace: str, context: str | None) -> None:
        assert (namespace, context) == ("flows", None)

    def access(self, names: Iterable[str]) -> dict[str, Any]:
        if self.silent is not None:
            raise self.silent
        return {name: self.live[name] for name in names if name in self.live}

    def set_access(self, wanted: Mapping[str, Any]) -> None:
        self.written.append(dict(wanted))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCluster]:
    FakeCluster.live = {"Role/worker": [READ], "NetworkPolicy/default-deny": CLOSED}
    FakeCluster.written, FakeCluster.silent = [], None
    monkeypatch.setattr(kubernetes, "Cluster", FakeCluster)
    return FakeCluster


def changed(live: Mapping[str, Any]) -> bool:
    return bool(ExactAccessProvider().diff("flows", dict(live), dict(DECLARED)).changes)


def test_what_is_as_declared_is_no_drift() -> None:
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert (read.id, read.outs, read.inputs) == ("flows", DECLARED, DECLARED)
    assert not changed(read.outs or {})


@pytest.mark.parametrize(("name", "live"), [("Role/worker", [READ, EVERYTHING]), ("NetworkPolicy/default-deny", OPEN)])
def test_what_was_added_is_drift_and_just_that_is_taken_back(name: str, live: Any, fake: type[FakeCluster]) -> None:
    fake.live[name] = live
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert read.outs == read.inputs == {**DECLARED, name: live}
    assert changed(read.outs or {})
    ExactAccessProvider().update("flows", read.outs or {}, dict(DECLARED))
    assert fake.written == [{name: DECLARED[name]}]


def test_what_is_missing_is_left_to_the_resource_that_makes_it(fake: type[FakeCluster]) -> None:
    del fake.live["Role/worker"]
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert read.outs == DECLARED
    ExactAccessProvider().create(dict(DECLARED))
    assert fake.written == [{}]


@pytest.mark.parametrize("kind", [UnreachableError, RegistrationError])
def test_who_may_not_look_is_told_and_refreshes_the_rest(
    kind: type[RegistrationError], fake: type[FakeCluster], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.silent = kind("Could not look", why="roles is forbidden", remedy="ask for it")
    assert ExactAccessProvider().read("flows", dict(DECLARED)).outs == DECLARED
    assert "were not compared with the live ones. Could not look: roles is forbidden" in capsys.readouterr().err
