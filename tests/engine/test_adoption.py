"""A team's repository of flows takes the program by copier, and later its next release; what is the team's stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.e2e import clones
from tests.support import repository
from tests.support.adoption import PROJECT, TEAM, copied, copier, team
from tools import paths

REPORT: Final = """
import json, sys
from infra import project
from tools import stackfile
plans = {}
for stack in sys.argv[1:]:
    settings = stackfile.check(stack, stackfile.read(stack), {})
    plan = stackfile.load_plan(stack, settings)
    plans[stack] = [spec.key for specs in plan.deployments.values() for spec in specs]
print(json.dumps({"project": project.NAME, "plans": plans}))
"""

pytestmark = pytest.mark.xdist_group("adoption")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the program as it is now, as release 1.0.0."""
    folder = clones.clone(tmp_path_factory.mktemp("template"))
    # Copier looks at each path, also at those that it leaves out: one folder of tests and one page are enough.
    left_out = ("benchmarks", "docs", "examples", *(f"tests/{name}" for name in ("unit", "engine", "e2e", "full")))
    for name in left_out:
        shutil.rmtree(folder / name)
    (folder / "docs").mkdir()
    shutil.copyfile(paths.ROOT / "docs" / "adopt.md", folder / "docs" / "adopt.md")
    repository.commit(folder)
    repository.git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture(scope="module")
def adopted(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(team(tmp_path_factory.mktemp("adopted")), template)


def test_adoption_leaves_each_file_of_the_team_as_it_was(adopted: Path) -> None:
    after = contents(adopted)
    assert {name: after[name].decode() for name in TEAM} == TEAM


def test_the_program_arrives_as_it_is_without_tests_and_documentation(adopted: Path, template: Path) -> None:
    source, after = contents(template), contents(adopted)
    written = {name: text for name, text in after.items() if name not in TEAM}
    assert not {f"requirements/{name}.txt" for name in ("copier", "docs", "browser", "moto", "scan")} & written.keys()
    assert {name.split("/")[0] for name in written} == {
        *("infra", "ops", "tools", "ephemeral_dask", "requirements", ".github", "__main__.py", "Makefile"),
        *("Dockerfile", "Dockerfile.platform", "Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"),
        *(".prefectignore", ".copier-answers.yml"),
    }
    renamed = {"Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml", ".copier-answers.yml"}
    linked = {f"infra/package/{name}": source[name] for name in ("pyproject.toml", "LICENSE")}
    assert {name for name in set(written) - renamed if written[name] != {**source, **linked}[name]} == set()
    assert written["Pulumi.yaml"] == source["Pulumi.yaml"].replace(b"name: ephemeral-dask\n", b"name: acme-flows\n")


def test_the_adopted_program_reads_the_teams_files_under_its_own_name(adopted: Path) -> None:
    command = [sys.executable, "-c", REPORT, "dev", "prod"]
    done = subprocess.run(command, cwd=adopted, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    deployments = ["load/nightly"]
    assert json.loads(done.stdout) == {"project": PROJECT, "plans": {"dev": deployments, "prod": deployments}}


def test_the_locks_of_an_adopted_program_have_the_teams_libraries(adopted: Path) -> None:
    script = "from tools import locks; print(*locks.of_team('flows'), *locks.of_team('platform'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=adopted, capture_output=True, text=True, check=True)
    file = adopted / "pyproject.toml"
    assert done.stdout.split() == [str(file), "--group", f"{file}:flows"]


@pytest.fixture(scope="module")
def small(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with the same rules and fewer files: copier takes a millisecond for each part of each path."""
    folder = tmp_path_factory.mktemp("small")
    for name in ("requirements", "infra/package", ".github/workflows"):
        shutil.copytree(template / name, folder / name, symlinks=True)
    top = [path.name for path in template.iterdir() if path.is_file()]
    for name in (*top, "infra/capacity.py", "infra/program.py"):
        shutil.copyfile(template / name, folder / name)
    repository.create(folder)
    repository.commit(folder)
    repository.git(folder, "tag", "v1.0.0")
    return folder


def test_what_is_not_the_programs_is_refused_and_nothing_is_written(small: Path, tmp_path: Path) -> None:
    workflow = ".github/workflows/deploy.yml"
    theirs = ("Makefile", "Pulumi.yaml", "infra/terraform/main.tf", "requirements/dev.txt", workflow)
    for name in theirs:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs\n")
    done = copier(tmp_path, "copy", "--quiet", "--defaults", "--overwrite", str(small), ".")
    assert done.returncode != 0
    named = f"infra, Makefile, Pulumi.yaml, requirements/dev.txt, {workflow}"
    assert f"The program brings {named}, and this repository has that already: it is not overwritten" in done.stderr
    assert contents(tmp_path) == dict.fromkeys(theirs, b"theirs\n")


def test_an_update_takes_the_next_release_and_keeps_what_the_team_changed(small: Path, tmp_path: Path) -> None:
    adopted = copied(team(tmp_path), small)
    edit(adopted / "Dockerfile", "USER 10001:10001\nCOPY --from=flow", "RUN true\nUSER 10001:10001\nCOPY --from=flow")
    edit(adopted / "Pulumi.dev.yaml", "workerCpu: 250m", "workerCpu: 500m")
    edit(adopted / ".github/workflows/deploy.yml", "stack: [prod]", "stack: [dev]")
    (adopted / "Pulumi.prod.yaml").unlink()
    (adopted / "requirements" / "flows.txt").write_text("humanize==4.0\n")
    repository.commit(adopted)
    before = contents(adopted)
    edit(small / "Dockerfile", "# The flow image:", "# Second release. The flow image:")
    edit(small / "Pulumi.dev.yaml", "workerMemory: 768Mi", "workerMemory: 1Gi")
    edit(small / "Pulumi.prod.yaml", "replicas: 2", "replicas: 3")
    edit(small / "Pulumi.yaml", "default: flows", "default: runs")
    edit(small / "requirements" / "flows.txt", "prefect==", "prefect==1")
    edit(small / "prefect.yaml", "nightly", "daily")
    (small / "infra" / "capacity.py").rename(small / "infra" / "room.py")
    repository.commit(small)
    repository.git(small, "tag", "v1.1.0")
    done = copier(adopted, "update", "--quiet", "--defaults")
    assert done.returncode == 0, done.stderr
    after = contents(adopted)
    assert yaml.safe_load(after[".copier-answers.yml"])["_commit"] == "v1.1.0"
    expected = {**before, ".copier-answers.yml": after[".copier-answers.yml"]}
    expected["Dockerfile"] = before["Dockerfile"].replace(b"# The flow image:", b"# Second release. The flow image:")
    expected["Pulumi.yaml"] = before["Pulumi.yaml"].replace(b"default: flows", b"default: runs")
    expected["infra/room.py"] = expected.pop("infra/capacity.py")
    assert {name for name in expected.keys() | after.keys() if expected.get(name) != after.get(name)} == set()


def test_the_template_is_tried_with_the_copier_that_it_asks_for() -> None:
    minimum = yaml.safe_load((paths.ROOT / "copier.yml").read_text())["_min_copier_version"]
    assert (paths.ROOT / "requirements" / "copier.in").read_text().startswith(f"copier=={minimum}.")
