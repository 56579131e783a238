"""Placeholders: what Prefect fills in when it registers, what a build step would fill in, and what a run fills in."""

from __future__ import annotations

import pytest

from tests.support.prefect_yaml_project import Override, Project, deployment


@pytest.mark.parametrize(
    "image",
    [
        "{{ build-image.image }}",
        "{{ build-image.image_name }}:{{ build-image.tag }}",
        "registry/x:{{ build-image.tag }}",
        "{{ image_name }}",
        "{{ build[0].image }}@{{ $DIGEST }}",
    ],
)
def test_an_image_from_a_build_step_is_left_to_the_stack(image: str, project: Project) -> None:
    spec = project.one(f'work_pool: {{job_variables: {{image: "{image}", cpu: 1}}}}', environment={"DIGEST": "x"})
    assert spec.job_variables == {"cpu": 1}
    assert project.warnings == []


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('version: "{{ build-image.tag }}"', "version", None),
        ('version: "v-{{ sha.stdout }}"', "version", None),
        ('tags: [a, "{{ sha.stdout }}"]', "tags", ("a",)),
        ('tags: "{{ sha.stdout }}"', "tags", ()),
        ('work_pool: {job_variables: {env: {SHA: "{{ sha.stdout }}", A: b}}}', "job_variables", {"env": {"A": "b"}}),
        ('description: "At {{ sha.stdout }}."', "description", "What it does.\n\nMore of it."),
    ],
)
def test_the_output_of_a_build_step_is_left_out_with_a_warning(
    text: str, field: str, value: object, project: Project
) -> None:
    spec = project.one(text)
    assert getattr(spec, field) == value
    [warning] = project.warnings
    assert "left out, because '{{ " in warning


def test_braces_in_a_parameter_are_refused_with_the_way_to_write_them(project: Project) -> None:
    refusal = project.refusal_of('parameters: {b: "select * from {{ table }}"}')
    assert "braces that are meant as text belong in `deployments.<flow>/<name>.parameters` of the stack file" in refusal
    override = Override(parameters={"b": "select * from {{ table }}"})
    [spec] = project.load(deployment(""), overrides={"plain-one/one": override})
    assert spec.parameters == {"b": "select * from {{ table }}"}


@pytest.mark.parametrize("text", ["{{ TOKEN }}", "{{ $TOKEN }}", "{{$TOKEN}}"])
def test_a_name_of_the_environment_is_replaced_as_prefect_does(text: str, project: Project) -> None:
    spec = project.one(f'description: "{text}"', environment={"TOKEN": "t"})
    assert (spec.description, spec.secret_fields) == ("t", {"description"})


@pytest.mark.parametrize(
    ("value", "registered"),
    [
        ("select {{ x }}", "select "),
        ("{{ x.y }}", None),
        ("{{ $NAME }}{{ $ABSENT }}!", "n!"),
        ("{{ ctx.flow_run.id }} {{ prefect.variables.v }}", "{{ ctx.flow_run.id }} {{ prefect.variables.v }}"),
        ("{{ x | upper }}", "{{ x | upper }}"),
    ],
)
def test_braces_in_an_environment_variable_are_replaced_once_more_as_prefect_does(
    value: str, registered: str | None, project: Project
) -> None:
    environment = {"SECRET": value, "NAME": "n"}
    spec = project.one('work_pool: {job_variables: {env: {A: "{{ $SECRET }}"}}}', environment=environment)
    assert spec.job_variables["env"] == ({} if registered is None else {"A": registered})
    for warning in project.warnings:
        assert "SECRET has a name in double braces, and Prefect replaces that by nothing" in warning
        assert "{{" not in warning  # the value may be a secret
    assert bool(project.warnings) == (registered in (None, "select ", "n!"))


def test_braces_in_an_environment_variable_stay_where_prefect_leaves_them(project: Project) -> None:
    spec = project.one(
        'pull: [{a.b: {c: "{{ $SECRET }}"}}]\ntriggers: [{expect: [e], parameters: {b: "{{ $SECRET }}"}}]',
        environment={"SECRET": "{{ event.id }}"},
    )
    assert spec.pull_steps == ({"a.b": {"c": "{{ event.id }}"}},)
    assert str(spec.triggers[0].actions[0]["parameters"]).count("{{ event.id }}") == 1
    assert project.warnings == []


@pytest.mark.parametrize("place", ["top", "deployment"])
def test_an_environment_variable_in_a_pull_step_is_filled_in(place: str, project: Project) -> None:
    steps = 'pull: [{prefect.deployments.steps.git_clone: {repository: "{{ $REPO }}", branch: "{{ x.y | z }}"}}]\n'
    text = steps + deployment("") if place == "top" else deployment(steps)
    [spec] = project.load(text, environment={"REPO": "https://example.com/a"})
    [step] = spec.pull_steps
    assert step["prefect.deployments.steps.git_clone"]["repository"] == "https://example.com/a"
    assert spec.secret_fields == {"pull_steps"}
    assert "pull.0.prefect.deployments.steps.git_clone.repository: the environment variable REPO is not set" in (
        project.refusal(text)
    )


def test_a_pull_step_that_needs_the_output_of_a_build_step_is_refused(project: Project) -> None:
    build = "build: [{x: {id: build-image}}]\n"
    step = "pull: [{prefect.deployments.steps.set_working_directory: {directory: '/opt/{{ build-image.tag }}'}}]\n"
    for text in (build + step + deployment(""), build + deployment(step), deployment(build + step)):
        assert "'{{ build-image.tag }}' is the output of a build or push step" in project.refusal(text)


def test_a_pull_step_may_use_an_earlier_one_blocks_and_variables(project: Project) -> None:
    spec = project.one(
        """
        pull:
          - a.clone: {id: clone, token: "{{ prefect.blocks.secret.t }}", branch: "{{ prefect.variables.b }}"}
          - a.install: {directory: "{{ clone.directory }}"}
        """
    )
    assert spec.pull_steps[1] == {"a.install": {"directory": "{{ clone.directory }}"}}
    assert project.warnings == []


def test_a_pull_step_with_a_name_that_nothing_gives_is_a_warning(project: Project) -> None:
    warning = project.warning_of('pull: [{a.clone: {repository: "{{ repository }}"}}]')
    assert "'{{ repository }}' is empty in the run" in warning


@pytest.mark.parametrize("text", ['triggers: ["{{ $X }}"]', 'triggers: "{{ $X }}"', 'schedules: "{{ $X }}"'])
def test_a_placeholder_in_place_of_a_section_is_one_sentence(text: str, project: Project) -> None:
    assert "prefect.yaml:4: deployment 'one': " in project.refusal(deployment(text), environment={"X": "x"})


def test_a_variable_that_the_stack_declares_is_filled_in_as_prefect_does(project: Project) -> None:
    text = """
        parameters:
          a: "{{ prefect.variables.rows }}"
          b: "at {{ prefect.variables.rows }} of {{ prefect.variables.x }}"
        work_pool: {name: "{{ prefect.variables.x }}", job_variables: {cpu: "{{ prefect.variables.rows }}"}}
        """
    spec = project.one(text, variables={"rows": 5, "x": "lake"})
    assert spec.parameters == {"a": 5, "b": "at 5 of lake"}
    assert (spec.work_pool_name, spec.job_variables) == ("lake", {"cpu": "{{ prefect.variables.rows }}"})
    assert spec.secret_fields == frozenset()


def test_a_variable_is_a_warning_while_the_stack_is_not_known(project: Project) -> None:
    text = 'parameters: {a: "{{ prefect.variables.rows }}"}'
    project.one(text, variables=None)
    assert "becomes the value that `variables` of the stack file has for 'rows'" in project.warnings[0]
