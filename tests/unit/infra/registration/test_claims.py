from __future__ import annotations

import asyncio
from typing import Any

import httpx
import kr8s
import pytest

from infra.registration import claims
from infra.registration.claims import Claim, discarded, errors, read
from infra.registration.errors import UnreachableError

DATABASE = {"namespace": "flows", "name": "prefect-server", "access_mode": "ReadWriteOnce"}
RESULTS = {"namespace": "flows-runs", "name": "results", "access_mode": "ReadWriteMany", "storage_class": "shared"}
LIVE = Claim(namespace="flows", name="prefect-server", access_modes=("ReadWriteOnce",), storage_class="standard")
SHARED = Claim(namespace="flows-runs", name="results", access_modes=("ReadWriteMany",), storage_class="shared")
EARLIER = Claim(namespace="flows", name="results", access_modes=("ReadWriteMany",), storage_class="shared")


def test_claims_as_declared_stay() -> None:
    assert errors([DATABASE, RESULTS], [LIVE, SHARED], ()) == []


@pytest.mark.parametrize(
    ("declared", "live", "sentence"),
    [
        (
            [DATABASE, RESULTS],
            EARLIER,
            "would delete volume flows/results with its data, because the stack has flows-runs/results",
        ),
        ([DATABASE], SHARED, "because the stack does not have it any longer"),
        (
            [{**DATABASE, "access_mode": "ReadWriteMany"}],
            LIVE,
            "mode changes from ReadWriteOnce to ReadWriteMany",
        ),
        ([{**RESULTS, "storage_class": "fast"}], SHARED, "storage class changes from shared to fast"),
    ],
)
def test_a_claim_that_an_update_would_delete_is_refused_with_what_to_do(
    declared: list[dict[str, str]], live: Claim, sentence: str
) -> None:
    [text] = errors(declared, [live], ())
    assert sentence in text
    assert "make backup" in text
    assert f"DISCARD={live.key}" in text


def test_a_claim_that_is_named_may_be_deleted_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(claims.VARIABLE, " flows/results, ")
    assert discarded() == {"flows/results"}
    [text] = errors([], [EARLIER, SHARED], discarded())
    assert "flows-runs/results" in text


def test_a_class_that_the_cluster_chose_stays() -> None:
    assert errors([{**DATABASE, "storage_class": None}], [LIVE], ()) == []


def claim(name: str, phase: str = "Bound", **metadata: Any) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard"}
    return {"metadata": {"name": name, **metadata}, "spec": spec, "status": {"phase": phase}}


def namespace(name: str, stack: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {"stack": stack}}}


def look(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> claims.Volumes:
    async def call(_api: Any, _method: str, *, url: str, namespace: str = "", **_: Any) -> Any:
        answer = answers[f"{namespace}/{url}"]
        if isinstance(answer, int):
            raise kr8s.ServerError("no", response=httpx.Response(answer))
        return {"items": answer}

    monkeypatch.setattr(claims, "call", call)
    monkeypatch.setattr(claims, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return read("stack", "dev", ("flows",), None)


def test_the_claims_of_every_namespace_of_the_stack_are_read_if_they_have_a_volume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {
        "/namespaces": [namespace("earlier-name", "dev"), namespace("flows", "dev"), namespace("theirs", "prod")],
        "earlier-name/persistentvolumeclaims": [claim("results")],
        "flows/persistentvolumeclaims": [claim("a", "Pending"), claim("b", deletionTimestamp="2026-01-01T00:00:00Z")],
    }
    assert [each.key for each in look(monkeypatch, answers).claims] == ["earlier-name/results"]


def test_without_the_right_to_list_namespaces_the_stacks_own_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/namespaces": 403, "flows/persistentvolumeclaims": [claim("prefect-server")]}
    assert [each.key for each in look(monkeypatch, answers).claims] == ["flows/prefect-server"]


def test_claims_that_cannot_be_read_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> Any:
        raise UnreachableError("Could not read", why="no answer", remedy="check")

    monkeypatch.setattr(claims, "run", unreachable)
    [warning] = read("stack", "dev", ("flows",), None).warnings
    assert "are not reported" in warning
