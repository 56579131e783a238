"""Work pools and deployments on the real engine, against a real Prefect server."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from infra.registration import api

DAILY = {"slug": "daily", "cron": "0 6 * * *", "timezone": "Europe/Berlin"}
HOURLY = {"slug": "hourly", "interval": 3600}
WEEKLY = {"slug": "weekly", "rrule": "FREQ=WEEKLY;BYDAY=MO"}
SCHEMA = {"title": "Parameters", "type": "object", "properties": {"a": {"default": None, "title": "a"}}}


@pytest.fixture
def registered(stack: Any) -> Any:
    """Bring up a stack with one pool and two deployments."""
    stack.pool()
    stack.deployment(
        "one",
        pool="pool",
        description="The first.",
        tags=["b", "a"],
        parameters={"a": None},
        parameter_schema=SCHEMA,
        schedules=[DAILY, HOURLY, WEEKLY],
        concurrency_limit=2,
        collision_strategy="CANCEL_NEW",
        job_variables={"size": 2},
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": "/x"}}],
    )
    stack.deployment("two", pool="pool")
    stack.up()
    return stack


def test_each_declared_field_is_registered(registered: Any, prefect: Any) -> None:
    live = prefect.deployment("flow", "one")
    expected = {
        "entrypoint": "flows.x.y",
        "description": "The first.",
        "tags": ["b", "a"],
        "parameters": {"a": None},
        "parameter_openapi_schema": SCHEMA,
        "job_variables": {"size": 2},
        "work_pool_name": "pool",
    }
    assert {name: live[name] for name in expected} == expected
    assert {item["slug"] for item in live["schedules"]} == {"daily", "hourly", "weekly"}
    assert live["global_concurrency_limit"]["limit"] == 2
    assert live["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert prefect.pool("pool")["base_job_template"]["job_configuration"]["command"] is None
    assert registered.run("stack", "output", "one").text.strip() == live["id"]


def test_a_preview_shows_readable_types_and_each_thing_by_its_name(stack: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool", schedules=[DAILY])
    text = stack.preview()
    assert "prefect:WorkPool" in text
    assert "prefect:Deployment" in text
    assert 'cron    : "0 6 * * *"' in text
    assert 'work_pool_name          : "pool"' in text


def test_a_second_up_changes_nothing_and_sends_no_request(registered: Any, proxy: Any) -> None:
    proxy.forget()
    registered.up("--expect-no-changes")
    assert proxy.requests == []


def test_a_refresh_finds_no_drift_and_writes_nothing(registered: Any, proxy: Any) -> None:
    proxy.forget()
    registered.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    registered.up("--refresh", "--expect-no-changes")
    assert proxy.requests
    assert proxy.writes == []


def test_scheduled_runs_outlive_an_up_without_changes(registered: Any, prefect: Any) -> None:
    live = prefect.deployment("flow", "one")
    prefect.call("POST", f"/deployments/{live['id']}/schedule", {"min_runs": 3})
    runs = prefect.scheduled_runs(live["id"])
    assert runs >= 9
    registered.up("--refresh")
    assert prefect.scheduled_runs(live["id"]) == runs


def test_a_new_image_touches_the_pool_and_not_one_deployment(registered: Any, proxy: Any, prefect: Any) -> None:
    live = prefect.deployment("flow", "one")
    prefect.call("POST", f"/deployments/{live['id']}/schedule", {"min_runs": 3})
    runs = prefect.scheduled_runs(live["id"])
    template = registered.declared["pools"]["pool"]["base_job_template"]
    template["variables"]["properties"]["image"]["default"] = "image:2"
    assert '~ default: "image:1" => "image:2"' in registered.preview()
    proxy.forget()
    result = registered.up()
    assert result.steps() == {"pool": "update"}
    assert proxy.writes == [("PATCH", "/api/work_pools/pool")]
    assert prefect.scheduled_runs(live["id"]) == runs


def test_a_change_is_exactly_that_field_in_one_request(registered: Any, proxy: Any, prefect: Any) -> None:
    live = prefect.deployment("flow", "two")
    registered.declared["deployments"]["two"]["description"] = "The second."
    proxy.forget()
    result = registered.up()
    assert result.steps() == {"two": "update"}
    assert result.fields("two") == ["description"]
    assert proxy.writes == [("PATCH", f"/api/deployments/{live['id']}")]
    assert prefect.deployment("flow", "two")["description"] == "The second."


def test_schedules_are_changed_one_by_one_and_one_paused_by_hand_stays_paused(
    registered: Any, prefect: Any, proxy: Any
) -> None:
    live = prefect.deployment("flow", "one")
    paused = next(item for item in live["schedules"] if item["slug"] == "daily")
    where = f"/deployments/{live['id']}/schedules/{paused['id']}"
    prefect.call("PATCH", where, {"active": False, "slug": "daily"})
    later = {**DAILY, "cron": "0 7 * * *"}
    monthly = {"slug": "monthly", "rrule": "FREQ=MONTHLY"}
    registered.declared["deployments"]["one"]["schedules"] = [later, WEEKLY, monthly]
    proxy.forget()
    assert registered.up("--refresh").fields("one") == ["schedules"]
    assert sorted(method for method, _ in proxy.writes) == ["DELETE", "PATCH", "POST"]
    after = {item["slug"]: item for item in prefect.deployment("flow", "one")["schedules"]}
    assert sorted(after) == ["daily", "monthly", "weekly"]
    assert after["daily"]["schedule"]["cron"] == "0 7 * * *"
    assert after["daily"]["active"] is False
    registered.up("--refresh", "--expect-no-changes")


def test_an_edit_outside_is_shown_field_by_field_and_reverted(registered: Any, prefect: Any) -> None:
    live = prefect.deployment("flow", "one")
    prefect.call("PATCH", f"/deployments/{live['id']}", {"description": "Theirs.", "tags": []})
    prefect.call("PATCH", "/work_pools/pool", {"concurrency_limit": 1})
    shown = registered.preview("--refresh")
    assert '"Theirs." => "The first."' in shown
    assert "concurrency_limit" in shown
    result = registered.up("--refresh")
    assert result.fields("one") == ["description", "tags"]
    assert result.fields("pool") == ["concurrency_limit"]
    assert prefect.deployment("flow", "one")["description"] == "The first."
    assert prefect.pool("pool")["concurrency_limit"] is None


def test_what_was_deleted_outside_is_created_again(registered: Any, prefect: Any) -> None:
    prefect.call("DELETE", f"/deployments/{prefect.deployment('flow', 'two')['id']}")
    assert registered.up("--refresh").steps() == {"two": "create"}
    prefect.call("DELETE", f"/deployments/{prefect.deployment('flow', 'one')['id']}")
    prefect.call("DELETE", "/work_pools/pool")
    registered.up("--refresh")
    assert prefect.deployment("flow", "one")["work_pool_name"] == "pool"
    assert prefect.deployment("flow", "two")["work_pool_name"] == "pool"
    registered.up("--refresh", "--expect-no-changes")


def test_what_exists_without_an_owner_is_adopted_with_its_id_if_it_is_listed(stack: Any, prefect: Any) -> None:
    pool = prefect.call("POST", "/work_pools/", {"name": "pool", "type": "kubernetes"})
    flow = prefect.call("POST", "/flows/", {"name": "flow"})
    schedule = {"slug": "daily", "schedule": {"cron": "0 1 * * *"}, "active": False}
    body = {"name": "one", "flow_id": flow["id"], "work_pool_name": "pool", "schedules": [schedule]}
    deployment = prefect.call("POST", "/deployments/", body)
    stack.pool()
    stack.deployment("one", pool="pool", schedules=[DAILY])
    refused = stack.attempt("preview")
    assert refused.code != 0
    assert "add 'work-pool/pool' to `adopt` in the stack file" in refused.text
    for number, listed in enumerate(("work-pool/pool", "deployment/flow/*")):
        stack.run("config", "set", "--path", f"adopt[{number}]", listed)
    shown = stack.preview()
    assert "work pool 'pool' exists and will be adopted" in shown
    assert "deployment 'flow/one' exists and will be adopted" in shown
    stack.up()
    live = prefect.deployment("flow", "one")
    assert live["id"] == deployment["id"]
    assert prefect.pool("pool")["id"] == pool["id"]
    assert [(item["schedule"]["cron"], item["active"]) for item in live["schedules"]] == [("0 6 * * *", False)]
    stack.up("--refresh", "--expect-no-changes")


def test_what_another_stack_owns_is_refused_in_the_preview(registered: Any) -> None:
    registered.run("stack", "init", "other")
    result = registered.attempt("preview", "--stack", "other")
    assert result.code != 0
    assert "registration-test/test has registered it, and this is registration-test/other" in result.text
    assert "Traceback" not in result.text


def test_another_name_replaces_and_leaves_nothing_of_the_old_one(registered: Any, prefect: Any) -> None:
    registered.declared["deployments"]["two"]["name"] = "renamed"
    registered.up()
    assert prefect.deployment("flow", "two") is None
    assert prefect.deployment("flow", "renamed")
    registered.up("--refresh", "--expect-no-changes")


def test_a_pool_renamed_takes_its_deployments_along(registered: Any, prefect: Any) -> None:
    registered.declared["pools"]["pool"]["name"] = "lake"
    registered.up()
    assert prefect.pool("pool") is None
    assert prefect.deployment("flow", "one")["work_pool_name"] == "lake"
    registered.up("--refresh", "--expect-no-changes")


def test_a_resource_renamed_in_the_program_or_replaced_by_force_keeps_its_object(registered: Any, prefect: Any) -> None:
    before = prefect.deployment("flow", "two")["id"]
    registered.declared["deployments"]["other"] = registered.declared["deployments"].pop("two")
    registered.up()
    assert prefect.deployment("flow", "two")["id"] == before
    kind = "pulumi-python:dynamic/prefect:Deployment"
    registered.up("--replace", f"urn:pulumi:test::registration-test::{kind}::other")
    assert prefect.deployment("flow", "two")["id"] == before
    registered.up("--refresh", "--expect-no-changes")


def test_a_deployment_that_is_no_longer_declared_is_deleted_and_the_others_stay(registered: Any, prefect: Any) -> None:
    del registered.declared["deployments"]["two"]
    registered.up()
    assert prefect.deployment("flow", "two") is None
    assert prefect.deployment("flow", "one")


def test_destroying_leaves_nothing(registered: Any, prefect: Any) -> None:
    registered.destroy()
    assert prefect.deployment("flow", "one") is None
    assert prefect.deployment("flow", "two") is None
    assert prefect.pool("pool") is None


def test_destroying_with_the_program_leaves_nothing_either(registered: Any, prefect: Any) -> None:
    registered.run("destroy", "--yes", "--skip-preview", "--run-program")
    assert prefect.deployment("flow", "one") is None
    assert prefect.pool("pool") is None


def test_destroying_what_is_gone_already_succeeds(registered: Any, prefect: Any) -> None:
    prefect.call("DELETE", f"/deployments/{prefect.deployment('flow', 'one')['id']}")
    prefect.call("DELETE", "/work_pools/pool")
    registered.destroy()


def test_a_refusal_by_the_server_is_one_sentence_without_a_traceback(stack: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool", schedules=[{"slug": "a", "cron": "61 * * * *"}])
    result = stack.try_up()
    assert result.code != 0
    assert "Traceback" not in result.text
    said = [line for line in result.messages().splitlines() if "Could not register" in line]
    assert said
    assert 'Invalid cron string: "61 * * * *"' in said[0]
    assert "deployment 'flow/one'" in said[0]


def test_a_bug_of_the_provider_keeps_its_traceback(stack: Any) -> None:
    stack.pool(base_job_template="no mapping")
    result = stack.try_up()
    assert result.code != 0
    assert "Traceback" in result.text


def test_without_a_server_a_preview_works_and_an_update_fails_within_its_deadline(
    stack: Any, unused_address: str
) -> None:
    stack.declared["reach"]["url"] = unused_address
    stack.pool()
    stack.deployment("one", pool="pool")
    assert "+ 3 to create" in stack.preview()
    started = time.monotonic()
    result = stack.try_up()
    assert time.monotonic() - started < 2 * api.DEADLINE
    assert result.code != 0
    assert f"at {unused_address}: no answer" in result.messages()
    assert "check that the server runs" in result.messages()
    assert "Traceback" not in result.text


def test_a_refresh_without_a_server_keeps_the_state_and_says_what_was_not_compared(
    registered: Any, unused_address: str, proxy: Any
) -> None:
    before = registered.export()["deployment"]["resources"]
    registered.declared["reach"]["url"] = unused_address
    proxy.upstream = unused_address
    result = registered.attempt("refresh", "--yes", "--skip-preview")
    assert result.code == 0, result.text
    assert "work pool 'pool' could not be compared with the server" in result.text
    after = registered.export()["deployment"]["resources"]
    assert [item["urn"] for item in after] == [item["urn"] for item in before]


def test_a_credential_is_sent_and_never_shown(stack: Any, proxy: Any) -> None:
    canary = "canary-8d1f3c"
    proxy.authorization = f"Bearer {canary}"
    stack.declared["reach"]["auth"] = "api-key"
    stack.run("config", "set", "--secret", "prefectApiKey", canary)
    stack.pool()
    stack.deployment("one", pool="pool")
    shown = [stack.preview(), stack.up().text, str(stack.export()), stack.run("refresh", "--yes").text]
    assert all(canary not in text for text in shown)
    proxy.authorization = "Bearer another"
    stack.declared["deployments"]["one"]["description"] = "New."
    refused = stack.try_up()
    assert "check the credentials (PREFECT_API_KEY or the stack's prefectApiKey)" in refused.text
    assert canary not in refused.text
    stack.environment["PREFECT_API_KEY"] = "another"
    stack.up()
    stack.destroy()


def test_a_value_from_the_environment_is_a_secret_in_state_preview_and_events(stack: Any, prefect: Any) -> None:
    canary = "canary-5b7a90"
    stack.pool()
    stack.deployment("one", pool="pool", parameters={"token": canary}, secret_fields=["parameters"])
    texts = [stack.preview(), stack.up().text, str(stack.export())]
    live = prefect.deployment("flow", "one")
    assert live["parameters"] == {"token": canary}
    prefect.call("PATCH", f"/deployments/{live['id']}", {"parameters": {"token": f"{canary}-edited"}})
    texts += [stack.preview("--refresh"), stack.up("--refresh").text, str(stack.export())]
    assert prefect.deployment("flow", "one")["parameters"] == {"token": canary}
    assert all(canary not in text for text in texts)


@pytest.fixture
def unused_address() -> str:
    """Return the address of an API where no server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/api"
