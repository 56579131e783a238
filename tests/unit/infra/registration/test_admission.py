from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import kr8s
import pytest

from infra.registration import admission, references
from infra.registration.admission import look_up
from infra.registration.references import Lookup

SERVED = ("validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings")


def looked_up(
    monkeypatch: pytest.MonkeyPatch,
    *,
    served: tuple[str, ...] = SERVED,
    denied: tuple[str, ...] = (),
    of_results: bool = True,
) -> Lookup:
    async def call(_api: Any, method: str, **options: Any) -> Any:
        if method == "GET":
            assert (options["base"], options["version"]) == ("/apis", "admissionregistration.k8s.io/v1")
            return {"resources": [{"name": name} for name in served]}
        asked = json.loads(options["content"])["spec"]["resourceAttributes"]
        assert asked["group"] == ("" if asked["resource"] == "pods" else "admissionregistration.k8s.io")
        assert "namespace" not in asked
        return {"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in denied}}

    monkeypatch.setattr(admission, "call", call)
    monkeypatch.setattr(references, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return look_up("flows-runs", None, enabled=True, of_results=of_results)


def test_a_cluster_that_has_policies_and_lets_this_user_create_them_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert looked_up(monkeypatch) == Lookup()


def test_a_cluster_without_policies_is_refused_with_the_setting_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = looked_up(monkeypatch, served=SERVED[:1]).errors
    assert "no validatingadmissionpolicies, validatingadmissionpolicybindings of version v1" in text
    assert "since 1.30: upgrade it, or set `admission: false`, with which a flow can use every ServiceAccount" in text


def test_a_user_who_may_not_create_policies_is_warned_because_a_preview_may_need_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookup = looked_up(monkeypatch, denied=("create validatingadmissionpolicies",))
    assert lookup.errors == ()
    assert (
        "This user lacks the rights create validatingadmissionpolicies (admissionregistration.k8s.io)"
        in lookup.warnings[0]
    )


def test_a_user_who_may_not_read_pods_is_warned_if_a_policy_is_about_results(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = ("get pods", "list pods")
    [text] = looked_up(monkeypatch, denied=denied).warnings
    assert "lacks the rights get pods (in all namespaces), list pods (in all namespaces)" in text
    assert "set `results.shared: true`" in text
    [both] = looked_up(monkeypatch, denied=(*denied, "patch validatingadmissionpolicies")).warnings
    assert "results.shared" not in both
    assert looked_up(monkeypatch, denied=denied, of_results=False) == Lookup()


def test_a_stack_without_policies_says_what_that_means_and_asks_nothing() -> None:
    [text] = look_up("flows-runs", None, enabled=False, of_results=True).warnings
    assert text == (
        "admission is false: a flow can use every ServiceAccount, Secret and volume in namespace 'flows-runs', by a"
        " DaskCluster."
    )


def test_a_cluster_that_cannot_be_asked_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(_api: Any, _method: str, **_: Any) -> Any:
        raise kr8s.ServerError("no", response=httpx.Response(500))

    monkeypatch.setattr(admission, "call", call)

    def run(what: str, _context: Any, work: Any) -> Any:
        try:
            return asyncio.run(work(None))
        except kr8s.ServerError as error:
            raise references.RegistrationError(what, why=str(error), remedy="try again") from None

    monkeypatch.setattr(references, "run", run)
    [text] = look_up("flows-runs", None, enabled=True, of_results=True).warnings
    assert text.startswith("Whether the cluster takes admission policies could not be found out.")
