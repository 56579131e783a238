"""The client against an API server made of httpx's own transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import kr8s
import pytest

from ephemeral_dask import kube
from ephemeral_dask.kube import Kube, KubeError

Answer = Callable[[str, str], httpx.Response]


def client(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> tuple[Kube, list[str]]:
    asked: list[str] = []

    class Api:
        @asynccontextmanager
        async def call_api(self, method: str, *, version: str, url: str, namespace: str, **_: Any) -> Any:
            asked.append(f"{method} {version}/{namespace}/{url}")
            response = answer(method, url)
            if response.is_error:
                # kr8s has the text of a refusal only.
                message = response.text if response.is_client_error else f"Server error '{response.status_code}'"
                raise kr8s.ServerError(message, response=response)
            yield response

    async def api() -> Api:
        return Api()

    monkeypatch.setattr("kr8s.asyncio.api", api)
    return Kube("flows"), asked


def response(status: int, **body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


def test_an_object_by_name_is_asked_for_by_name_so_that_the_verb_is_get(monkeypatch: pytest.MonkeyPatch) -> None:
    api, asked = client(monkeypatch, lambda *_: response(200, kind="DaskCluster"))
    assert asyncio.run(api.get(kube.DASK_CLUSTERS, "c")) == {"kind": "DaskCluster"}
    assert asked == ["GET kubernetes.dask.org/v1/flows/daskclusters/c"]


def test_an_absent_object_is_none_and_a_refusal_is_an_error_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    api, _ = client(monkeypatch, lambda *_: response(404))
    assert asyncio.run(api.get(kube.SERVICES, "c")) is None
    api, _ = client(monkeypatch, lambda *_: httpx.Response(403, text="no right"))
    with pytest.raises(KubeError, match="no right") as refusal:
        asyncio.run(api.get(kube.SERVICES, "c"))
    assert (refusal.value.status, refusal.value.transient) == (403, False)


def test_the_message_of_a_failure_is_what_the_api_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Internal error occurred: failed calling webhook"
    api, _ = client(monkeypatch, lambda *_: response(500, kind="Status", message=said))
    with pytest.raises(KubeError, match=said):
        asyncio.run(api.create(kube.DASK_CLUSTERS, {}))
    api, _ = client(monkeypatch, lambda *_: httpx.Response(502, text="<html>"))
    with pytest.raises(KubeError, match="Server error '502'"):
        asyncio.run(api.create(kube.DASK_CLUSTERS, {}))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_server_is_worth_another_try(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    api, _ = client(monkeypatch, lambda *_: httpx.Response(status, text="later"))
    with pytest.raises(KubeError) as refusal:
        asyncio.run(api.list(kube.PODS))
    assert refusal.value.transient


def test_a_server_that_does_not_answer_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: str) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api, _ = client(monkeypatch, silent)
    with pytest.raises(KubeError) as refusal:
        asyncio.run(api.list(kube.PODS))
    assert (refusal.value.status, refusal.value.transient) == (None, True)


def test_a_removal_asks_once_and_waits_until_the_object_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([response(200), response(200), response(404)])
    api, asked = client(monkeypatch, lambda *_: next(answers))
    assert asyncio.run(api.remove(kube.DASK_CLUSTERS, "c", within=10)) == ""
    assert [line.partition(" ")[0] for line in asked] == ["DELETE", "GET", "GET"]


def test_a_removal_that_takes_too_long_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    api, _ = client(monkeypatch, lambda *_: response(200))
    assert "holds it back" in asyncio.run(api.remove(kube.DASK_CLUSTERS, "c", within=0.1))


def test_a_refused_removal_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    api, asked = client(monkeypatch, lambda *_: httpx.Response(403, text="no right"))
    assert asyncio.run(api.remove(kube.DASK_CLUSTERS, "c", within=10)) == "no right"
    assert len(asked) == 1


def test_a_removal_is_tried_again_when_the_server_fails_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([response(503), response(404)])
    api, _ = client(monkeypatch, lambda *_: next(answers))
    assert asyncio.run(api.remove(kube.DASK_CLUSTERS, "c", within=10)) == ""


def change(kind: str, name: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name}, **fields}}) + "\n"


async def watched(api: Kube) -> list[list[str]]:
    return [sorted(objects) async for objects in api.watch(kube.PODS, labels="a=b")]


def test_a_watch_yields_the_objects_after_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = change("ADDED", "one") + change("ADDED", "two") + change("MODIFIED", "two") + change("DELETED", "one")
    api, asked = client(monkeypatch, lambda *_: httpx.Response(200, text=lines))
    assert asyncio.run(watched(api)) == [[], ["one"], ["one", "two"], ["one", "two"], ["two"]]
    assert asked == ["GET v1/flows/pods"]


@pytest.mark.parametrize(
    ("end", "message"),
    [(change("ERROR", "", message="too old resource version"), "too old"), ('{"type": "ADD', "middle of a line")],
)
def test_a_watch_that_ends_with_an_error_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch, end: str, message: str
) -> None:
    api, _ = client(monkeypatch, lambda *_: httpx.Response(200, text=change("ADDED", "one") + end))
    with pytest.raises(KubeError, match=message) as ended:
        asyncio.run(watched(api))
    assert ended.value.transient
