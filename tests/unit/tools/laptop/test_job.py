from __future__ import annotations

import pytest

from infra import settings
from infra.specs.deployment import DeploymentSpec
from infra.validation import Plan
from tools.errors import Problem
from tools.laptop import job
from tools.runs.arguments import parse

SCHEMA = {"properties": {"parts": {"type": "integer"}, "label": {"type": "string"}}, "required": ["parts"]}
SPECS = (
    DeploymentSpec(
        flow_name="primes",
        name="default",
        entrypoint="flows.primes.primes",
        tags=("example",),
        parameters={"parts": 3},
        parameter_schema=SCHEMA,
        job_variables={"dask_maximum": 4, "dask_profile": "large", "env": {"GREETING": "hello"}, "cpu_request": "1"},
    ),
    DeploymentSpec(
        flow_name="far",
        name="away",
        entrypoint="flows.far.far",
        pull_steps=({"prefect.deployments.steps.git_clone": {"repository": "r"}},),
    ),
)
PLAN = Plan(
    settings=settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev"),
    deployments={"dask": SPECS},
)


def plan(name: str = "", parameters: str = "", variables: str = "") -> job.Job:
    return job.plan(PLAN, name, parse(parameters, "PARAMS"), parse(variables, "VARS"))


def test_without_a_name_it_is_the_sample() -> None:
    assert plan().name == "primes/default"


def test_typed_parameters_take_precedence_over_those_of_the_deployment() -> None:
    assert plan("primes/default").parameters == {"parts": 3}
    assert plan("primes/default", "parts=5 label=2").parameters == {"parts": 5, "label": "2"}


def test_sizes_and_env_reach_the_flow_as_in_a_pod_and_what_only_pods_have_does_not() -> None:
    assert plan(variables="dask_maximum=2").environment == {"GREETING": "hello", "EPHEMERAL_DASK_MAXIMUM": "2"}


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("primes/defualt", "", r"did you mean 'primes/default'(.|\n)*far/away"),
        ("primes/default", "pats=1", "no parameter 'pats'"),
        ("far/away", "", "fetches its code when it runs"),
    ],
)
def test_a_run_that_cannot_be_started_is_refused_before_a_server_starts(
    name: str, parameters: str, sentence: str
) -> None:
    with pytest.raises(Problem, match=sentence):
        plan(name, parameters)
