from __future__ import annotations

from typing import Any

import httpx
import kr8s
import pytest

from ephemeral_dask.contract import missing
from infra.registration import references
from infra.registration.errors import UnreachableError
from infra.registration.references import Objects, compare, look_up

HERE = ("flows",)
IN_FLOWS = {"key": "", "namespace": "flows"}
OF_CLUSTER = {"key": "", "namespace": ""}
SECRET = {**IN_FLOWS, "kind": "Secret", "name": "warehouse", "key": "password", "where": "pods.secretEnv.PGPASSWORD"}
GPU = {**OF_CLUSTER, "kind": "resource", "name": "nvidia.com/gpu", "where": "dask.workerPod.resources"}
PRIORITY = {**OF_CLUSTER, "kind": "PriorityClass", "name": "batch", "where": "pods.priorityClass"}
CLAIM = {**IN_FLOWS, "kind": "PersistentVolumeClaim", "name": "cache", "where": "pods.volumes.cache"}
WAREHOUSE = ("Secret", "warehouse", "flows")


def test_a_secret_that_does_not_exist_or_lacks_the_key_is_an_error_in_the_words_of_a_run() -> None:
    absent = compare([SECRET], Objects(keys={WAREHOUSE: None}), existing=HERE)
    assert absent.errors == (f"pods.secretEnv.PGPASSWORD: {missing.reference('Secret', 'warehouse', 'flows')}",)
    keyless = compare([SECRET], Objects(keys={WAREHOUSE: frozenset({"user"})}), existing=HERE)
    assert keyless.errors == (f"pods.secretEnv.PGPASSWORD: {missing.key('Secret', 'warehouse', 'password', 'flows')}",)
    there = compare([SECRET], Objects(keys={WAREHOUSE: frozenset({"password"})}), existing=HERE)
    assert there == references.Lookup()


def test_before_the_namespace_exists_what_must_be_in_it_is_a_warning_and_a_class_is_still_an_error() -> None:
    lookup = compare([SECRET, PRIORITY], Objects(keys={("PriorityClass", "batch", ""): None}), existing=())
    assert "cannot exist before namespace 'flows'" in lookup.warnings[0]
    assert lookup.errors == (f"pods.priorityClass: {missing.reference('PriorityClass', 'batch')}",)


def test_a_resource_that_no_node_offers_is_a_warning_because_an_autoscaler_may_add_such_a_node() -> None:
    lookup = compare([GPU], Objects(resources=frozenset()), existing=HERE)
    assert (lookup.errors, len(lookup.warnings)) == ((), 1)
    assert missing.resource("nvidia.com/gpu") in lookup.warnings[0]
    for known in (frozenset({"nvidia.com/gpu"}), None):
        assert compare([GPU], Objects(resources=known), existing=HERE) == references.Lookup()


def test_without_the_right_to_look_there_is_a_warning_and_no_error() -> None:
    lookup = compare([SECRET], Objects(forbidden=frozenset({WAREHOUSE})), existing=HERE)
    assert lookup.errors == ()
    assert "may not read it" in lookup.warnings[0]


class FakeApi:
    """Answers by path: an object, None for 404, 403 for "forbidden"."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.paths: list[str] = []

    async def __call__(self, _api: Any, _method: str, *, url: str, **options: Any) -> Any:
        self.paths.append(f"{options['version']} {options.get('namespace', '-')} {url}")
        answer = self.answers.get(url.partition("/")[0])
        if answer == "forbidden":
            raise kr8s.ServerError("no", response=httpx.Response(403))
        return answer


def look(monkeypatch: pytest.MonkeyPatch, api: FakeApi, *named: Any, exists: bool = True) -> references.Lookup:
    import asyncio  # noqa: PLC0415

    monkeypatch.setattr(references, "call", api)
    monkeypatch.setattr(references, "run", lambda _what, _context, work: asyncio.run(work(None)))
    return look_up(named, None, existing=HERE if exists else ())


def test_each_object_is_read_once_and_only_the_names_of_its_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(
        secrets={"data": {"password": "c2VjcmV0"}},
        persistentvolumeclaims={},
        nodes={"items": [{"status": {"allocatable": {"nvidia.com/gpu": "0", "cpu": "2"}}}]},
        priorityclasses="forbidden",
    )
    lookup = look(monkeypatch, api, SECRET, SECRET, CLAIM, GPU, PRIORITY)
    assert api.paths == [
        "v1 flows secrets/warehouse",
        "v1 flows persistentvolumeclaims/cache",
        "v1 - nodes",
        "scheduling.k8s.io/v1 - priorityclasses/batch",
    ]
    assert lookup.errors == ()
    assert len(lookup.warnings) == 2
    assert "c2VjcmV0" not in str(lookup)


def test_a_cluster_that_does_not_answer_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> Any:
        raise UnreachableError("Could not read", why="no answer", remedy="check")

    monkeypatch.setattr(references, "run", unreachable)
    [warning] = look_up([SECRET], None, existing=HERE).warnings
    assert "could not be looked up" in warning
    assert look_up([], None, existing=HERE) == references.Lookup()


def test_an_object_that_pods_of_both_namespaces_refer_to_is_looked_up_in_each() -> None:
    elsewhere = {**SECRET, "namespace": "flows-runs"}
    keys = {WAREHOUSE: frozenset({"password"}), ("Secret", "warehouse", "flows-runs"): None}
    [error] = compare([SECRET, elsewhere], Objects(keys=keys), existing=("flows", "flows-runs")).errors
    assert "namespace 'flows-runs'" in error


def test_a_key_that_would_become_a_variable_of_the_platform_is_an_error_without_its_value() -> None:
    whole = {**SECRET, "key": "", "where": "pods.envFrom.0", "prefix": ""}
    keys = {WAREHOUSE: frozenset({"prefect_api_url", "password", "a.b"})}
    [error] = compare([whole], Objects(keys=keys), existing=HERE).errors
    assert error.startswith("pods.envFrom.0: Secret 'warehouse' contains prefect_api_url, which the platform sets")
    assert compare([{**whole, "prefix": "W_"}], Objects(keys=keys), existing=HERE).errors == ()
    [error] = compare(
        [{**whole, "prefix": "PREFECT_"}], Objects(keys={WAREHOUSE: frozenset({"API_URL"})}), existing=HERE
    ).errors
    assert "PREFECT_API_URL" in error
