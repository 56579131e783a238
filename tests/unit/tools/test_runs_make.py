"""What is typed after `make run`, as the program behind it receives it: real make, another last program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VARIABLES = ("FLOW", "PARAMS", "VARS", "TAGS", "NAME", "RUN")
PRINT = "import json, os; print(json.dumps(dict(os.environ)))"
TEXTS = [
    'lines=["a b","c"]',
    'report={"countries":["FR"], "least": 5}',
    "price=$5 home=$HOME twice=$$ call=$(HOME) brace=${HOME}",
    "note='it'\"'\"'s' # not a comment",
    'path="C:\\\\data\\new" tick=`id` bang=!',
    "first=1\nsecond='two\nlines'",
    "$(shell touch typed-text-was-run)$(error typed text was expanded)",
    "a;b|c&d>e<f*?~ %.o @x -n +x",
    "🦉 über/наличие",
]


@pytest.fixture
def stub(tmp_path: Path) -> str:
    """A program in place of the tools that prints its environment."""
    file = tmp_path / "print-environment"
    file.write_text(f"#!{sys.executable} -S\n{PRINT}\n")
    file.chmod(0o755)
    return str(file)


def received(stub: str, verb: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "--silent", "--old-file=venv", verb, f"TOOLS={stub}", "PYTHON=true", *arguments],
        cwd=ROOT,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    variables: dict[str, str] = json.loads(done.stdout)
    return variables


@pytest.mark.parametrize("text", TEXTS)
def test_text_on_makes_command_line_arrives_untouched(stub: str, text: str) -> None:
    environment = received(stub, "run", *(f"{name}={text}" for name in VARIABLES))
    assert {name: environment[f"EPHEMERAL_DASK_{name}"] for name in VARIABLES} == dict.fromkeys(VARIABLES, text)
    assert not (ROOT / "typed-text-was-run").exists()


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_the_environment_of_make_arrives_untouched(stub: str, text: str) -> None:
    environment = received(stub, "logs", environment=dict.fromkeys(VARIABLES, text))
    assert {name: environment[f"EPHEMERAL_DASK_{name}"] for name in VARIABLES} == dict.fromkeys(VARIABLES, text)


def test_text_that_is_not_typed_is_empty(stub: str) -> None:
    inherited = dict.fromkeys(VARIABLES, "")
    environment = received(stub, "cancel", environment=inherited)
    assert [environment[f"EPHEMERAL_DASK_{name}"] for name in VARIABLES] == [""] * len(VARIABLES)
