from __future__ import annotations

from typing import Any

import pytest

from infra import job_template, settings
from infra.job_template import JobTemplateArgs
from tools.errors import Problem
from tools.runs.arguments import parse
from tools.runs.checks import check_parameters, check_variables

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "folds": {"type": "integer", "minimum": 2, "default": 5},
        "report": {"allOf": [{"$ref": "#/definitions/Report"}]},
        "day": {"type": "string"},
    },
    "required": ["report"],
    "definitions": {"Report": {"type": "object", "properties": {"least": {"type": "integer"}}, "required": ["least"]}},
}


def parameters(text: str, **defaults: Any) -> dict[str, Any]:
    return check_parameters(parse(text, "PARAMS"), SCHEMA, defaults)


def variables(text: str) -> dict[str, Any]:
    stack = settings.parse(
        {"image": {"builder": "docker-build", "registry": "r"}, "dask": {"ceiling": 16}}, stack="dev"
    )
    template = job_template.build(JobTemplateArgs.of(stack, "dask", image="i", credential={}))
    return check_variables(parse(text, "VARS"), template, "dask")


def test_parameters_that_fit_are_handed_on() -> None:
    assert parameters('report={"least": 5} folds=3') == {"report": {"least": 5}, "folds": 3}


def test_a_bare_number_is_text_where_a_string_is_asked_for() -> None:
    assert parameters('day=2026 report={"least":1}')["day"] == "2026"
    assert variables("name=2 dask_maximum=2") == {"name": "2", "dask_maximum": 2}


def test_a_bare_number_is_a_quantity() -> None:
    assert variables("dask_worker_cpu=2") == {"dask_worker_cpu": 2}


def test_a_parameter_that_the_deployment_has_is_not_required() -> None:
    assert parameters("folds=3", report={"least": 1}) == {"folds": 3}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('fold=3 report={"least": 1}', "the flow has no parameter 'fold' (did you mean 'folds'?)"),
        ('xyz=3 report={"least": 1}', "the flow has no parameter 'xyz'; known are folds, report, day"),
        ("folds=3", "parameter 'report' is required"),
        ('folds=1 report={"least": 1}', "parameter 'folds': 1 is less than the minimum of 2"),
        ('report={"least": "a"}', "parameter 'report'.least: 'a' is not of type 'integer'"),
        ("report={}", "parameter 'report': 'least' is a required property"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_a_run_exists(text: str, error: str) -> None:
    with pytest.raises(Problem) as caught:
        parameters(text)
    assert error in caught.value.detail
    assert "no run was started" in str(caught.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(Problem) as caught:
        parameters("fold=3 day=[]")
    assert [line.split("'")[1] for line in caught.value.detail.splitlines()] == ["fold", "report", "day"]


def test_without_a_schema_parameters_are_left_to_the_server() -> None:
    assert check_parameters(parse("anything=1", "PARAMS"), {}, {}) == {"anything": 1}


def test_a_flow_without_parameters_takes_none() -> None:
    with pytest.raises(Problem, match="has no parameter 'a', and takes none"):
        check_parameters(parse("a=1", "PARAMS"), {"properties": {}}, {})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("dask_maximum=40", "dask_maximum 40 is above the stack's dask.ceiling (16)"),
        ("dask_profil=spot", "work pool 'dask' has no job variable 'dask_profil' (did you mean 'dask_profile'?)"),
        ("dask_maximum=0", "job variable 'dask_maximum': 0 is less than the minimum of 1"),
        ("dask_scaling=slow", "job variable 'dask_scaling': 'slow' is not one of"),
    ],
)
def test_job_variables_that_do_not_fit_the_work_pool_are_refused(text: str, error: str) -> None:
    with pytest.raises(Problem) as caught:
        variables(text)
    assert error in caught.value.detail
