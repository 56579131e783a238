from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.registration.endpoint import Url
from infra.registration.errors import RegistrationError
from infra.registration.work_pool import WorkPoolArgs, WorkPoolProvider, inputs

TEMPLATE = {
    "job_configuration": {"image": "{{ image }}", "nothing": None},
    "variables": {"type": "object", "properties": {"image": {"type": "string", "default": None}}},
}


def _props(**fields: Any) -> dict[str, Any]:
    endpoint = Url(url="http://prefect.test/api")
    args = WorkPoolArgs(**{"endpoint": endpoint, "name": "pool", "base_job_template": TEMPLATE, **fields})
    return inputs(args, "project/dev/pool")


@pytest.fixture
def pool(engine: Any) -> Any:
    return engine(WorkPoolProvider())


def test_a_registered_object_reads_back_without_a_difference(pool: Any, prefect: Any) -> None:
    props = _props(description="Ours.", concurrency_limit=3)
    pool.up(props)
    assert pool.diff(props) == []
    pool.refresh()
    assert pool.diff(props) == []
    assert prefect.pools["pool"]["base_job_template"]["job_configuration"] == TEMPLATE["job_configuration"]


def test_an_unchanged_up_sends_no_request(pool: Any, prefect: Any) -> None:
    pool.up(_props())
    prefect.forget_requests()
    assert pool.up(_props()) == []
    assert prefect.requests == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", "New."),
        ("concurrency_limit", 4),
        ("base_job_template", {**TEMPLATE, "job_configuration": {"image": "{{ image }}"}}),
    ],
)
def test_an_update_sends_only_the_changed_field(field: str, value: Any, pool: Any, prefect: Any) -> None:
    pool.up(_props())
    prefect.forget_requests()
    assert pool.up(_props(**{field: value})) == [field]
    assert [(method, list(body)) for method, _, body in prefect.writes] == [("PATCH", [field])]
    pool.refresh()
    assert pool.diff(_props(**{field: value})) == []


def test_a_limit_that_is_no_longer_declared_is_removed(pool: Any, prefect: Any) -> None:
    pool.up(_props(concurrency_limit=3))
    pool.up(_props())
    assert prefect.pools["pool"]["concurrency_limit"] is None


def test_a_paused_pool_is_not_drift(pool: Any, prefect: Any) -> None:
    pool.up(_props())
    prefect.pools["pool"]["is_paused"] = True
    pool.refresh()
    assert pool.diff(_props()) == []


def test_an_outside_edit_is_drift_and_is_reverted(pool: Any, prefect: Any) -> None:
    pool.up(_props())
    prefect.pools["pool"] |= {"description": "theirs", "concurrency_limit": 1}
    pool.refresh()
    assert sorted(pool.diff(_props())) == ["concurrency_limit", "description"]
    pool.up(_props())
    assert prefect.pools["pool"]["description"] is None


def test_a_refresh_notices_an_outside_deletion(pool: Any, prefect: Any) -> None:
    pool.up(_props())
    prefect.pools.clear()
    pool.refresh()
    assert pool.id is None


@pytest.mark.usefixtures("adopting")
def test_a_pool_created_by_a_worker_is_adopted_with_an_owner(pool: Any, prefect: Any) -> None:
    made = prefect._route("POST", ["work_pools"], {"name": "pool", "type": "kubernetes", "base_job_template": {}})
    pool.up(_props())
    live = prefect.pools["pool"]
    assert live["id"] == made[1]["id"]
    assert live["base_job_template"]["variables"]["ephemeral-dask/owner"] == "project/dev"


@pytest.mark.usefixtures("adopting")
def test_an_equal_pool_without_an_owner_gets_one(pool: Any, prefect: Any) -> None:
    body = {"name": "pool", "type": "kubernetes", "base_job_template": TEMPLATE}
    prefect._route("POST", ["work_pools"], body)
    pool.up(_props())
    assert prefect.pools["pool"]["base_job_template"]["variables"]["ephemeral-dask/owner"] == "project/dev"


def test_adopting_an_equal_pool_of_this_stack_writes_nothing(pool: Any, prefect: Any, engine: Any) -> None:
    pool.up(_props())
    prefect.forget_requests()
    after_a_crash = engine(WorkPoolProvider())
    after_a_crash.up(_props())
    assert prefect.writes == []
    assert after_a_crash.state == pool.state


def test_a_pool_of_another_stack_is_refused(pool: Any, engine: Any) -> None:
    pool.up(_props())
    with pytest.raises(RegistrationError, match="project/dev has registered it, and this is project/prod"):
        engine(WorkPoolProvider()).up({**_props(), "owner": "project/prod/pool"})


@pytest.mark.usefixtures("adopting")
def test_a_pool_of_another_type_is_refused(pool: Any, prefect: Any) -> None:
    prefect._route("POST", ["work_pools"], {"name": "pool", "type": "process", "base_job_template": {}})
    with pytest.raises(RegistrationError, match="it is of type 'process', and Prefect cannot change the type"):
        pool.up(_props())


def test_a_new_name_replaces_the_object(pool: Any) -> None:
    pool.up(_props())
    diff = pool.provider.diff("", pool.state, pool.marshalled(_props(name="other")))
    assert diff.replaces == ["name"]


def test_a_destroy_deletes_and_accepts_a_missing_pool(pool: Any, prefect: Any, new_process: Callable[[], None]) -> None:
    pool.up(_props())
    new_process()
    pool.destroy()
    assert prefect.pools == {}
    pool.destroy()


def test_renaming_a_resource_keeps_its_pool(
    pool: Any, prefect: Any, engine: Any, new_process: Callable[[], None]
) -> None:
    pool.up(_props())
    new_process()
    engine(WorkPoolProvider()).up({**_props(), "owner": "project/dev/other"})
    pool.destroy()
    assert "pool" in prefect.pools


@pytest.mark.usefixtures("adopting")
def test_a_pool_created_between_lookup_and_registration_is_adopted(pool: Any, prefect: Any) -> None:
    news = pool.marshalled(_props())
    assert pool.provider.check({}, news).failures == []
    prefect._route("POST", ["work_pools"], {"name": "pool", "type": "kubernetes", "base_job_template": {}})
    pool.provider.create(news)
    assert prefect.pools["pool"]["base_job_template"]["variables"]["ephemeral-dask/owner"] == "project/dev"


def test_a_new_pool_is_looked_up_once(pool: Any, prefect: Any) -> None:
    pool.up(_props())
    looked = [path for method, path, _ in prefect.requests if (method, path) == ("GET", "/work_pools/pool")]
    assert len(looked) == 1
