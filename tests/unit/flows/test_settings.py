from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import environment as env
from flows.runtime.settings import CodeSizes, DaskSettings, SettingsError


def resolve(environ: dict[str, str] | None = None, **code: object) -> DaskSettings:
    return DaskSettings.from_env(environ or {}, CodeSizes(**code))  # type: ignore[arg-type]  # a test may ask wrongly


def test_the_run_goes_before_the_code_the_code_before_the_stack_and_the_stack_before_the_built_in() -> None:
    run, stack = env.DASK_MAXIMUM.variable, env.DASK_MAXIMUM.default_variable
    assert resolve({run: "7", stack: "5"}, maximum=6).maximum == 7
    assert resolve({stack: "5"}, maximum=6).maximum == 6
    assert resolve({stack: "5"}).maximum == 5
    assert resolve().maximum == 4


@pytest.mark.parametrize("variable", env.JOB_VARIABLES, ids=lambda variable: variable.name)
def test_every_job_variable_reaches_the_settings(variable: env.JobVariable) -> None:
    value: dict[str, str] = {"integer": "3", "string": "3Gi"}
    settings = resolve({variable.variable: value[variable.type]})
    assert str(getattr(settings, variable.name.removeprefix("dask_"))) == value[variable.type]


@pytest.mark.parametrize("variable", env.JOB_VARIABLES, ids=lambda variable: variable.name)
def test_an_empty_variable_counts_as_unset(variable: env.JobVariable) -> None:
    assert resolve({variable.variable: "", variable.default_variable: ""}) == resolve()


def test_an_argument_in_code_beyond_the_ceiling_is_cut_down_with_a_remark_that_names_it() -> None:
    settings = resolve({env.CEILING: "3"}, minimum=5, maximum=50)
    assert (settings.minimum, settings.maximum) == (3, 3)
    assert any("50" in remark and "maximum= of ephemeral_dask()" in remark for remark in settings.remarks)


def test_a_run_cannot_go_beyond_the_ceiling_either() -> None:
    assert resolve({env.CEILING: "3", env.DASK_MAXIMUM.variable: "9"}).maximum == 3


def test_the_built_in_default_bows_to_the_ceiling_without_a_remark() -> None:
    settings = resolve({env.CEILING: "2"})
    assert (settings.maximum, settings.remarks) == (2, ())


def test_a_maximum_below_the_minimum_of_the_same_voice_is_refused() -> None:
    with pytest.raises(SettingsError, match="maximum=2 workers, below its minimum=3"):
        CodeSizes(minimum=3, maximum=2)
    with pytest.raises(SettingsError, match=env.DASK_MAXIMUM.variable):
        resolve({env.DASK_MINIMUM.variable: "3", env.DASK_MAXIMUM.variable: "2"})


def test_a_run_that_asks_for_fewer_workers_than_the_codes_minimum_gets_fewer() -> None:
    settings = resolve({env.DASK_MAXIMUM.variable: "2"}, minimum=4, maximum=8)
    assert (settings.minimum, settings.maximum) == (2, 2)
    assert len(settings.remarks) == 1


def test_a_minimum_in_code_above_the_default_maximum_raises_the_maximum() -> None:
    settings = resolve({}, minimum=9)
    assert (settings.minimum, settings.maximum) == (9, 9)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (env.DASK_MAXIMUM.variable, "many"),
        (env.DASK_MAXIMUM.variable, "0"),
        (env.DASK_MINIMUM.default_variable, "1.5"),
        (env.DASK_WORKER_CPU.variable, "half"),
        (env.DASK_WORKER_MEMORY.variable, "2GB"),
        (env.DASK_WORKER_MEMORY.default_variable, "64Mi"),
        (env.DASK_IDLE_TIMEOUT.variable, "-5"),
        (env.CEILING, "none"),
        (env.CEILING, "0"),
    ],
)
def test_a_bad_variable_is_refused_in_one_sentence_with_its_name_and_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        resolve({variable: value})
    assert variable in str(refusal.value)
    assert value in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "argument",
    [
        {"maximum": 0},
        {"maximum": True},
        {"maximum": "4"},
        {"worker_cpu": "a lot"},
        {"worker_memory": "64Mi"},
        {"worker_threads": 1.5},
    ],
)
def test_a_bad_argument_is_refused_when_the_flow_is_decorated(argument: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(argument))):
        CodeSizes(**argument)  # type: ignore[arg-type]  # wrong on purpose


SOURCES = (
    env.DASK_MINIMUM.variable,
    env.DASK_MAXIMUM.variable,
    env.DASK_MINIMUM.default_variable,
    env.DASK_MAXIMUM.default_variable,
    env.CEILING,
)
sizes = st.none() | st.integers(1, 200)


@given(asked=st.fixed_dictionaries(dict.fromkeys(SOURCES, sizes)), code_low=sizes)
def test_whatever_is_asked_the_minimum_is_within_the_maximum_and_the_maximum_within_the_ceiling(
    asked: dict[str, int | None], code_low: int | None
) -> None:
    try:
        settings = resolve({name: str(value) for name, value in asked.items() if value}, minimum=code_low)
    except SettingsError:
        return
    assert 1 <= settings.minimum <= settings.maximum <= (asked[env.CEILING] or 10**6)
