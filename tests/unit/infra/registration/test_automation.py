"""What is special about automations: names that are not unique, and a deployment that may own them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pulumi.output import Unknown

from infra.registration import session
from infra.registration.automation import AutomationArgs, AutomationProvider, inputs
from infra.registration.endpoint import Url
from infra.registration.errors import RegistrationError

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]  # Pulumi leaves it untyped
OWNED = {"deployment": "flow/one", "deployment_id": "d-1"}


def _props(**fields: Any) -> dict[str, Any]:
    base = {"name": "one", "trigger": {"expect": ["a"]}, "actions": [{"type": "do-nothing"}]}
    return inputs(
        AutomationArgs(**{"endpoint": Url(url="http://prefect.test/api"), **base, **fields}), "project/dev/one"
    )


@pytest.fixture
def automation(engine: Any) -> Any:
    return engine(AutomationProvider())


def _by_hand(prefect: Any, **fields: Any) -> str:
    body = {"name": "one", "trigger": {"type": "event", "posture": "Reactive"}, "actions": [], **fields}
    made = prefect._route("POST", ["automations"], body)[1]
    return str(made["id"])


def test_enabling_does_not_write_the_trigger_which_would_reset_its_count(automation: Any, prefect: Any) -> None:
    automation.up(_props(enabled=True))
    [live] = prefect.objects.automations.values()
    trigger = live["trigger"]["id"]
    automation.up(_props(enabled=False))
    assert live["enabled"] is False
    assert live["trigger"]["id"] == trigger


def test_an_automation_paused_by_hand_stays_paused_unless_the_file_says_otherwise(
    automation: Any, prefect: Any
) -> None:
    automation.up(_props())
    [live] = prefect.objects.automations.values()
    live["enabled"] = False
    automation.refresh()
    assert automation.up(_props(description="New.")) == ["description"]
    assert live["enabled"] is False
    automation.up(_props(description="New.", enabled=True))
    assert live["enabled"] is True


def test_a_registered_automation_is_looked_up_by_its_id(automation: Any, prefect: Any) -> None:
    automation.up(_props())
    [ours] = prefect.objects.automations
    _by_hand(prefect)
    _by_hand(prefect)
    automation.up(_props(description="New."))
    assert prefect.objects.automations[ours]["description"].startswith("New.")


def test_an_automation_renamed_outside_gets_its_name_back(
    automation: Any, prefect: Any, new_process: Callable[[], None]
) -> None:
    automation.up(_props())
    [live] = prefect.objects.automations.values()
    live["name"] = "theirs"
    automation.refresh()
    news = automation.marshalled(_props())
    assert automation.provider.diff("", automation.state, news).replaces == ["name"]
    new_process()
    automation.provider.create(news)
    automation.destroy()
    assert [item["name"] for item in prefect.objects.automations.values()] == ["one"]


def test_several_automations_without_an_owner_are_not_adopted(automation: Any, prefect: Any) -> None:
    _by_hand(prefect)
    _by_hand(prefect)
    [failure] = automation.provider.check({}, automation.marshalled(_props())).failures
    assert "there are 2 automations of that name; delete all but one" in failure.reason
    with pytest.raises(RegistrationError, match="cannot be adopted"):
        automation.provider.create(automation.marshalled(_props()))


def test_the_duplicate_of_a_lost_response_is_deleted(automation: Any, prefect: Any) -> None:
    fields = automation.marshalled(_props())
    # The server has done what it was asked, its answer was lost, and the client asks again.
    twin = _by_hand(prefect, description="ephemeral-dask/owner: project/dev")
    stranger = _by_hand(prefect)
    made = AutomationProvider().create_live(session.api(fields), fields)
    assert set(prefect.objects.automations) == {made["id"], stranger}
    assert twin != made["id"]


def test_two_deployments_may_have_triggers_with_the_same_name(engine: Any, prefect: Any) -> None:
    one, two = engine(AutomationProvider()), engine(AutomationProvider())
    one.up(_props(**OWNED))
    two.up(_props(deployment="flow/two", deployment_id="d-2"))
    assert sorted(prefect.objects.owned.values()) == ["prefect.deployment.d-1", "prefect.deployment.d-2"]
    assert one.id == "flow/one/one"
    for resource, props in ((one, _props(**OWNED)), (two, _props(deployment="flow/two", deployment_id="d-2"))):
        resource.refresh()
        assert resource.diff(props) == []


@pytest.mark.usefixtures("adopting")
def test_an_automation_created_by_prefect_deploy_is_adopted(automation: Any, prefect: Any) -> None:
    theirs = _by_hand(prefect, owner_resource="prefect.deployment.d-1")
    _by_hand(prefect)
    automation.up(_props(**OWNED))
    assert automation.state["automation_id"] == theirs


def test_the_automation_of_a_recreated_deployment_is_recreated(automation: Any, prefect: Any) -> None:
    automation.up(_props(**OWNED))
    again = {**OWNED, "deployment_id": "d-9"}
    assert automation.up(_props(**again)) == ["deployment_id"]
    [live] = prefect.objects.automations
    assert prefect.objects.owned[live] == "prefect.deployment.d-9"


def test_a_deployment_that_does_not_exist_yet_has_no_automation(automation: Any, prefect: Any) -> None:
    news = {**automation.marshalled(_props(**OWNED)), "deployment_id": UNKNOWN}
    assert automation.provider.check({}, news).failures == []
    assert all(not path.startswith("/automations") for _, path, _ in prefect.requests)


def test_an_unknown_deployment_id_counts_as_a_change(automation: Any) -> None:
    automation.up(_props(**OWNED))
    news = {**automation.marshalled(_props(**OWNED)), "deployment_id": UNKNOWN}
    assert automation.provider.changed(automation.state, news) == ["deployment_id"]


def test_empty_tags_are_not_sent_because_old_servers_refuse_them(automation: Any, prefect: Any) -> None:
    automation.up(_props())
    assert all("tags" not in body for _, _, body in prefect.writes)
    automation.up(_props(tags=("a",)))
    automation.up(_props())
    [live] = prefect.objects.automations.values()
    assert live["tags"] == []


def test_trigger_fields_of_a_newer_prefect_are_not_drift(automation: Any, prefect: Any) -> None:
    automation.up(_props())
    [live] = prefect.objects.automations.values()
    live["trigger"]["cooldown"] = None
    live["actions"][0]["label"] = "x"
    automation.refresh()
    assert automation.diff(_props()) == []
