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
    error: RegistrationError | None

    def __init__(self, namespace: str, context: str | None) -> None:
        assert (namespace, context) == ("flows", None)

    def access(self, names: Iterable[str]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {name: self.live[name] for name in names if name in self.live}

    def set_access(self, access: Mapping[str, Any]) -> None:
        self.written.append(dict(access))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCluster]:
    FakeCluster.live = {"Role/worker": [READ], "NetworkPolicy/default-deny": CLOSED}
    FakeCluster.written, FakeCluster.error = [], None
    monkeypatch.setattr(kubernetes, "Cluster", FakeCluster)
    return FakeCluster


def changed(live: Mapping[str, Any]) -> bool:
    return bool(ExactAccessProvider().diff("flows", dict(live), dict(DECLARED)).changes)


def test_access_as_declared_is_not_drift() -> None:
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert (read.id, read.outs, read.inputs) == ("flows", DECLARED, DECLARED)
    assert not changed(read.outs or {})


@pytest.mark.parametrize(("name", "live"), [("Role/worker", [READ, EVERYTHING]), ("NetworkPolicy/default-deny", OPEN)])
def test_added_access_is_drift_and_only_that_object_is_restored(name: str, live: Any, fake: type[FakeCluster]) -> None:
    fake.live[name] = live
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert read.outs == read.inputs == {**DECLARED, name: live}
    assert changed(read.outs or {})
    ExactAccessProvider().update("flows", read.outs or {}, dict(DECLARED))
    assert fake.written == [{name: DECLARED[name]}]


def test_a_missing_object_is_left_to_its_typed_resource(fake: type[FakeCluster]) -> None:
    del fake.live["Role/worker"]
    read = ExactAccessProvider().read("flows", dict(DECLARED))
    assert read.outs == DECLARED
    ExactAccessProvider().create(dict(DECLARED))
    assert fake.written == [{}]


@pytest.mark.parametrize("kind", [UnreachableError, RegistrationError])
def test_a_refresh_without_permission_warns_and_keeps_the_state(
    kind: type[RegistrationError], fake: type[FakeCluster], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.error = kind("Could not look", why="roles is forbidden", remedy="ask for it")
    assert ExactAccessProvider().read("flows", dict(DECLARED)).outs == DECLARED
    assert (
        "could not be read, so drift in them is not reported. Could not look: roles is forbidden"
        in capsys.readouterr().err
    )
