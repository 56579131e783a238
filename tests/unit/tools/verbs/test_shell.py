from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tools.verbs import shell


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clone = tmp_path / "a clone's folder"
    for project in (clone, clone / "examples" / "consumer"):
        project.mkdir(parents=True)
        (project / "Pulumi.yaml").write_text("name: x\n")
    (clone / "flows").mkdir()
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "stack=$PULUMI_STACK file=$PULUMI_OPTION_CONFIG_FILE arguments=$*"\n')
    program.chmod(0o755)
    monkeypatch.setattr(shell, "ROOT", clone)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return clone


def typed(command: str, folder: Path, interpreter: str = "bash") -> str:
    """What a command prints after `eval "$(make -s env)"` in a shell."""
    function = shell.pulumi({"PULUMI_STACK": "dev", "PULUMI_OPTION_CONFIG_FILE": "/s/Pulumi.dev.yaml"})
    done = subprocess.run(
        [interpreter, "-c", f'eval "$CODE"\n{command}\necho "left: $PULUMI_STACK"'],
        cwd=folder,
        env={**os.environ, "CODE": function},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("interpreter", ["bash", "sh"])
@pytest.mark.parametrize("folder", [".", "flows"])
def test_pulumi_works_on_the_stack_inside_this_project(clone: Path, folder: str, interpreter: str) -> None:
    output = typed("pulumi config set a 'b c'", clone / folder, interpreter)
    assert output == "stack=dev file=/s/Pulumi.dev.yaml arguments=config set a b c\nleft: \n"


@pytest.mark.parametrize("interpreter", ["bash", "sh"])
def test_pulumi_of_a_project_below_this_one_is_left_alone(clone: Path, interpreter: str) -> None:
    output = typed("pulumi config set platform x", clone / "examples" / "consumer", interpreter)
    assert output == "stack= file= arguments=config set platform x\nleft: \n"


@pytest.mark.parametrize("option", ["-C examples/consumer", "--cwd examples/consumer", "--cwd=examples/consumer"])
def test_pulumis_own_option_for_the_folder_counts(clone: Path, option: str) -> None:
    assert typed(f"pulumi {option} up", clone).startswith("stack= file= ")


def test_pulumi_outside_of_any_project_is_left_alone(clone: Path, tmp_path: Path) -> None:
    assert clone
    assert typed("pulumi version", tmp_path).startswith("stack= file= ")
