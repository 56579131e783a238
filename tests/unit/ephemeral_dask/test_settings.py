from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, profiles
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.profiles import LargeWorkers, Profile, Scheduler
from ephemeral_dask.settings import CodeSizes, DaskSettings, SettingsError


def resolve(environ: dict[str, str] | None = None, **code: object) -> DaskSettings:
    return DaskSettings.from_env(environ or {}, CodeSizes(**code))  # type: ignore[arg-type]  # a test may ask wrongly


def test_precedence_is_run_code_stack_built_in() -> None:
    run, stack = knobs.MAXIMUM.variable, knobs.MAXIMUM.default_variable
    assert resolve({run: "7", stack: "5"}, maximum=6).maximum == 7
    assert resolve({stack: "5"}, maximum=6).maximum == 6
    assert resolve({stack: "5"}).maximum == 5
    assert resolve().maximum == 4


@pytest.mark.parametrize("variable", knobs.SIZES, ids=lambda variable: variable.name)
def test_every_size_reaches_the_settings(variable: knobs.Knob) -> None:
    value = variable.choices[-1] if variable.choices else {"integer": "70", "string": "3Gi"}[variable.type]
    settings = resolve({variable.variable: value})
    assert str(getattr(settings, variable.argument)) == value


LARGE = Profile(
    sizes={"maximum": 9, "worker_memory": "8Gi", "scaling": "cheap"},
    nanny=False,
    pod=PodExtras(
        env={"GDAL_CACHEMAX": "64"},
        secret_env={"PGPASSWORD": {"name": "warehouse", "key": "password"}},
        tolerations=({"key": "spot", "operator": "Exists"},),
        node_selector={"pool": "spot"},
    ),
    scheduler=Scheduler(cpu="2", pod=PodExtras(annotations={"safe-to-evict": "false"})),
    large=LargeWorkers(maximum=1, cpu="8", memory="64Gi", pod=PodExtras(tolerations=({"operator": "Exists"},))),
)
KNOWN = {env.PROFILES: profiles.encode({"large": LARGE, "small": Profile(sizes={"maximum": 2})})}


def test_a_profile_arrives_as_the_stack_wrote_it() -> None:
    settings = resolve({**KNOWN, knobs.PROFILE.variable: "large"})
    assert (settings.profile, settings.profile_name) == (LARGE, "large")
    assert (settings.maximum, settings.worker_memory, settings.scaling) == (9, "8Gi", "cheap")


def test_precedence_is_run_profile_of_the_run_code_profile_of_the_code() -> None:
    run = {**KNOWN, knobs.PROFILE.variable: "large"}
    assert resolve({**run, knobs.MAXIMUM.variable: "5"}, maximum=3).maximum == 5
    assert resolve(run, maximum=3).maximum == 9
    assert resolve(run, profile="small").maximum == 9
    assert resolve(KNOWN, profile="small", maximum=3).maximum == 3
    assert resolve({**KNOWN, knobs.MAXIMUM.default_variable: "7"}, profile="small").maximum == 2


def test_a_size_that_a_profile_leaves_unset_comes_from_the_code_or_the_stack() -> None:
    run = {**KNOWN, knobs.PROFILE.variable: "small", knobs.WORKER_CPU.default_variable: "2"}
    settings = resolve(run, worker_memory="3Gi")
    assert (settings.worker_memory, settings.worker_cpu) == ("3Gi", "2")


@pytest.mark.parametrize(
    ("environ", "code"), [({knobs.PROFILE.variable: "huge"}, {}), ({}, {"profile": "huge"})], ids=["run", "code"]
)
def test_an_unknown_profile_is_refused_with_those_that_exist(environ: dict[str, str], code: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"'huge' from .* does not exist: choose one of large, small"):
        resolve({**KNOWN, **environ}, **code)


def test_a_flow_that_names_a_profile_still_runs_where_there_are_none() -> None:
    assert resolve({}, profile="large") == resolve({})


def test_profiles_that_cannot_be_read_are_refused_by_the_name_of_their_variable() -> None:
    for text in ("{", "[]", '{"large": 3}', '{"large": {"colour": 1}}'):
        with pytest.raises(SettingsError, match=env.PROFILES):
            resolve({env.PROFILES: text, knobs.PROFILE.variable: "large"})


def test_a_size_of_a_profile_is_checked_like_any_other() -> None:
    tiny = profiles.encode({"tiny": Profile(sizes={"worker_memory": "64Mi"})})
    with pytest.raises(SettingsError, match="'64Mi' from profile tiny"):
        resolve({env.PROFILES: tiny, knobs.PROFILE.variable: "tiny"})


@pytest.mark.parametrize("variable", knobs.JOB_VARIABLES, ids=lambda variable: variable.name)
def test_an_empty_variable_counts_as_unset(variable: knobs.Knob) -> None:
    assert resolve({variable.variable: "", variable.default_variable: ""}) == resolve()


def test_an_argument_in_code_beyond_the_ceiling_is_cut_with_a_warning_that_names_it() -> None:
    settings = resolve({env.CEILING: "3"}, minimum=5, maximum=50)
    assert (settings.minimum, settings.maximum) == (3, 3)
    assert any("50" in warning and "maximum= of ephemeral_dask()" in warning for warning in settings.warnings)


def test_a_run_cannot_go_beyond_the_ceiling_either() -> None:
    assert resolve({env.CEILING: "3", knobs.MAXIMUM.variable: "9"}).maximum == 3


def test_the_built_in_default_is_cut_to_the_ceiling_without_a_warning() -> None:
    settings = resolve({env.CEILING: "2"})
    assert (settings.maximum, settings.warnings) == (2, ())


def test_a_maximum_below_the_minimum_of_the_same_source_is_refused() -> None:
    with pytest.raises(SettingsError, match="maximum is 2 and minimum is 3: raise the maximum or lower the minimum"):
        CodeSizes(minimum=3, maximum=2)
    with pytest.raises(SettingsError, match=knobs.MAXIMUM.variable):
        resolve({knobs.MINIMUM.variable: "3", knobs.MAXIMUM.variable: "2"})


def test_a_run_that_asks_for_fewer_workers_than_the_codes_minimum_gets_fewer() -> None:
    settings = resolve({knobs.MAXIMUM.variable: "2"}, minimum=4, maximum=8)
    assert (settings.minimum, settings.maximum) == (2, 2)
    assert len(settings.warnings) == 1


def test_a_minimum_in_code_above_the_default_maximum_raises_the_maximum() -> None:
    settings = resolve({}, minimum=9)
    assert (settings.minimum, settings.maximum) == (9, 9)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (knobs.MAXIMUM.variable, "many"),
        (knobs.MAXIMUM.variable, "0"),
        (knobs.MINIMUM.default_variable, "1.5"),
        (knobs.WORKER_CPU.variable, "half"),
        (knobs.WORKER_MEMORY.variable, "2GB"),
        (knobs.WORKER_MEMORY.default_variable, "64Mi"),
        (knobs.IDLE_TIMEOUT.variable, "-5"),
        (knobs.SCALING.variable, "quick"),
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
        {"scaling": "quick"},
    ],
)
def test_a_bad_argument_is_refused_when_the_flow_is_decorated(argument: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(argument))):
        CodeSizes(**argument)  # type: ignore[arg-type]  # wrong on purpose


SOURCES = (
    knobs.MINIMUM.variable,
    knobs.MAXIMUM.variable,
    knobs.MINIMUM.default_variable,
    knobs.MAXIMUM.default_variable,
    env.CEILING,
)
sizes = st.none() | st.integers(1, 200)


@given(asked=st.fixed_dictionaries(dict.fromkeys(SOURCES, sizes)), code_low=sizes)
def test_the_minimum_never_exceeds_the_maximum_nor_the_maximum_the_ceiling(
    asked: dict[str, int | None], code_low: int | None
) -> None:
    try:
        settings = resolve({name: str(value) for name, value in asked.items() if value}, minimum=code_low)
    except SettingsError:
        return
    assert 0 <= settings.minimum <= settings.maximum <= (asked[env.CEILING] or 10**6)


def test_a_number_in_code_or_in_a_job_variable_is_a_quantity() -> None:
    assert resolve({}, worker_cpu=2, worker_memory=2**30).worker_cpu == "2"
    assert resolve({}, worker_cpu=0.5).worker_cpu == "0.5"
    assert resolve({knobs.WORKER_CPU.variable: "2"}).worker_cpu == "2"
    with pytest.raises(SettingsError, match="above zero"):
        resolve({}, worker_cpu=0)
