from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import kr8s
import pytest

from infra.registration import dry_run, references
from infra.registration.dry_run import NOTE, try_out
from infra.registration.references import Lookup

POD = {"key": "dask.workerPod", "manifest": json.dumps({"kind": "Pod", "metadata": {"name": "a"}})}
JOB = {"key": "flowRun.pod", "manifest": json.dumps({"kind": "Job", "metadata": {"name": "b"}})}


def tried(monkeypatch: pytest.MonkeyPatch, refusals: dict[str, tuple[int, str]], *manifests: Any) -> Lookup:
    async def call(_api: Any, method: str, *, url: str, params: dict[str, str], **_: Any) -> Any:
        assert (method, params["dryRun"]) == ("POST", "All")
        if url in refusals:
            status, text = refusals[url]
            raise kr8s.ServerError(text, response=httpx.Response(status))
        return {}

    monkeypatch.setattr(dry_run, "call", call)
    monkeypatch.setattr(references, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return try_out(manifests, "flows", None, exists=True)


def test_what_the_server_refuses_is_an_error_with_the_key_and_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = tried(monkeypatch, {"pods": (422, "spec.dnsPolicy: Unsupported value"), "jobs": (400, "bad")}, POD, JOB)
    assert answer.errors == (
        "dask.workerPod: Kubernetes would refuse the Pod: spec.dnsPolicy: Unsupported value",
        "flowRun.pod: Kubernetes would refuse the Job: bad",
    )


def test_a_refusal_by_pod_security_is_distinguished_from_a_missing_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    violation = (403, 'pods "a" is forbidden: violates PodSecurity "restricted:latest"')
    assert "violates PodSecurity" in tried(monkeypatch, {"pods": violation}, POD).errors[0]
    right = (403, 'pods is forbidden: User "ci" cannot create resource "pods" in API group ""')
    assert tried(monkeypatch, {"pods": right}, POD) == Lookup(warnings=(NOTE,))


@pytest.mark.parametrize(
    "text", ['pods "a" is forbidden: exceeded quota: quota', "error looking up service account flows/dask: not found"]
)
def test_a_refusal_that_says_nothing_about_the_pod_is_ignored(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert tried(monkeypatch, {"pods": (403, text)}, POD) == Lookup()


def test_before_the_namespace_exists_there_is_a_note() -> None:
    assert try_out([POD], "flows", None, exists=False) == Lookup(warnings=(NOTE,))
    assert try_out([], "flows", None, exists=False) == Lookup()
