"""What `make laptop` runs: a deployment of prefect.yaml, with the parameters and sizes that were typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ephemeral_dask.contract import knobs
from infra.specs.deployment import DeploymentSpec
from infra.validation import Plan
from tools.errors import Problem
from tools.runs import checks
from tools.runs.arguments import Value, json_values
from tools.runs.deployments import did_you_mean
from tools.verbs import demo


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run.

    Attributes:
        name: `<flow>/<deployment>`.
        entrypoint: of the flow.
        parameters: of the flow.
        environment: the sizes of its Dask cluster and the job variable `env`, as a flow pod would have them.

    """

    name: str
    entrypoint: str
    parameters: Mapping[str, Any]
    environment: Mapping[str, str]


def plan(deployments: Plan, name: str, parameters: Mapping[str, Value], variables: Mapping[str, Value]) -> Job:
    """Return the run of a deployment.

    Args:
        deployments: of prefect.yaml.
        name: `<flow>/<deployment>`; empty for the sample.
        parameters: that were typed, beside those of the deployment.
        variables: job variables that were typed.

    Raises:
        Problem: there is no such deployment, a parameter does not fit, or its code is fetched from elsewhere.

    """
    specs = {spec.key: spec for members in deployments.deployments.values() for spec in members}
    spec = specs.get(name or demo.sample(deployments))
    if spec is None:
        known = "\n".join(["Deployments of prefect.yaml:", *(f"  {each}" for each in sorted(specs))])
        what = f"There is no deployment '{name}'{did_you_mean(name, specs)}" if name else "FLOW is not set"
        raise Problem(what, remedy="Set FLOW=<flow>/<deployment>", detail=known)
    if spec.pull_steps:
        raise Problem(
            f"Deployment {spec.key} fetches its code when it runs, and `make laptop` runs the code of this folder",
            remedy="Clone that code and start the flow there: `python -m <module>`",
        )
    typed = checks.check_parameters(parameters, spec.parameter_schema, spec.parameters)
    return Job(
        name=spec.key,
        entrypoint=spec.entrypoint,
        parameters={**spec.parameters, **typed},
        environment=_environment(spec, json_values(variables)),
    )


def _environment(spec: DeploymentSpec, typed: Mapping[str, Any]) -> dict[str, str]:
    values = {**spec.job_variables, **typed}
    # A profile is the stack's: what it adds to pods is not on this machine.
    sizes = {
        knob.variable: str(values[knob.name])
        for knob in knobs.SIZES
        if knob is not knobs.PROFILE and values.get(knob.name) is not None
    }
    own = values.get("env") or {}
    return {**{str(name): str(value) for name, value in own.items()}, **sizes}
