"""prefect.yaml: what is read from it, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import prefect
import pytest
from prefect.exceptions import SignatureMismatchError

from infra.prefect_yaml.load import DeploymentError, load_deployments
from tests.support.prefect_yaml_project import Override, Project, deployment

ROOT = Path(__file__).parents[4]


def test_every_field_arrives(project: Project) -> None:
    spec = project.one(
        """
        version: 1.2
        tags: [a, 3]
        description: Ours.
        parameters: {a: 2}
        enforce_parameter_schema: false
        paused: true
        concurrency_limit: {limit: 3, collision_strategy: CANCEL_NEW, grace_period_seconds: 90}
        schedules:
          - cron: "0 6 * * *"
            slug: morning
            timezone: Europe/Berlin
            day_or: false
            active: false
            parameters: {a: 5}
        work_pool:
          name: lake
          work_queue_name: fast
          job_variables: {dask_maximum: 5, empty: null}
        pull:
          - prefect.deployments.steps.git_clone: {repository: "{{ repository }}"}
        """
    )
    assert (spec.key, spec.version, spec.tags, spec.description) == ("plain-one/one", "1.2", ("a", "3"), "Ours.")
    assert (spec.parameters, spec.enforce_parameter_schema, spec.paused) == ({"a": 2}, False, True)
    assert (spec.concurrency_limit, spec.collision_strategy, spec.grace_period_seconds) == (3, "CANCEL_NEW", 90)
    [schedule] = spec.schedules
    assert (schedule.slug, schedule.cron, schedule.timezone) == ("morning", "0 6 * * *", "Europe/Berlin")
    assert (schedule.day_or, schedule.active, schedule.parameters) == (False, False, {"a": 5})
    assert (spec.work_pool_name, spec.work_queue_name) == ("lake", "fast")
    assert spec.job_variables == {"dask_maximum": 5, "empty": None}
    assert spec.pull_steps == ({"prefect.deployments.steps.git_clone": {"repository": "{{ repository }}"}},)
    assert spec.location == "prefect.yaml:2"


def test_missing_keys_have_prefects_defaults(project: Project) -> None:
    spec = project.one("")
    assert spec.description == "What it does.\n\nMore of it."
    assert (spec.version, spec.tags, spec.schedules, spec.paused) == (None, (), (), None)
    assert (spec.enforce_parameter_schema, spec.concurrency_limit) == (True, None)
    assert (spec.work_pool_name, spec.work_queue_name) == (None, "default")
    assert spec.pull_steps == ()


@pytest.mark.parametrize(
    ("entrypoint", "flow"),
    [
        ("flows.jobs.plain_one", "plain-one"),
        ("flows/jobs.py:plain_one", "plain-one"),
        ("flows.jobs.named", "Named"),
        ("flows.jobs.through_module", "through-module"),
        ("flows.reexported", "Named"),
        ("flows/jobs.py:Holder.inside", "inside"),
    ],
)
def test_every_form_of_entrypoint_is_found(entrypoint: str, flow: str, project: Project) -> None:
    [spec] = project.load(f"deployments: [{{name: one, entrypoint: '{entrypoint}'}}]")
    assert spec.flow_name == flow
    assert ".py:" not in spec.entrypoint, "registered by module"


def test_the_flows_own_description_is_used(project: Project) -> None:
    [spec] = project.load("deployments: [{name: one, entrypoint: flows.jobs.named}]")
    assert spec.description == "Described."


def test_yaml_anchors_and_merge_keys_are_resolved(project: Project) -> None:
    one, two = project.load(
        """
        definitions:
          common: &common
            entrypoint: flows.jobs.plain_one
            tags: &tags [x]
          schedule: &daily {cron: "0 0 * * *"}
        deployments:
          - <<: *common
            name: one
            schedules: [{<<: *daily, slug: d}]
          - {<<: *common, name: two, tags: []}
        """
    )
    assert (one.tags, two.tags) == (("x",), ())
    assert [(s.slug, s.cron) for s in one.schedules] == [("d", "0 0 * * *")]


def test_a_schedule_without_a_slug_gets_one_from_its_position(project: Project) -> None:
    spec = project.one('schedules: [{cron: "0 0 * * *"}, {interval: 60, slug: mine}, {rrule: FREQ=DAILY}]')
    assert [schedule.slug for schedule in spec.schedules] == ["schedule-1", "mine", "schedule-3"]


def test_a_slug_from_a_position_makes_way_for_one_in_the_file(project: Project) -> None:
    spec = project.one(
        'schedules: [{cron: "0 0 * * *"}, {interval: 60, slug: schedule-1}, {interval: 7}, {interval: 8}]'
    )
    assert [schedule.slug for schedule in spec.schedules] == ["schedule-5", "schedule-1", "schedule-3", "schedule-4"]
    spec = project.one("schedules: [{interval: 5}, {interval: 6, slug: schedule-1}, {interval: 7, slug: schedule-4}]")
    assert [schedule.slug for schedule in spec.schedules] == ["schedule-5", "schedule-1", "schedule-4"]


def test_an_empty_mapping_of_pull_steps_means_those_of_the_file_as_in_prefect(project: Project) -> None:
    [spec] = project.load("pull: [{a.b: {c: 1}}]\n" + deployment("pull: {}"))
    assert spec.pull_steps == ({"a.b": {"c": 1}},)


def test_the_deprecated_key_schedule_is_a_list_of_one(project: Project) -> None:
    assert [s.interval for s in project.one("schedule: {interval: 60}").schedules] == [60]
    assert project.one("schedule: null").schedules == ()


@pytest.mark.parametrize(
    ("interval", "seconds"), [("3600", 3600), ("0.5", 0.5), ("PT1H30M", 5400), ('"01:00:00"', 3600), ("'P1D'", 86400)]
)
def test_an_interval_accepts_every_format_of_prefect(interval: str, seconds: float, project: Project) -> None:
    [schedule] = project.one(f"schedules: [{{interval: {interval}}}]").schedules
    assert schedule.interval == seconds


@pytest.mark.parametrize(
    ("anchor", "instant"),
    [
        ("2026-01-01T06:00:00+02:00", "2026-01-01T04:00:00Z"),
        ("'2026-01-01T06:00:00'", "2026-01-01T06:00:00Z"),
        ("2026-01-01", "2026-01-01T00:00:00Z"),
    ],
)
def test_an_anchor_is_an_instant_in_utc(anchor: str, instant: str, project: Project) -> None:
    [schedule] = project.one(f"schedules: [{{interval: 60, anchor_date: {anchor}}}]").schedules
    assert schedule.anchor_date == instant


def test_yaml_dates_become_iso_8601_strings(project: Project) -> None:
    text = "parameters: {anything: {b: 2026-01-02, x: {1: 2026-01-02T03:04:05Z}}}"
    [spec] = project.load(deployment(text).replace("plain_one", "through_module"))
    assert spec.parameters["anything"] == {"b": "2026-01-02", "x": {"1": "2026-01-02T03:04:05Z"}}


def test_an_rrule_may_be_a_whole_schedule_as_json(project: Project) -> None:
    rule = '{"rrule": "FREQ=DAILY", "timezone": "Europe/Berlin"}'
    [schedule] = project.one(f"schedules: [{{rrule: '{rule}'}}]").schedules
    assert (schedule.rrule, schedule.timezone) == ("FREQ=DAILY", "Europe/Berlin")


def test_a_deployment_without_pull_steps_inherits_those_of_the_file(project: Project) -> None:
    text = """
        pull: [{a: {b: 1}}]
        deployments:
          - {name: inherits, entrypoint: flows.jobs.plain_one}
          - {name: has-none, entrypoint: flows.jobs.plain_one, pull: []}
          - {name: has-one, entrypoint: flows.jobs.plain_one, pull: {c: {}}}
        """
    assert [spec.pull_steps for spec in project.load(text)] == [({"a": {"b": 1}},), (), ({"c": {}},)]


def test_build_and_push_steps_are_ignored_with_a_warning_that_names_the_line(project: Project) -> None:
    project.load(
        """
        build: [{step: {}}]
        deployments:
          - name: one
            entrypoint: flows.jobs.plain_one
            push: [{step: {}}]
            build: null
        """
    )
    assert project.warnings == [
        "prefect.yaml:2: build steps are ignored, because Pulumi builds and pushes the image.",
        "prefect.yaml:6: deployment 'one': push steps are ignored, because Pulumi builds and pushes the image.",
    ]


def test_the_image_of_a_build_step_is_replaced_by_the_stacks_own(project: Project) -> None:
    spec = project.one('work_pool: {job_variables: {image: "{{ build-image.image }}", dask_maximum: 2}}')
    assert spec.job_variables == {"dask_maximum": 2}


def test_references_to_blocks_and_variables_are_left_for_the_worker(project: Project) -> None:
    variables = {"env": {"A": "{{ prefect.blocks.secret.a }}", "B": "x-{{ prefect.variables.b }}"}}
    assert project.one(f"work_pool: {{job_variables: {variables}}}").job_variables == variables


def test_values_from_the_environment_are_filled_in_as_secrets(project: Project) -> None:
    spec = project.one(
        """
        tags: [plain]
        parameters: {b: "x-{{ $TOKEN }}"}
        work_pool: {name: "{{ $POOL }}", job_variables: {env: {T: "{{$TOKEN}}"}}}
        """,
        environment={"TOKEN": "t", "POOL": "p"},
    )
    assert (spec.parameters, spec.job_variables) == ({"b": "x-t"}, {"env": {"T": "t"}})
    assert spec.work_pool_name == "p"
    assert spec.secret_fields == {"parameters", "job_variables"}


def test_a_trigger_is_an_automation_that_runs_thedeployment(project: Project) -> None:
    spec = project.one(
        """
        version_type: prefect:simple
        triggers:
          - expect: [order.complete, order.cancelled]
            match: {prefect.resource.id: "shop.*"}
            parameters: {b: "{{ event.resource.id }}", a: "{{ event.payload.n | int }}"}
            job_variables: {env: {WHO: "{{ prefect.variables.who }}"}}
            schedule_after: PT2H
          - name: nothing-came
            description: Silence.
            enabled: false
            posture: Proactive
            within: 00:01:00
            parameters: {a: {__prefect_kind: jinja, template: "{{ 1 }}"}, b: "{{ $TOKEN }}"}
          - type: compound
            require: all
            within: 3600
            triggers: [{expect: [a]}, {type: sequence, triggers: [{expect: [b]}, {expect: [c]}]}]
        """,
        environment={"TOKEN": "t"},
    )
    first, second, third = spec.triggers
    assert (first.name, first.enabled, first.secret) == ("one__automation_1", None, False)
    assert first.trigger["match"] == {"prefect.resource.id": "shop.*"}
    [action] = first.actions
    assert action["parameters"] == {"b": "{{ event.resource.id }}", "a": "{{ event.payload.n | int }}"}
    assert (action["type"], action["schedule_after"]) == ("run-deployment", 7200)
    assert (second.name, second.description, second.enabled, second.secret) == ("nothing-came", "Silence.", False, True)
    assert (second.trigger["within"], second.actions[0]["parameters"]["b"]) == (60, "t")
    assert [child["type"] for child in third.trigger["triggers"]] == ["event", "sequence"]
    assert spec.secret_fields == frozenset()


def test_an_override_changes_single_values_and_keeps_the_others(project: Project) -> None:
    text = deployment("parameters: {a: 1, b: x}\nwork_pool: {job_variables: {n: 1, m: 2}}\npaused: false")
    override = Override(paused=True, parameters={"a": 5}, job_variables={"n": 7})
    [spec] = project.load(text, overrides={"plain-one/one": override})
    assert (spec.paused, spec.parameters, spec.job_variables) == (True, {"a": 5, "b": "x"}, {"n": 7, "m": 2})
    [unchanged] = project.load(text, overrides={"plain-one/one": Override()})
    assert unchanged.paused is False


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("triggers: {expect: [a]}", "triggers must be a list; write `- expect: [...]` below it"),
        (
            "triggers: [{expect: [a], name: x}, {expect: [b], name: x}]",
            "two triggers have the name 'x'; rename one",
        ),
        (
            "triggers: [{expect: [a], parameters: {c: '{{ event.id }}'}}]",
            "triggers.0.parameters: the flow has no parameter 'c'; known here: a, b",
        ),
        ("triggers: [{expect: [a], parameters: {a: x}}]", "triggers.0.parameters: 'a' must be an integer; correct it"),
        (
            'triggers: [{expect: ["{{ event.name }}"]}]',
            "triggers.0.expect.0: '{{ event.name }}' is replaced in a trigger's parameters only; write the value",
        ),
        (
            'triggers: [{name: "{{ prefect.variables.on }}"}]',
            "'{{ prefect.variables.on }}' is a variable that the stack file does not declare; add 'on' to",
        ),
        (
            "schedules:\n  - interval: 5\n  - {interval: 6, parameters: {c: 1}}",
            "prefect.yaml:6: deployment 'one': schedules.1.parameters: the flow has no parameter 'c'; known here: a, b",
        ),
        (
            "schedules: [{interval: 6, parameters: {a: x}}]",
            "schedules.0.parameters: 'a' must be an integer; correct it",
        ),
        ("sla: [{}]", "service levels exist in Prefect Cloud only"),
        ("paused: maybe", "paused is 'maybe'; write true or false"),
        ("tags: 5", "tags must be a list"),
        ("parameters: [a]", "parameters must be a mapping"),
        ("parameters: {c: 1}", "parameters: the flow has no parameter 'c'; known here: a, b"),
        ("parameters: {a: x}", "parameters: 'a' must be an integer; correct it"),
        ("work_pool: lake", "work_pool must be a mapping"),
        ("work_pool: {name: [a]}", "prefect.yaml:4: deployment 'one': name must be text"),
        ("work_pool: {work_queue_name: {a: b}}", "work_queue_name must be text"),
        ("concurrency_limit: 0", "concurrency_limit is '0'; write an integer of at least 1"),
        ("concurrency_limit: {limit: 1, collision_strategy: DROP}", "collision_strategy is 'DROP'; write ENQUEUE or"),
        ("concurrency_limit: {limit: 1, grace_period_seconds: 5}", "grace_period_seconds is '5'; write 60 to 86400"),
        ("pull: text", "pull must be a list of steps"),
        ("schedule: {interval: 1}\nschedules: []", "both schedule and schedules are set; keep schedules"),
        ("schedules: {cron: x}", "schedules must be a list of mappings"),
        ('schedules: [{cron: "61 * * * *"}]', "cron '61 * * * *' is not valid (out of range"),
        ('schedules: [{cron: "R * * * *"}]', "random or hashed"),
        ("schedules: [{cron: 5}]", "cron must be text"),
        ("schedules: [{interval: -5}]", "interval '-5' must be a positive duration"),
        ("schedules: [{interval: soon}]", "interval 'soon' must be a positive duration"),
        ("schedules: [{rrule: NEVER}]", "rrule 'NEVER' is not valid"),
        ("schedules: [{}]", "a schedule must have exactly one of cron, interval, rrule, and this has none"),
        ("schedules: [{interval: 5, rrule: FREQ=DAILY}]", "and this has interval and rrule"),
        (
            "schedules: [{interval: 5, timezone: Europe/Berlim}]",
            "no timezone 'Europe/Berlim'; did you mean 'Europe/Berlin'",
        ),
        ("schedules: [{interval: 5, timezon: UTC}]", "a schedule has no key 'timezon'; did you mean 'timezone'?"),
        ("schedules: [{interval: 5, anchor_date: soon}]", "anchor_date 'soon' is not a date"),
        ("schedules: [{interval: 5, slug: a}, {interval: 6, slug: a}]", "two schedules have the slug 'a'; rename one"),
        ('parameters: {b: "{{ prefect.variables.b }}"}', "add 'b' to its `variables`, or write the value"),
        ('parameters: {b: "{{ prefect.blocks.secret.b }}"}', "is replaced in job_variables only"),
        ('parameters: {b: "{{ $MISSING }}"}', "parameters.b: the environment variable MISSING is not set"),
    ],
)
def test_an_error_has_one_line_with_file_line_deployment_and_remedy(text: str, error: str, project: Project) -> None:
    refusal = project.refusal_of(text)
    assert error in refusal
    assert refusal.startswith("prefect.yaml:")
    assert "deployment 'one': " in refusal


@pytest.mark.parametrize(
    ("entrypoint", "error"),
    [
        ("flows.missing.x", "no module 'flows.missing' next to prefect.yaml"),
        ("flows/missing.py:x", "no file flows/missing.py next to prefect.yaml"),
        ("flows.jobs.absent", "no 'absent' in flows/jobs.py"),
        ("flows.jobs.no_flow", "'no_flow' in flows/jobs.py is not a flow; decorate it with @flow"),
        ("flows.jobs.measured", "whether 'measured' in flows/jobs.py is a flow is unknown: only an import of geolib"),
        ("flows.jobs.computed", "the name of the flow is unknown, because only an import of geolib would show it"),
        ("flows/jobs.py:Absent.inside", "no 'Absent'"),
        ("lonely", "no module 'lonely'"),
    ],
)
def test_an_entrypoint_that_names_no_flow_is_refused(entrypoint: str, error: str, project: Project) -> None:
    text = f"deployments:\n  - name: one\n    entrypoint: {entrypoint}\n"
    refusal = project.refusal(text)
    assert "prefect.yaml:3: deployment 'one': entrypoint: " in refusal
    assert error in refusal


def test_a_syntax_error_is_reported_with_its_file_and_line(project: Project) -> None:
    (project.folder / "flows" / "broken.py").write_text("\n\ndef (:\n")
    refusal = project.refusal("deployments: [{name: one, entrypoint: flows.broken.x}]")
    assert "broken.py line 3 has a syntax error" in refusal


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("deployments: [", "this is not valid YAML"),
        ("- a", "prefect.yaml must be a mapping"),
        ("deployments: {a: b}", "deployments must be a list"),
        ("deployments: [text]", "deployment 1 must be a mapping"),
        ("deployment: [{}]", "prefect.yaml:1: 'deployment' has no meaning at the top of the file; did you mean"),
        ("deployments: [{name: one}]", "deployment 'one': entrypoint is missing"),
        (
            "deployments: [{name: a/b, entrypoint: flows.jobs.named}]",
            "name 'a/b' has one of % & / < >; write it without",
        ),
    ],
)
def test_a_malformed_file_is_refused(text: str, error: str, project: Project) -> None:
    assert error in project.refusal(text)


def test_all_errors_are_reported_at_once(project: Project) -> None:
    refusal = project.refusal(deployment("tags: 5\npaused: maybe\nparameters: {c: 1}"))
    assert len(refusal.splitlines()) == 4


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"prefect\.yaml does not exist"):
        load_deployments(tmp_path / "prefect.yaml")


def test_a_file_without_deployments_is_valid(project: Project) -> None:
    assert project.load("deployments: []") == ()
    assert project.load("") == ()


@pytest.mark.parametrize(
    ("key", "override", "error"),
    [
        ("plain-one/two", Override(), "'plain-one/two': no such deployment in prefect.yaml; did you mean"),
        ("plain-one/one", Override(parameters={"z": 1}), "'plain-one/one': parameters: the flow has no parameter 'z'"),
        ("plain-one/one", Override(parameters={"a": "x"}), "'plain-one/one': parameters: 'a' must be an integer"),
    ],
)
def test_the_error_of_an_override_names_the_stack(key: str, override: Override, error: str, project: Project) -> None:
    assert f"the stack's deployments: {error}" in project.refusal(deployment(""), overrides={key: override})


def test_values_of_kwargs_are_below_its_name_where_alone_prefect_takes_them(project: Project) -> None:
    @prefect.flow
    def through_module(**anything: int) -> dict[str, int]:
        return anything

    text = "deployments: [{name: one, entrypoint: flows.jobs.through_module, parameters: %s}]"
    assert project.load(text % "{anything: {x: 1}}")[0].parameters == {"anything": {"x": 1}}
    assert through_module.validate_parameters({"anything": {"x": 1}})
    assert "the flow has no parameter 'x'; known here: anything" in project.refusal(text % "{x: 1}")
    with pytest.raises(SignatureMismatchError):
        through_module.validate_parameters({"x": 1})


def test_a_schedule_may_lack_values_of_args_and_kwargs_and_a_trigger_may_not(project: Project) -> None:
    @prefect.flow
    def through_module(*args: int, **anything: int) -> None: ...

    assert through_module.validate_parameters({}) == {"args": [], "anything": {}}
    assert project.load(deployment("schedules: [{interval: 5}]").replace("plain_one", "through_module"))
    # Prefect's server validates what an automation starts, and its schema requires them.
    refusal = project.refusal(deployment("triggers: [{expect: [a]}]").replace("plain_one", "through_module"))
    assert "triggers.0: 'anything' has no default and no value" in refusal


def test_an_error_does_not_contain_a_secret_value(project: Project) -> None:
    refusal = project.refusal_of('parameters: {a: "{{ $TOKEN }}"}', environment={"TOKEN": "canary"})
    assert "'a' must be an integer" in refusal
    assert "canary" not in refusal


def test_reading_deployments_imports_neither_pulumi_nor_prefect_nor_the_flow() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom infra.prefect_yaml.load import load_deployments\n"
        "load_deployments(Path('prefect.yaml'), environment={})\n"
        "heavy = ('pulumi', 'prefect', 'httpx', 'jsonschema', 'griffe', 'flows', 'sklearn')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


MODEL = """
from prefect import flow
from pydantic import BaseModel


class Size(BaseModel):
    rows: int
    columns: int = 1


@flow
def f(size: Size): ...


@flow(name="load/day")
def banned(): ...
"""


@pytest.fixture
def model(project: Project) -> Project:
    (project.folder / "f.py").write_text(MODEL)
    return project


def test_a_part_of_a_model_is_accepted_because_a_run_can_give_the_whole(model: Project) -> None:
    [spec] = model.load("deployments: [{name: d, entrypoint: f.f, parameters: {size: {columns: 2}}}]")
    assert spec.parameters == {"size": {"columns": 2}}
    refusal = model.refusal("deployments: [{name: d, entrypoint: f.f, parameters: {size: {columns: x}}}]")
    assert "'size.columns' must be an integer" in refusal


def test_a_part_of_a_model_is_refused_where_a_schedule_starts_the_run(model: Project) -> None:
    text = "deployments: [{name: d, entrypoint: f.f, parameters: {size: {columns: 2}}, schedules: [{interval: 60}]}]"
    assert "schedules.0: 'size' lacks 'rows', so every run would fail" in model.refusal(text)


def test_a_banned_character_in_the_flows_own_name_is_refused(model: Project) -> None:
    refusal = model.refusal("deployments: [{name: d, entrypoint: f.banned}]")
    assert "prefect.yaml:1: deployment 'd': entrypoint: line 16 of f.py: the flow's name 'load/day' has /" in refusal
    assert "write another in @flow(name=...)" in refusal


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "triggers:\n  - expect: [a]\n  - expcet: [b]",
            "6: deployment 'one': triggers.1: 'expcet' has no effect below a",
        ),
        (
            "triggers: [{require: all, triggers: [{expect: [a], metric: 1}]}]",
            "'metric' has no effect below a trigger of",
        ),
        ("triggers: [{expect: [a], name: null}]", "the name is empty, so it is registered as 'one__automation_1'"),
        ("tags: dev", "tags is text, and Prefect registers each character of it as a tag; write `- dev` below it"),
        ("tags: [a, null]", "a tag is empty, and Prefect registers it as 'None'; remove it"),
        ("tags: ['{{ ctx.x }}']", "tags.0: left out, because Prefect replaces '{{ ctx.x }}' by nothing there"),
        ("schedules: [{interval: 60, anchor_date: 20240101}]", "counts from 1970, so it is 1970-08-23T06:15:01Z"),
    ],
)
def test_what_prefect_ignores_or_reads_in_another_way_is_a_warning(text: str, warning: str, project: Project) -> None:
    assert warning in project.warning_of(text)


def test_a_name_that_ends_with_py_is_registered_as_prefect_does_with_a_warning(project: Project) -> None:
    [spec] = project.load("deployments: [{name: load.py, entrypoint: flows.jobs.named}]")
    assert spec.name == "load"
    assert "name 'load.py' is registered as 'load'" in project.warnings[0]


SCHEMA = {"properties": {"rows": {"type": "integer"}}}


@pytest.mark.parametrize("key", ["measured/one", "Measured flow/one"])
def test_a_flow_that_cannot_be_read_is_described_by_the_stack_file(key: str, project: Project) -> None:
    override = Override(parameter_schema=SCHEMA, flow_name="Measured flow", parameters={"rows": 3}, paused=True)
    text = "deployments: [{name: one, entrypoint: flows.jobs.measured, parameters: {rows: 2}}]"
    [spec] = project.load(text, overrides={key: override})
    assert (spec.key, spec.entrypoint, spec.paused) == ("Measured flow/one", "flows.jobs.measured", True)
    assert spec.parameter_schema == {"title": "Parameters", "type": "object", **SCHEMA}
    assert spec.parameters == {"rows": 3}
    assert project.warnings == []


@pytest.mark.parametrize(
    ("entrypoint", "override", "error"),
    [
        (
            "measured",
            Override(parameter_schema=SCHEMA),
            "write schema and flowName for the deployment in the stack file",
        ),
        ("measured", Override(flow_name="x"), "write schema and flowName for the deployment in the stack file"),
        ("computed", Override(parameter_schema=SCHEMA), 'write it as deployments."computed/one".flowName'),
        ("named", Override(flow_name="x"), "flowName in the stack file is 'x', but the flow's name is 'Named'"),
    ],
)
def test_a_description_in_the_stack_file_that_is_incomplete_or_wrong_is_refused(
    entrypoint: str, override: Override, error: str, project: Project
) -> None:
    key = "Named/one" if entrypoint == "named" else f"{entrypoint}/one"
    text = f"deployments: [{{name: one, entrypoint: flows.jobs.{entrypoint}}}]"
    assert error in project.refusal(text, overrides={key: override})


def test_a_name_in_the_stack_file_is_that_of_a_flow_whose_own_is_unknown(project: Project) -> None:
    text = "deployments: [{name: one, entrypoint: flows.jobs.computed}]"
    [spec] = project.load(text, overrides={"computed/one": Override(flow_name="Nightly")})
    assert spec.key == "Nightly/one"
    assert spec.parameter_schema["properties"] == {}


def test_a_schema_in_the_stack_file_replaces_the_one_of_the_source(project: Project) -> None:
    text = "deployments: [{name: one, entrypoint: flows.jobs.plain_one}]"
    [spec] = project.load(text, overrides={"plain-one/one": Override(parameter_schema=SCHEMA)})
    assert list(spec.parameter_schema["properties"]) == ["rows"]
    assert spec.description == "What it does.\n\nMore of it."
    wrong = Override(parameter_schema=SCHEMA, parameters={"a": 1})
    assert "the flow has no parameter 'a'" in project.refusal(text, overrides={"plain-one/one": wrong})
