from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pulumi.output import Unknown

from infra.registration import parameter_validation
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from infra.registration.errors import RegistrationError
from infra.specs.deployment import DeploymentSpec, Schedule

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]  # Pulumi leaves it untyped
REACH = Url(url="http://prefect.test/api")
OWNER = "project/dev/resource"

_WORDS = st.text("abcdef ", min_size=1, max_size=8).filter(str.strip)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.dictionaries(_WORDS, _JSON, max_size=3)
_WHEN: list[dict[str, Any]] = [
    {"cron": "0 6 * * *"},
    {"cron": "*/5 * * * 1", "day_or": False, "timezone": "Europe/Berlin"},
    {"interval": 3600},
    {"interval": 90.5, "anchor_date": "2026-01-01T00:00:00Z"},
    {"rrule": "FREQ=DAILY;BYHOUR=6"},
    {"rrule": "DTSTART:20260101T000000\nFREQ=WEEKLY", "timezone": "America/New_York"},
]


@st.composite
def _schedules(draw: st.DrawFn) -> tuple[Schedule, ...]:
    slugs = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
    return tuple(
        Schedule(
            slug=slug,
            active=draw(st.sampled_from([None, True, False])),
            parameters=draw(_OBJECTS),
            **draw(st.sampled_from(_WHEN)),
        )
        for slug in slugs
    )


_STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "entrypoint": _WORDS,
    "description": st.none() | _WORDS,
    "version": st.none() | _WORDS,
    "tags": st.lists(_WORDS, max_size=3).map(tuple),
    "parameters": _OBJECTS,
    "parameter_schema": _OBJECTS,
    "enforce_parameter_schema": st.booleans(),
    "schedules": _schedules(),
    "concurrency_limit": st.none() | st.integers(1, 9),
    "collision_strategy": st.sampled_from([None, "ENQUEUE", "CANCEL_NEW"]),
    "paused": st.sampled_from([None, True, False]),
    "work_queue_name": st.sampled_from(["default", "fast"]),
    "job_variables": _OBJECTS,
    "pull_steps": st.lists(_OBJECTS, max_size=2).map(tuple),
}
_SPECS = st.fixed_dictionaries(_STRATEGIES)
_FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _props(spec: DeploymentSpec, **others: Any) -> dict[str, Any]:
    return {**inputs(DeploymentArgs(endpoint=REACH, spec=spec, work_pool_name="pool"), OWNER), **others}


def _spec(**fields: Any) -> DeploymentSpec:
    return DeploymentSpec(**{"flow_name": "flow", "name": "one", "entrypoint": "flows.x.y", **fields})


@pytest.fixture
def deployment(prefect: Any, engine: Any) -> Any:
    prefect.pools["pool"] = {"name": "pool"}
    return engine(DeploymentProvider())


@_FAST
@given(fields=_SPECS)
def test_a_registered_object_reads_back_without_a_difference(
    fields: dict[str, Any], prefect: Any, engine: Any, unique_name: Callable[[], str]
) -> None:
    prefect.pools["pool"] = {"name": "pool"}
    deployment = engine(DeploymentProvider())
    props = _props(_spec(name=unique_name(), **fields))
    deployment.up(props)
    assert deployment.diff(props) == []
    deployment.refresh()
    assert deployment.diff(props) == []


@_FAST
@given(fields=_SPECS, data=st.data())
def test_a_change_of_one_field_is_shown_as_that_field_and_written(
    fields: dict[str, Any],
    data: st.DataObject,
    prefect: Any,
    engine: Any,
    unique_name: Callable[[], str],
) -> None:
    prefect.pools["pool"] = {"name": "pool"}
    deployment = engine(DeploymentProvider())
    before = _spec(name=unique_name(), **fields)
    deployment.up(_props(before))
    field = data.draw(st.sampled_from(sorted(_STRATEGIES)))
    after = dataclasses.replace(before, **{field: data.draw(_STRATEGIES[field])})
    assume(getattr(before, field) != getattr(after, field))
    prefect.forget_requests()
    assert deployment.up(_props(after)) == [field]
    # A POST would replace every schedule.
    assert all(path != "/deployments" for _, path, _ in prefect.writes)
    deployment.refresh()
    assert deployment.diff(_props(after)) == []


_SCHEMA = {"type": "object", "properties": {"top": {"type": "integer"}}}


def _posted(prefect: Any) -> list[dict[str, Any]]:
    return [body for method, where, body in prefect.writes if (method, where) == ("POST", "/deployments")]


@pytest.mark.parametrize(("top", "sent"), [(3, False), ("3", True)])
def test_the_server_validates_only_what_does_not_match(top: Any, sent: bool, deployment: Any, prefect: Any) -> None:
    parameter_validation.loading().join()
    deployment.up(_props(_spec(parameter_schema=_SCHEMA, parameters={"top": top})))
    [body] = _posted(prefect)
    assert body.get("enforce_parameter_schema") is (True if sent else None)
    assert prefect.deployment("flow", "one")["enforce_parameter_schema"] is True


def test_enforcement_can_be_switched_off(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(parameter_schema=_SCHEMA, enforce_parameter_schema=False)))
    assert prefect.deployment("flow", "one")["enforce_parameter_schema"] is False


def test_enforcement_is_sent_to_a_server_whose_default_is_false(deployment: Any, prefect: Any) -> None:
    parameter_validation.loading().join()
    prefect.enforces_by_itself = False
    props = _props(_spec(parameter_schema=_SCHEMA))
    deployment.up(props)
    assert prefect.deployment("flow", "one")["enforce_parameter_schema"] is True
    assert deployment.diff(props) == []


def test_an_unchanged_up_sends_no_request(deployment: Any, prefect: Any) -> None:
    props = _props(_spec(schedules=(Schedule(slug="a", cron="0 6 * * *"),)))
    deployment.up(props)
    prefect.forget_requests()
    assert deployment.up(props) == []
    assert prefect.requests == []


def test_an_update_sends_only_the_changed_field(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(description="old", tags=("a",))))
    prefect.forget_requests()
    deployment.up(_props(_spec(description="new", tags=("a",))))
    assert [(method, body) for method, _, body in prefect.writes] == [("PATCH", {"description": "new"})]


def test_a_field_that_is_no_longer_declared_is_cleared(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(description="old", concurrency_limit=3, collision_strategy="CANCEL_NEW")))
    deployment.up(_props(_spec()))
    live = prefect.deployment("flow", "one")
    assert live["description"] is None
    assert live["global_concurrency_limit"] is None
    assert live["concurrency_options"] is None


def test_schedules_are_created_updated_and_deleted_separately(deployment: Any, prefect: Any) -> None:
    old = (Schedule(slug="stays", cron="0 1 * * *"), Schedule(slug="goes", cron="0 2 * * *"))
    deployment.up(_props(_spec(schedules=(*old, Schedule(slug="changes", interval=60)))))
    prefect.forget_requests()
    new = (old[0], Schedule(slug="changes", interval=120), Schedule(slug="comes", rrule="FREQ=DAILY"))
    assert deployment.up(_props(_spec(schedules=new))) == ["schedules"]
    assert [method for method, _, _ in prefect.writes] == ["DELETE", "PATCH", "POST"]
    live = {item["slug"]: item["schedule"] for item in prefect.deployment("flow", "one")["schedules"]}
    assert sorted(live) == ["changes", "comes", "stays"]
    assert live["changes"]["interval"] == 120


def test_a_schedule_paused_by_hand_stays_paused_unless_the_file_says_otherwise(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(schedules=(Schedule(slug="a", cron="0 1 * * *"),))))
    prefect.deployment("flow", "one")["schedules"][0]["active"] = False
    deployment.refresh()
    assert deployment.up(_props(_spec(schedules=(Schedule(slug="a", cron="0 2 * * *"),)))) == ["schedules"]
    assert prefect.deployment("flow", "one")["schedules"][0]["active"] is False
    deployment.up(_props(_spec(schedules=(Schedule(slug="a", cron="0 2 * * *", active=True),))))
    assert prefect.deployment("flow", "one")["schedules"][0]["active"] is True


def test_a_renamed_schedule_stays_paused(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(schedules=(Schedule(slug="old", cron="0 1 * * *"),))))
    before = prefect.deployment("flow", "one")["schedules"][0]
    before["active"] = False
    deployment.up(_props(_spec(schedules=(Schedule(slug="new", cron="0 1 * * *", replaces="old"),))))
    [after] = prefect.deployment("flow", "one")["schedules"]
    assert (after["id"], after["slug"], after["active"]) == (before["id"], "new", False)


def test_schedules_are_replaced_at_once_while_runs_wait_because_a_delete_deletes_those(
    deployment: Any, prefect: Any
) -> None:
    both = (Schedule(slug="stays", cron="0 1 * * *"), Schedule(slug="goes", cron="0 2 * * *"))
    deployment.up(_props(_spec(schedules=both)))
    # The engine does not keep the order of a mapping.
    [paused] = [each for each in prefect.deployment("flow", "one")["schedules"] if each["slug"] == "stays"]
    paused["active"] = False
    prefect.waiting = 3
    prefect.forget_requests()
    deployment.up(_props(_spec(schedules=both[:1])))
    assert [method for method, _, _ in prefect.writes] == ["POST", "PATCH"]
    [live] = prefect.deployment("flow", "one")["schedules"]
    assert (live["slug"], live["active"]) == ("stays", False)


def test_an_undeclared_anchor_survives_an_update_of_its_schedule(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec(schedules=(Schedule(slug="a", interval=60),))))
    live = prefect.deployment("flow", "one")["schedules"][0]["schedule"]
    live["anchor_date"] = "2026-05-05T05:05:05Z"
    deployment.up(_props(_spec(schedules=(Schedule(slug="a", interval=60, timezone="Europe/Berlin"),))))
    live = prefect.deployment("flow", "one")["schedules"][0]["schedule"]
    assert live["anchor_date"] == "2026-05-05T05:05:05Z"


def test_an_outside_edit_is_drift_in_its_fields_and_is_reverted(deployment: Any, prefect: Any) -> None:
    props = _props(_spec(description="ours", parameters={"a": 1}))
    deployment.up(props)
    live = prefect.deployment("flow", "one")
    live |= {"description": "theirs", "parameters": {"a": 2}, "tags": ["theirs"]}
    assert deployment.diff(props) == []
    deployment.refresh()
    assert sorted(deployment.diff(props)) == ["description", "parameters", "tags"]
    deployment.up(props)
    assert (live["description"], live["parameters"], live["tags"]) == ("ours", {"a": 1}, [])


def test_unmanaged_fields_are_not_drift(deployment: Any, prefect: Any) -> None:
    props = _props(_spec(schedules=(Schedule(slug="a", interval=60),)))
    deployment.up(props)
    live = prefect.deployment("flow", "one")
    live |= {"paused": True, "version": "by hand"}
    live["schedules"][0]["active"] = False
    deployment.refresh()
    assert deployment.diff(props) == []


def test_prefects_empty_values_equal_missing_ones(deployment: Any, prefect: Any) -> None:
    props = _props(_spec(schedules=(Schedule(slug="a", cron="0 0 * * *"),)))
    deployment.up(props)
    live = prefect.deployment("flow", "one")
    live |= {"pull_steps": None, "description": "", "concurrency_options": None, "global_concurrency_limit": None}
    live["schedules"][0]["schedule"]["timezone"] = None
    deployment.refresh()
    assert deployment.diff(props) == []


def test_a_schedule_added_outside_is_drift_and_is_deleted(deployment: Any, prefect: Any) -> None:
    props = _props(_spec())
    deployment.up(props)
    live = prefect.deployment("flow", "one")
    live["schedules"].append(prefect._schedule({"schedule": {"cron": "0 0 * * *"}}))
    deployment.refresh()
    assert deployment.diff(props) == ["schedules"]
    deployment.up(props)
    assert live["schedules"] == []


def test_a_refresh_notices_an_outside_deletion(deployment: Any, prefect: Any) -> None:
    props = _props(_spec())
    deployment.up(props)
    prefect.deployments.clear()
    deployment.refresh()
    assert deployment.id is None


def test_an_update_recreates_a_deployment_deleted_outside(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec()))
    prefect.deployments.clear()
    deployment.up(_props(_spec(description="new")))
    assert prefect.deployment("flow", "one")["description"] == "new"


@pytest.mark.usefixtures("adopting")
def test_adopting_a_deployment_keeps_its_id_and_paused_schedules(deployment: Any, prefect: Any) -> None:
    flow = prefect._route("POST", ["flows"], {"name": "flow"})[1]
    body = {
        "name": "one",
        "flow_id": flow["id"],
        "work_pool_name": "pool",
        "schedules": [{"slug": "a", "schedule": {"cron": "0 9 * * *"}, "active": False}],
    }
    theirs = prefect._post_deployment(body)[1]["id"]
    props = _props(_spec(schedules=(Schedule(slug="a", cron="0 1 * * *"),)))
    deployment.up(props)
    live = prefect.deployment("flow", "one")
    assert live["id"] == theirs
    assert live["labels"]["ephemeral-dask/owner"] == "project/dev"
    assert [(item["active"], item["schedule"]["cron"]) for item in live["schedules"]] == [(False, "0 1 * * *")]
    assert deployment.diff(props) == []


@pytest.mark.usefixtures("adopting")
def test_an_adopted_schedule_without_a_slug_or_with_its_old_one_stays_paused(deployment: Any, prefect: Any) -> None:
    flow = prefect._route("POST", ["flows"], {"name": "flow"})[1]
    theirs = [
        {"schedule": {"cron": "0 9 * * *"}, "active": False},
        {"schedule": {"interval": 60}, "active": False, "slug": "old"},
        {"schedule": {"cron": "0 1 * * *"}, "active": False},
    ]
    prefect._post_deployment({"name": "one", "flow_id": flow["id"], "work_pool_name": "pool", "schedules": theirs})
    ours = (
        Schedule(slug="a", cron="0 9 * * *"),
        Schedule(slug="b", interval=60, replaces="old"),
        Schedule(slug="c", cron="0 2 * * *"),
    )
    deployment.up(_props(_spec(schedules=ours)))
    live = {item["slug"]: item["active"] for item in prefect.deployment("flow", "one")["schedules"]}
    assert live == {"a": False, "b": False, "c": True}


def test_adopting_an_equal_deployment_of_this_stack_writes_nothing(deployment: Any, prefect: Any, engine: Any) -> None:
    props = _props(_spec(schedules=(Schedule(slug="a", interval=60),)))
    deployment.up(props)
    prefect.forget_requests()
    after_a_crash = engine(DeploymentProvider())
    after_a_crash.up(props)
    assert prefect.writes == []
    assert after_a_crash.state == deployment.state


def test_a_deployment_of_another_stack_fails_the_preview(deployment: Any, engine: Any) -> None:
    deployment.up(_props(_spec()))
    other = _props(_spec(), owner="project/prod/resource")
    [failure] = DeploymentProvider().check({}, engine(None).marshalled(other)).failures
    assert "project/dev has registered it, and this is project/prod" in failure.reason
    with pytest.raises(RegistrationError, match="belongs to another stack"):
        DeploymentProvider().create(engine(None).marshalled(other))


def test_an_update_refuses_a_deployment_that_another_stack_owns_now(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec()))
    prefect.deployment("flow", "one")["labels"]["ephemeral-dask/owner"] = "project/prod"
    with pytest.raises(RegistrationError, match="project/prod has registered it, and this is project/dev"):
        deployment.up(_props(_spec(description="new")))


def test_a_renamed_stack_keeps_its_deployments(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec()))
    before = prefect.deployment("flow", "one")["id"]
    assert deployment.up(_props(_spec(), owner="project/renamed/resource")) == ["owner"]
    live = prefect.deployment("flow", "one")
    assert (live["id"], live["labels"]["ephemeral-dask/owner"]) == (before, "project/renamed")


def test_a_resource_renamed_with_an_alias_is_unchanged(deployment: Any) -> None:
    deployment.up(_props(_spec()))
    assert deployment.up(_props(_spec(), owner="project/dev/renamed-with-an-alias")) == []


def test_a_destroy_keeps_what_another_stack_owns_now(
    deployment: Any, prefect: Any, new_process: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.up(_props(_spec()))
    prefect.deployment("flow", "one")["labels"]["ephemeral-dask/owner"] = "project/prod"
    new_process()
    deployment.destroy()
    assert prefect.deployment("flow", "one")
    assert "stack project/prod owns it now" in capsys.readouterr().err


@pytest.mark.parametrize("interrupted", [False, True])
def test_renaming_a_resource_keeps_its_deployment(
    interrupted: bool, deployment: Any, prefect: Any, engine: Any, new_process: Callable[[], None]
) -> None:
    deployment.up(_props(_spec()))
    new_process()
    renamed = engine(DeploymentProvider())
    props = _props(_spec(), owner="project/dev/another-resource")
    renamed.up(props)
    if interrupted:
        new_process()
        renamed.up(props)
    deployment.destroy()
    assert prefect.deployment("flow", "one")


def test_replacing_a_resource_with_the_same_key_keeps_its_deployment(
    deployment: Any, prefect: Any, engine: Any, new_process: Callable[[], None]
) -> None:
    deployment.up(_props(_spec()))
    new_process()
    engine(DeploymentProvider()).up(_props(_spec()))
    deployment.destroy()
    assert prefect.deployment("flow", "one")


def test_a_destroy_deletes_and_accepts_a_missing_deployment(
    deployment: Any, prefect: Any, new_process: Callable[[], None]
) -> None:
    deployment.up(_props(_spec()))
    new_process()
    deployment.destroy()
    assert prefect.deployments == {}
    deployment.id = "flow/one"
    deployment.destroy()


def test_a_new_name_or_flow_replaces_the_deployment(deployment: Any) -> None:
    deployment.up(_props(_spec()))
    for changed in (_spec(name="two"), _spec(flow_name="other")):
        diff = deployment.provider.diff("", deployment.state, deployment.marshalled(_props(changed)))
        assert diff.replaces
        assert diff.changes


def test_an_unknown_value_counts_as_a_change(deployment: Any) -> None:
    deployment.up(_props(_spec()))
    news = {**deployment.marshalled(_props(_spec())), "work_pool_name": UNKNOWN}
    assert deployment.provider.changed(deployment.state, news) == ["work_pool_name"]


def test_a_preview_with_an_unknown_endpoint_sends_no_request(deployment: Any, prefect: Any) -> None:
    news = {**deployment.marshalled(_props(_spec())), "reach": {"kind": "url", "url": UNKNOWN}}
    assert deployment.provider.check({}, news).failures == []
    assert prefect.requests == []


@pytest.mark.usefixtures("adopting")
def test_the_preview_announces_an_adoption(deployment: Any, prefect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.up(_props(_spec()))
    prefect.deployment("flow", "one")["labels"].clear()
    deployment.provider.check({}, deployment.marshalled(_props(_spec())))
    assert "deployment 'flow/one' exists and will be adopted" in capsys.readouterr().err


def test_the_error_for_a_missing_work_pool_names_it(deployment: Any) -> None:
    deployment.up(_props(_spec()))
    with pytest.raises(RegistrationError, match="work pool 'missing' does not exist"):
        deployment.up(_props(_spec(), work_pool_name="missing"))


def test_a_queue_is_never_sent_without_its_pool(deployment: Any, prefect: Any) -> None:
    deployment.up(_props(_spec()))
    prefect.forget_requests()
    deployment.up(_props(_spec(work_queue_name="fast")))
    assert [body for _, _, body in prefect.writes] == [{"work_pool_name": "pool", "work_queue_name": "fast"}]


def test_the_flow_of_many_deployments_is_requested_once(prefect: Any, engine: Any) -> None:
    prefect.pools["pool"] = {"name": "pool"}
    for name in ("a", "b", "c"):
        engine(DeploymentProvider()).up(_props(_spec(name=name)))
    assert [path for method, path, _ in prefect.writes if method == "POST"].count("/flows") == 1
    assert len(prefect.deployments) == 3
