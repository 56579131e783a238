"""The Prefect objects around the deployments, from both files to resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from infra import program, validation
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec
from tests.mocks import Recorder, Render
from tools.paths import ROOT

CONFIG = {
    key.removeprefix("ephemeral-dask:"): value
    for key, value in yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"].items()
    # Settings of the sample flows.
    if key != "ephemeral-dask:deployments"
}
AUTOMATION = {"trigger": {"expect": ["a"]}, "actions": [{"type": "do-nothing"}]}
_TRIGGER = {"name": "t", "trigger": {"type": "event", "expect": ["b"]}}


@pytest.fixture(autouse=True)
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "export", lambda *_: None)


def _declare(monkeypatch: pytest.MonkeyPatch, *specs: DeploymentSpec) -> None:
    monkeypatch.setattr(validation, "load_deployments", lambda *_, **__: specs)
    monkeypatch.setattr(validation, "check_imports", lambda *_, **__: [])


def _spec(**fields: Any) -> DeploymentSpec:
    return DeploymentSpec(**{"flow_name": "flow", "name": "one", "entrypoint": "flows.x.y", **fields})


def _of(recorder: Recorder, kind: str) -> Mapping[str, Mapping[str, Any]]:
    return {each["name"]: each for each in recorder.of(f"prefect:{kind}")}


def test_declared_objects_are_registered(render: Render) -> None:
    config = {
        **CONFIG,
        "variables": {"answer": {"value": 42}},
        "concurrencyLimits": {"database": {"limit": 5}},
        "workPools": {"dask": {"workQueues": {"fast": {"priority": 1, "paused": True}}}},
        "automations": {"mine": AUTOMATION},
    }
    recorder = render(program.deploy, config)
    assert _of(recorder, "Variable")["answer"]["value"] == 42
    assert _of(recorder, "GlobalConcurrencyLimit")["database"]["limit"] == 5
    queue = _of(recorder, "WorkQueue")["fast"]
    assert (queue["work_pool_name"], queue["priority"], queue["is_paused"]) == ("dask", 1, True)
    assert _of(recorder, "Automation")["mine"]["trigger"] == {"type": "event", "expect": ["a"]}


def test_a_queue_that_a_deployment_names_is_created_before_it(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, _spec(work_queue_name="slow"), _spec(name="two"))
    recorder = render(program.deploy, CONFIG)
    assert set(_of(recorder, "WorkQueue")) == {"slow"}
    queues = {name: each["work_queue_name"] for name, each in _of(recorder, "Deployment").items()}
    assert queues == {"one": "slow", "two": "default"}
    names = [each.name for each in recorder.resources]
    assert names.index("queue-dask-slow") < names.index("flow-one")


def test_no_automation_judges_runs(render: Render) -> None:
    """One that waits for heartbeats calls every live run Crashed when the server is back after an outage."""
    recorder = render(program.deploy, {**CONFIG, "flowRun": {"heartbeatSeconds": 30, "crashedAfter": 90}})
    assert _of(recorder, "Automation") == {}
    [pool] = recorder.of("prefect:WorkPool")
    environment = pool["base_job_template"]["job_configuration"]["env"]
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_a_trigger_of_a_deployment_belongs_to_it(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = AutomationSpec(**_TRIGGER, actions=({"type": "run-deployment", "parameters": {"a": 1}},))
    _declare(monkeypatch, _spec(triggers=(trigger,)))
    recorder = render(program.deploy, CONFIG)
    made = _of(recorder, "Automation")["t"]
    assert made["deployment"] == "flow/one"
    assert made["actions"][0]["parameters"] == {"a": 1}


def test_an_action_may_name_what_it_acts_on(render: Render) -> None:
    actions = [
        {"type": "run-deployment", "deployment": "primes/default"},
        {"type": "pause-work-pool", "work_pool": "dask"},
        {"type": "pause-work-queue", "work_queue": "dask/fast"},
    ]
    config = {
        **CONFIG,
        "workPools": {"dask": {"workQueues": {"fast": {}}}},
        "automations": {"mine": {**AUTOMATION, "actions": actions}},
    }
    made = _of(render(program.deploy, config), "Automation")["mine"]["actions"]
    assert all(not {"deployment", "work_pool", "work_queue"} & set(action) for action in made)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {
                "automations": {
                    "a": {**AUTOMATION, "actions": [{"type": "run-deployment", "deployment": "primes/defualt"}]}
                }
            },
            "automations.a.actions.0: deployment 'primes/defualt' is not declared; did you mean 'primes/default'?",
        ),
        (
            {
                "automations": {
                    "a": {**AUTOMATION, "actions": [{"type": "pause-work-queue", "work_queue": "dask/fast"}]}
                }
            },
            "work_queue 'dask/fast' is not declared",
        ),
    ],
)
def test_an_undeclared_name_is_refused_before_the_first_resource(
    config: dict[str, Any], sentence: str, render: Render
) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**CONFIG, **config})
    assert sentence in str(caught.value)


def test_an_automation_named_like_a_deployments_trigger_is_refused(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    _declare(monkeypatch, _spec(triggers=(AutomationSpec(**_TRIGGER, actions=({"type": "x"},)),)))
    with pytest.raises(pulumi.RunError, match="deployment 'flow/one' has a trigger of that name; rename one"):
        render(program.deploy, {**CONFIG, "automations": {"t": AUTOMATION}})


def test_a_secret_that_others_could_read_is_refused_without_its_value(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_config_secret", lambda key: key.endswith(":variables"))
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**CONFIG, "variables": {"a": {"value": "canary"}}})
    assert "ephemeral-dask:variables: holds a secret" in str(caught.value)
    assert "canary" not in str(caught.value)
