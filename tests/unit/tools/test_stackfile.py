from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tools import stackfile
from tools.errors import Problem
from tools.target import state_of

TRACKED = {"config": {"ephemeral-dask:namespace": "flows", "ephemeral-dask:image": {"registry": "r"}}}
LOCAL = {"image": {"builder": "docker-build", "registry": "localhost:5001"}}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stackfile, "ROOT", tmp_path)
    monkeypatch.setenv("EPHEMERAL_DASK_STATE", str(tmp_path / "state"))
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(TRACKED))
    return tmp_path


def copied(cluster: str = "local") -> Path:
    return stackfile.copy_of("dev", state_of(cluster))


def test_the_copies_of_two_clusters_are_two_files_beside_the_state_that_their_salts_belong_to(clone: Path) -> None:
    assert copied("local") == clone / "state" / "stacks" / "Pulumi.dev.yaml"
    assert copied("kind") == clone / "state" / "kind" / "stacks" / "Pulumi.dev.yaml"


@pytest.mark.usefixtures("clone")
def test_an_unknown_stack_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(Problem) as caught:
        stackfile.read("staging")
    assert "There is no stack 'staging'" in str(caught.value)
    assert "dev" in caught.value.remedy


def test_a_file_that_is_not_yaml_is_refused_with_its_line(clone: Path) -> None:
    (clone / "Pulumi.dev.yaml").write_text("config:\n  a: [1, 2\n")
    with pytest.raises(Problem, match=r"Pulumi\.dev\.yaml is not valid YAML in line 3"):
        stackfile.read("dev")


def test_a_file_without_settings_is_refused(clone: Path) -> None:
    (clone / "Pulumi.dev.yaml").write_text("just text\n")
    with pytest.raises(Problem, match="has no `config:`"):
        stackfile.read("dev")


def test_a_wrong_setting_is_refused_as_in_the_program(clone: Path) -> None:
    content = {"config": {**TRACKED["config"], "ephemeral-dask:dask": {"minimun": 1}}}
    assert clone
    with pytest.raises(Problem, match="did you mean 'minimum'"):
        stackfile.check("dev", content, LOCAL)


def test_a_secret_in_the_file_is_not_a_setting() -> None:
    content = {"config": {**TRACKED["config"], "ephemeral-dask:prefectApiKey": {"secure": "v1:x"}}}
    assert stackfile.check("dev", content, LOCAL).namespace == "flows"


def test_a_build_secret_in_the_file_is_not_a_setting_either() -> None:
    image = {"registry": "r", "buildSecrets": ["netrc"]}
    content = {"config": {"ephemeral-dask:image": image, "ephemeral-dask:netrc": {"secure": "v1:x"}}}
    assert stackfile.check("dev", content, LOCAL).namespace == "flows"
    with pytest.raises(Problem, match=r"netrc: .*key"):
        stackfile.check("dev", {"config": {**content["config"], "ephemeral-dask:image": {"registry": "r"}}}, LOCAL)


def test_the_copy_holds_the_local_overrides_and_the_tracked_file_stays_as_it_was(clone: Path) -> None:
    before = (clone / "Pulumi.dev.yaml").read_text()
    copy = yaml.safe_load(stackfile.write_copy(copied(), TRACKED, LOCAL, "v1:salt").read_text())
    assert copy["config"]["ephemeral-dask:image"]["registry"] == "localhost:5001"
    assert copy["config"]["ephemeral-dask:namespace"] == "flows"
    assert copy["encryptionsalt"] == "v1:salt"
    assert (clone / "Pulumi.dev.yaml").read_text() == before


@pytest.mark.usefixtures("clone")
def test_writing_the_copy_again_keeps_its_salt_and_the_secrets_that_were_set_in_it() -> None:
    path = stackfile.write_copy(copied(), TRACKED, LOCAL, "v1:salt")
    written = yaml.safe_load(path.read_text())
    written["config"]["ephemeral-dask:prefectApiKey"] = {"secure": "v1:secret"}
    path.write_text(yaml.safe_dump(written))
    copy = yaml.safe_load(stackfile.write_copy(copied(), TRACKED, LOCAL, None).read_text())
    assert copy["encryptionsalt"] == "v1:salt"
    assert copy["config"]["ephemeral-dask:prefectApiKey"] == {"secure": "v1:secret"}


@pytest.mark.usefixtures("clone")
def test_a_setting_that_left_the_tracked_file_leaves_the_copy() -> None:
    stackfile.write_copy(copied(), TRACKED, LOCAL, "v1:salt")
    smaller = {"config": {"ephemeral-dask:image": {"registry": "r"}}}
    copy = yaml.safe_load(stackfile.write_copy(copied(), smaller, LOCAL, None).read_text())
    assert "ephemeral-dask:namespace" not in copy["config"]


@pytest.mark.usefixtures("clone")
def test_an_override_leaves_what_the_file_says_beside_it() -> None:
    content = {"config": {"ephemeral-dask:image": {"builder": "docker-build", "registry": "r", "flows": {"gpu": {}}}}}
    copy = yaml.safe_load(stackfile.write_copy(copied(), content, LOCAL, None).read_text())
    assert copy["config"]["ephemeral-dask:image"] == {**LOCAL["image"], "flows": {"gpu": {}}}


@pytest.mark.usefixtures("clone")
def test_images_of_another_pipeline_are_replaced_by_those_built_here() -> None:
    content = {"config": {"ephemeral-dask:image": {"builder": "prebuilt", "flow": "r/f:1", "platform": "r/p:1"}}}
    copy = yaml.safe_load(stackfile.write_copy(copied(), content, LOCAL, None).read_text())
    assert copy["config"]["ephemeral-dask:image"] == LOCAL["image"]


def test_a_new_stack_is_a_copy_with_its_own_namespace_and_its_comments(clone: Path) -> None:
    head = "# For everyone.\nconfig:\n  ephemeral-dask:namespace: flows\n"
    source = f"{head}  # Pushed here.\n  ephemeral-dask:image: {{registry: r}}\n"
    (clone / "Pulumi.dev.yaml").write_text(source)
    path = stackfile.create("staging", source="dev")
    assert path == clone / "Pulumi.staging.yaml"
    assert path.read_text() == source.replace("namespace: flows", "namespace: flows-staging")


def test_a_new_stack_gets_a_namespace_when_its_source_has_none(clone: Path) -> None:
    (clone / "Pulumi.dev.yaml").write_text("config:\n  ephemeral-dask:image: {registry: r}\n")
    content = yaml.safe_load(stackfile.create("staging", source="dev").read_text())
    assert content["config"] == {"ephemeral-dask:namespace": "flows-staging", "ephemeral-dask:image": {"registry": "r"}}


def test_a_new_stack_never_replaces_a_file(clone: Path) -> None:
    before = (clone / "Pulumi.dev.yaml").read_text()
    with pytest.raises(Problem, match="exists already"):
        stackfile.create("dev", source="dev")
    assert (clone / "Pulumi.dev.yaml").read_text() == before


def test_a_new_stack_does_not_get_secrets_that_it_cannot_read(clone: Path) -> None:
    secret = {"config": {**TRACKED["config"], "ephemeral-dask:prefectApiKey": {"secure": "v1:x"}}}
    (clone / "Pulumi.dev.yaml").write_text(yaml.safe_dump(secret))
    with pytest.raises(Problem, match="only stack 'dev' can read"):
        stackfile.create("staging", source="dev")
    assert not (clone / "Pulumi.staging.yaml").exists()


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize("name", ["", "../x", "Staging", "a b", "x" * 41])
def test_a_name_that_no_namespace_could_have_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="cannot be the name of a stack"):
        stackfile.create(name, source="dev")


def test_a_mistake_in_prefect_yaml_is_reported_before_pulumi_starts(clone: Path) -> None:
    (clone / "flows").mkdir()
    (clone / "requirements").mkdir()
    (clone / "requirements" / "flows.txt").write_text("")
    (clone / "prefect.yaml").write_text("deployments:\n  - name: a\n    entrypoint: flows.missing.flow\n")
    checked = stackfile.check("dev", TRACKED, LOCAL)
    with pytest.raises(Problem, match=r"prefect\.yaml") as caught:
        stackfile.load_plan("dev", checked)
    assert "Traceback" not in str(caught.value)
