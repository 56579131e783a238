"""Odd YAML and odd text files are read as Prefect reads them, or refused in one sentence with the line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra.prefect_yaml.document import Document
from tests.support.prefect_yaml_project import Project, deployment


def test_merge_keys_may_be_repeated_and_all_count(project: Project) -> None:
    text = (
        "definitions:\n  a: &a {tags: [one], description: one}\n  b: &b {description: two, version: '3'}\n"
        "deployments:\n  - name: d\n    entrypoint: flows.jobs.plain_one\n    <<: *a\n    <<: *b\n"
    )
    [spec] = project.load(text)
    assert (spec.tags, spec.description, spec.version) == (("one",), "two", "3")
    assert project.warnings == []


@pytest.mark.parametrize("text", ["definitions:\n  loop: &loop {again: *loop}\n", "x-all: &all\n  - *all\n"])
def test_an_alias_of_itself_where_nothing_reads_it_passes(text: str, project: Project) -> None:
    assert len(project.load(text + deployment(""))) == 1


@pytest.mark.parametrize(
    "text",
    ["parameters: &p\n  b: *p", "schedules: &s\n  - cron: '0 6 * * *'\n    parameters: {x: *s}", "tags: &t [a, *t]"],
)
def test_an_alias_of_itself_in_a_deployment_is_refused_with_its_line(text: str, project: Project) -> None:
    refusal = project.refusal(deployment(text))
    assert "prefect.yaml:4" in refusal or "prefect.yaml:5" in refusal
    assert "contains it, so it never ends" in refusal


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(project: Project) -> None:
    lines = ["definitions:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    start = time.monotonic()
    assert len(project.load("\n".join([*lines, deployment("")]))) == 1, "unused, they do no harm"
    assert "has more than 100000 values" in project.refusal("\n".join([*lines, deployment("tags: *a11")]))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("? [a, b]\n: 1\n", "prefect.yaml:1: the key that is a list is not text; write a word before the colon"),
        ("definitions:\n  ? {a: 1}\n  : 2\n", "prefect.yaml:2: the key that is a mapping is not text"),
        ("deployments:\n  - {name: d, entrypoint: x.y}\n---\na: 1\n", "this is not valid YAML"),
        ("deployments:\n  - name: !Ref x\n", "prefect.yaml:2: this is not valid YAML (could not determine"),
        ("deployments:\n  - name: d\n    version: 2026-13-45\n", "prefect.yaml:3: this is not a valid value (month"),
        ("deployments:\n  - name: !!int x\n", "prefect.yaml:2: this is not a valid value"),
        ("deployments: " + "[" * 3000 + "]" * 3000, "is nested too deeply"),
    ],
)
def test_a_file_that_yaml_or_python_cannot_hold_is_refused_in_one_sentence(
    text: str, error: str, project: Project
) -> None:
    assert error in project.refusal(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("parameters: {n: .inf}", "inf cannot be stored in JSON, so Prefect's server refuses it; write a number"),
        ("parameters: {n: [.nan]}", "nan cannot be stored in JSON"),
        ("tags: [!!binary '/w==']", "this text has characters that are not valid Unicode"),
        ("parameters: {n: 9007199254740993}", "9007199254740993 is too large for Pulumi"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_with_its_line(text: str, error: str, project: Project) -> None:
    assert f"prefect.yaml:4: {error}" in project.refusal(deployment(text))


def test_a_value_that_cannot_be_sent_passes_where_nothing_reads_it(project: Project) -> None:
    assert len(project.load("definitions: {a: 9007199254740993, b: .inf}\n" + deployment(""))) == 1


def test_a_key_that_is_written_twice_is_a_warning_and_the_last_one_counts(project: Project) -> None:
    spec = project.one("version: '1'\nversion: '2'")
    assert spec.version == "2"
    assert project.warnings == ["prefect.yaml:5: 'version' is written twice, and only the last one counts: remove one."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_utf_8_and_byte_order_marks_are_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_bytes("name: Zürich\n".encode(encoding))
    assert Document(path).values == {"name": "Zürich"}


def test_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_bytes("name: a\n# Zürich\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"prefect\.yaml:2: this line is not in UTF-8"):
        Document(path)


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").mkdir()
    with pytest.raises(ValueError, match="cannot be read"):
        Document(tmp_path / "prefect.yaml")


def test_keys_that_are_not_text_become_text(project: Project) -> None:
    spec = project.one("work_pool: {job_variables: {env: {2: a, true: b, null: c}}}")
    assert spec.job_variables == {"env": {"2": "a", "true": "b", "None": "c"}}
