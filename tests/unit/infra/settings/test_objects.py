"""Variables, limits, queues and automations in the stack's file: what is accepted and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from infra import settings
from infra.prefect_yaml import automation as automation_yaml
from tools.paths import ROOT

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
AUTOMATION = {"trigger": {"expect": ["a"]}, "actions": [{"type": "do-nothing"}]}


def _parsed(**values: Any) -> settings.Settings:
    return settings.parse({"image": IMAGE, **values}, stack="dev")


def test_every_kind_of_object_is_accepted() -> None:
    checked = _parsed(
        variables={"answer": {"value": {"a": [1, None]}, "tags": ["x"]}, "nothing": {"value": None}},
        concurrencyLimits={"database": {"limit": 5, "slotDecayPerSecond": 1}, "tag:heavy": {"limit": 0}},
        workPools={"dask": {"workQueues": {"fast": {"priority": 1, "concurrencyLimit": 2, "paused": True}}}},
        automations={"a": {**AUTOMATION, "actions_on_trigger": [{"type": "do-nothing"}], "enabled": False}},
    )
    assert checked.variables["answer"].value == {"a": [1, None]}
    assert checked.concurrency_limits["database"].slot_decay_per_second == 1
    assert checked.work_pools["dask"].work_queues["fast"].paused is True
    spec = checked.automations["a"].spec("a")
    assert (spec.name, spec.enabled, spec.actions_on_trigger) == ("a", False, ({"type": "do-nothing"},))


def test_silent_runs_are_marked_crashed_by_default_and_null_switches_it_off() -> None:
    assert _parsed().flow_run.crashed_after == 300
    assert _parsed(flowRun={"crashedAfter": None}).flow_run.crashed_after is None


def test_the_examples_of_the_documentation_are_accepted() -> None:
    page = (ROOT / "docs" / "prefect-objects.md").read_text()
    stack_file, prefect_yaml, adopted = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    values = yaml.safe_load(stack_file)["config"]
    checked = _parsed(**{key.removeprefix("ephemeral-dask:"): value for key, value in values.items()})
    assert len(checked.automations) == 2
    assert len(_parsed(adopt=yaml.safe_load(adopted)["config"]["ephemeral-dask:adopt"]).adopt) == 3
    [deployment] = yaml.safe_load(prefect_yaml)["deployments"]
    assert (
        automation_yaml.parse_deployment_trigger(deployment["triggers"][0], 1, "default", warn=print).actions[0][
            "schedule_after"
        ]
        == 300
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"adopt": ["dask"]},
            "ephemeral-dask:adopt.0: 'dask' is not <kind>/<name>: write one of deployment, work-pool",
        ),
        ({"adopt": ["queue/dask/fast"]}, "ephemeral-dask:adopt.0: 'queue/dask/fast' is not <kind>/<name>"),
        ({"variables": {"a b": {"value": 1}}}, "ephemeral-dask:variables.a b: 'a b' is not a valid variable name"),
        ({"variables": {"a": 1}}, "ephemeral-dask:variables.a: "),
        (
            {"variables": {"a": {"value": 1, "vaule": 1}}},
            "variables.a.vaule: there is no such key; did you mean 'value'?",
        ),
        ({"variables": {"a": {"value": "x" * 5000}}}, "variables.a.value: is longer than 5000 characters as JSON"),
        ({"variables": {"a": {"value": [2**60]}}}, "variables.a.value: holds a number too large for Pulumi"),
        ({"concurrencyLimits": {"a/b": {"limit": 1}}}, "'a/b' has one of / % & < >"),
        ({"concurrencyLimits": {"deployment:1": {"limit": 1}}}, "'deployment:1' is Prefect's own"),
        ({"concurrencyLimits": {"a": {"limit": -1}}}, "concurrencyLimits.a.limit: "),
        (
            {"concurrencyLimits": {"a": {"limit": 1, "limt": 1}}},
            "concurrencyLimits.a.limt: there is no such key; did you mean",
        ),
        (
            {"workPools": {"dask": {"workQueues": {"a": {"priorty": 1}}}}},
            "workPools.dask.workQueues.a.priorty: there is no such key; did you mean 'priority'?",
        ),
        (
            {"workPools": {"dask": {"workQueues": {"a": {"priority": 1}, "b": {"priority": 1}}}}},
            "workPools.dask.workQueues: 'a' and 'b' both have priority 1; give each its own",
        ),
        ({"automations": {"a": {**AUTOMATION, "actions": []}}}, "automations.a.actions: "),
        ({"automations": {"a": {"actions": [{"type": "do-nothing"}]}}}, "automations.a.trigger: is missing"),
        (
            {"automations": {"a": {**AUTOMATION, "trigger": {"triggers": [{"expcet": ["x"]}]}}}},
            "automations.a.trigger: triggers.0.expcet: a trigger of type event has no key 'expcet'; did you mean",
        ),
        (
            {"automations": {"a": {**AUTOMATION, "actions": [{"type": "run-deployment"}]}}},
            "automations.a.actions.0: an action of type run-deployment needs one of deployment or deployment_id",
        ),
        ({"automations": {"a": {**AUTOMATION, "trigers": {}}}}, "automations.a.trigers: there is no such key"),
        ({"flowRun": {"heartbeatSeconds": 101}}, "flowRun: crashedAfter is 300 and heartbeatSeconds 101"),
        ({"flowRun": {"heartbeatSeconds": 29}}, "flowRun.heartbeatSeconds: "),
    ],
)
def test_a_mistake_is_one_sentence_with_its_key(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        _parsed(**values)
    head, *problems = str(caught.value).splitlines()
    assert head == "Pulumi.dev.yaml is not valid, so nothing was changed:"
    assert len(problems) == 1
    assert sentence in problems[0]
