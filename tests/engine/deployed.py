"""Registers a prefect.yaml by this project and by Prefect's own command, and reads what the server then has."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.prefect_yaml.load import load_deployments
from infra.registration import automation
from infra.registration.automation import AutomationArgs, AutomationProvider
from infra.registration.deployment import DeploymentArgs, DeploymentProvider, inputs
from infra.registration.endpoint import Url
from infra.registration.ownership import split_owner_line
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec
from tests.support.prefect_deploy import without_ids

_BY_DESIGN = {"id", "created", "updated", "created_by", "updated_by", "labels", "last_polled", "status"}
"""What differs between any two registrations; labels have our owner."""


def registered(prefect: Any, *, key: Callable[[Any], str] = lambda item: str(item["name"])) -> dict[str, Any]:
    """Return the server's deployments by `key`, and delete them."""
    fields_of = {}
    for item in prefect.call("POST", "/deployments/filter", {}):
        fields = {name: value for name, value in item.items() if name not in _BY_DESIGN}
        limit = fields["global_concurrency_limit"]
        fields["global_concurrency_limit"] = limit and limit["limit"]
        kept = ("schedule", "active", "parameters", "max_scheduled_runs")
        fields["schedules"] = {
            # By design: a schedule without a slug gets one.
            schedule["slug"] or f"schedule-{number}": {name: schedule[name] for name in kept}
            for number, schedule in enumerate(fields["schedules"], 1)
        }
        fields["automations"] = _automations(prefect, item)
        fields_of[key(item)] = fields
        prefect.call("DELETE", f"/deployments/{item['id']}")
    return fields_of


def _automations(prefect: Any, deployment: Any) -> dict[str, Any]:
    """Return the deployment's automations by name, ids left out and sets in order; delete them."""
    fields_of = {}
    for item in prefect.call("GET", f"/automations/related-to/prefect.deployment.{deployment['id']}"):
        fields = {name: value for name, value in item.items() if name not in _BY_DESIGN}
        fields["description"] = split_owner_line(fields["description"])[0]
        fields["trigger"] = without_ids(fields["trigger"])
        [action] = fields["actions"]
        assert action.pop("deployment_id") == deployment["id"]
        fields_of[item["name"]] = fields
        prefect.call("DELETE", f"/automations/{item['id']}")
    return fields_of


def prefect_deploy(project: Path, address: str, environment: Mapping[str, str]) -> None:
    """Register all deployments of a project's file by the command `prefect deploy --all`."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=project,
        env={
            **os.environ,
            **environment,
            "PREFECT_API_URL": address,
            "PREFECT_HOME": str(project / "home"),
            "PREFECT_LOGGING_LEVEL": "ERROR",
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    if done.returncode != 0:
        pytest.fail(f"prefect deploy: {done.stdout[-2000:]}{done.stderr[-2000:]}", pytrace=False)


def deploy(project: Path, address: str, environment: Mapping[str, str]) -> None:
    """Register all deployments of a project's file by this project's providers."""
    for spec in load_deployments(project / "prefect.yaml", environment=environment):
        plain = dataclasses.replace(spec, secret_fields=frozenset())
        args = DeploymentArgs(endpoint=Url(url=address), spec=plain, work_pool_name="sample")
        props = {**inputs(args, "project/stack/resource"), "work_pool_name": spec.work_pool_name}
        made = (DeploymentProvider().create(props).outs or {})["deployment_id"]
        for trigger in spec.triggers:
            AutomationProvider().create(_automation(spec, trigger, made, address))


def _automation(spec: DeploymentSpec, trigger: AutomationSpec, deployment_id: str, address: str) -> dict[str, Any]:
    args = AutomationArgs(
        endpoint=Url(url=address),
        name=trigger.name,
        description=trigger.description,
        enabled=trigger.enabled,
        trigger=trigger.trigger,
        actions=[{**action, "deployment_id": deployment_id} for action in trigger.actions],
        deployment=spec.key,
        deployment_id=deployment_id,
    )
    return automation.inputs(args, "project/stack/resource")
