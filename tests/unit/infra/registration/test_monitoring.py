from __future__ import annotations

import asyncio
from typing import Any

import httpx
import kr8s
import pytest

from infra.registration import monitoring, references
from infra.registration.references import Lookup

KINDS = ("PodMonitor", "PrometheusRule")


def looked_up(monkeypatch: pytest.MonkeyPatch, *served: str, kinds: tuple[str, ...] = KINDS) -> Lookup:
    async def call(_api: Any, method: str, **options: Any) -> Any:
        assert (method, options["base"], options["version"]) == ("GET", "/apis", "monitoring.coreos.com/v1")
        return {"resources": [{"kind": kind} for kind in served]} if served else None

    monkeypatch.setattr(monitoring, "call", call)
    monkeypatch.setattr(references, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return monitoring.look_up(kinds, None)


def test_a_cluster_with_the_kinds_of_the_objects_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_up(monkeypatch, *KINDS, "Prometheus") == Lookup()


@pytest.mark.parametrize(("served", "missing"), [((), "PodMonitor, PrometheusRule"), (KINDS[:1], "PrometheusRule")])
def test_a_cluster_without_them_is_refused_in_a_sentence_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, served: tuple[str, ...], missing: str
) -> None:
    [text] = looked_up(monkeypatch, *served).errors
    assert text.startswith(f"monitoring asks for {missing}, and the cluster has no such kind")
    assert "install the CRDs of the Prometheus operator, or set `monitors` and `alerts`" in text


def test_a_stack_without_such_objects_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "run", lambda *_: pytest.fail("asked"))
    assert monitoring.look_up((), None) == Lookup()


def test_a_cluster_that_cannot_be_asked_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(_api: Any, _method: str, **_: Any) -> Any:
        raise kr8s.ServerError("no", response=httpx.Response(500))

    monkeypatch.setattr(monitoring, "call", call)
    [warning] = monitoring.look_up(KINDS, "no-such-context").warnings
    assert warning.startswith("Whether the cluster has the kinds of the Prometheus operator could not be found out.")
