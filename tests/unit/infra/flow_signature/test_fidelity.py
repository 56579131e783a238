"""Flow sources of many kinds: what is read is what Prefect's own deploy code says, or a note says what was left out.

Prefect imports each module; the reading does not.
"""

# ruff: noqa: E501  a source is easier to read in one line
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import flow_project
from tests.support.flow_cases import EQUAL, write_project

LEFT_OUT: dict[str, tuple[str, str, str]] = {
    "clock": ("from datetime import date", "day: date = date.today()", "line 4 of f.py calls date.today"),
    "clock, later": ("import datetime as d", "at: d.datetime = d.datetime.now(d.timezone.utc)", "calls datetime.now"),
    "random": ("from uuid import uuid4", "key: str = uuid4().hex", "calls uuid.uuid4"),
    "random number": ("import random", "n: float = random.random()", "calls Random.random"),
    "environment": ("import os", "bucket: str = os.environ.get('BUCKET', 'a')", "reads os.environ"),
    "environment item": ("import os", "bucket: str = os.environ['BUCKET']", "reads os.environ"),
    "getenv": ("import os", "bucket: str = os.getenv('BUCKET', 'a')", "calls os.getenv"),
    "folder": ("from pathlib import Path", "p: str = Path(__file__).parent.name", "differs from machine to machine"),
    "home": ("from pathlib import Path", "p: str = str(Path.home())", "calls pathlib.Path.home"),
    "file": ("", "p: str = open(__file__).read()", "calls io.open"),
    "branch": (
        "import os\nif os.environ.get('S', 'p') == 'p': T = 'a'\nelse: T = 'b'",
        "t: str = T",
        "line 3 of f.py decides it",
    ),
    "branch of a list": (
        "import os\nT = ['a']\nif os.environ.get('S'): T.append('b')",
        "t: list[str] = T",
        "may change it",
    ),
    "library": ("import geolib\nT = list(geolib.ZONES)", "t: list = T", "only an import of geolib would show it"),
    "library in a condition": (
        "import geolib\nT = 'km' if 'm' in geolib.UNITS else 'mi'",
        "t: str = T",
        "an import of geolib",
    ),
    "library that changes a list": ("import geolib\nT = ['a']\ngeolib.fill(T)", "t: list = T", "an import of geolib"),
    "loader": ("", "p: str = __spec__.name", "reads __spec__"),
    "loader of a module": ("import importlib, json", "p: str = json.__spec__.name", "reads json.__spec__"),
    "loaded again": (
        "import importlib, settings\nsettings.L = 2\nimportlib.reload(settings)",
        "n: int = settings.L",
        "calls importlib.reload",
    ),
    "order of a set": ("T = list({'a', 'b'})", "t: list = T", "order differs"),
    "address": ("", "t: str = str(object())", "address of an object"),
}


@pytest.mark.parametrize("case", EQUAL)
def test_a_flow_is_read_as_prefect_loads_it(case: str, tmp_path: Path) -> None:
    files, entrypoint = EQUAL[case]
    write_project(tmp_path, files)
    theirs, ours = flow_project.prefects(tmp_path, entrypoint), flow_project.ours(tmp_path, entrypoint)
    assert theirs.error == ours.error == ""
    assert flow_project.differences(ours, theirs) == []
    assert ours.notes == ()
    assert ours.seconds < flow_project.BOUNDED


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_default_that_only_running_the_flow_would_show_is_left_out_with_a_note(case: str, tmp_path: Path) -> None:
    before, parameter, reason = LEFT_OUT[case]
    flow = f"from prefect import flow\n{before}\n@flow\ndef f({parameter}): ..."
    write_project(tmp_path, {"f.py": flow, "settings.py": "L = 1"})
    ours = flow_project.ours(tmp_path, "f.py:f")
    [note] = ours.notes
    assert "is registered without its default, because" in note
    assert reason in note
    [schema] = ours.schema["properties"].values()
    assert "default" not in schema
    assert "required" not in ours.schema


def test_an_enumeration_with_its_own_way_to_make_members_is_left_out_with_a_note(tmp_path: Path) -> None:
    source = "import enum\nclass E(enum.Enum):\n  A = ('a', 1)\n  def __new__(c, v, n):\n    o = object.__new__(c)\n    o._value_ = v\n    return o\n@flow\ndef f(e: E = E.A, n: int = 1): ..."
    write_project(tmp_path, source)
    theirs, ours = flow_project.prefects(tmp_path, "f.py:f"), flow_project.ours(tmp_path, "f.py:f")
    assert flow_project.differences(ours, theirs) == []
    [note] = ours.notes
    assert note.startswith("parameter 'e' is registered without its type and default")


@pytest.mark.parametrize(
    "decorated",
    [
        "@geolib.retry(3)\n  def go(self): ...",
        "@geolib.a\n  @geolib.b\n  def go(self): ...\n  @go.setter\n  def go(self, v): ...",
    ],
)
def test_a_model_keeps_its_type_when_a_library_decorates_its_methods(decorated: str, tmp_path: Path) -> None:
    source = f"from prefect import flow\nimport geolib\nfrom pydantic import BaseModel\nclass S(BaseModel):\n  rows: int = 1\n  {decorated}\n@flow\ndef f(s: S): ..."
    write_project(tmp_path, source)
    ours = flow_project.ours(tmp_path, "f.py:f")
    assert ours.notes == ()
    assert ours.schema["definitions"]["S"]["properties"] == {"rows": {"default": 1, "title": "Rows", "type": "integer"}}


def test_a_class_of_a_library_is_noted_for_each_parameter(tmp_path: Path) -> None:
    source = "from prefect import flow\nimport geolib\nclass Spot(geolib.Point): ...\n@flow\ndef f(a: Spot, b: list[Spot]): ..."
    write_project(tmp_path, source)
    notes = flow_project.ours(tmp_path, "f.py:f").notes
    assert [note.partition(" is registered")[0] for note in notes] == ["parameter 'a'", "parameter 'b'"]
    assert all("without its type, because only an import of geolib" in note for note in notes)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (
            "@flow(name='load/day')\ndef f(): ...",
            "line 3 of f.py: the flow's name 'load/day' has /, which Prefect refuses",
        ),
        ("@flow(name=3)\ndef f(): ...", "the name in @flow must be text"),
        (
            "@flow\ndef f(_n: int = 1): ...",
            "the parameters of 'f' are not valid: Fields must not use names with leading",
        ),
        ("@flow\ndef f(wait_for): ...", "'wait_for' is reserved by Prefect"),
        ("@flow\ndef f(a: str = '\\ud800'): ...", "has half of a character"),
        ("@flow\ndef f(model_config): ...", "a parameter 'model_config' cannot be validated"),
        ("def f(): ...", "'f' in f.py is not a flow; decorate it with @flow"),
        ("from prefect import task\n@task\ndef f(): ...", "'f' in f.py is not a flow; decorate it with @flow"),
        ("@flow\ndef f(a, a): ...", "f.py line 3 has a syntax error (duplicate argument 'a'"),
        ("x = '" + "(" * 9 + "\n", "f.py line 2 has a syntax error"),
        ("x = " + "(" * 300 + ")" * 300, "f.py line 2 has a syntax error (too many nested parentheses)"),
        ("x = " + "-" * 20_000 + "1", "nested too deeply"),
    ],
)
def test_what_prefect_refuses_is_refused_in_a_sentence(source: str, error: str, tmp_path: Path) -> None:
    write_project(tmp_path, f"from prefect import flow\n{source}")
    ours, theirs = flow_project.ours(tmp_path, "f.py:f"), flow_project.prefects(tmp_path, "f.py:f")
    assert error in ours.error
    assert not ours.undecided
    assert theirs.error


@pytest.mark.parametrize(
    "source",
    [
        "import geolib\n@geolib.flow\ndef f(n: int): ...",
        "import geolib\nf = geolib.FLOW",
        "from geolib import *\nf = make()",
        "import os\nfrom prefect import flow\nif os.environ.get('A'):\n  @flow(name='a')\n  def f(): ...\nelse:\n  @flow(name='b')\n  def f(): ...",
    ],
)
def test_a_flow_that_only_running_the_module_would_show_is_undecided(source: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"f.py": source})
    ours = flow_project.ours(tmp_path, "f.py:f")
    assert ours.undecided
    assert "write schema and flowName for the deployment in the stack file" in ours.error


def test_nothing_of_the_project_is_imported_or_left_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    text = "from prefect import flow\nfrom pathlib import Path\nimport helper\nPath('ran').touch()\nopen('ran', 'w')\n@flow\ndef f(n: int = helper.L): ..."
    write_project(
        tmp_path, {"f.py": text, "helper.py": "L = 1\nimport os\nos.mkdir('ran')\nprint('ran')\nraise SystemExit(3)"}
    )
    assert flow_project.ours(tmp_path, "f.py:f").schema["properties"]["n"]["default"] == 1
    assert not (tmp_path / "ran").exists()
    assert {name for name in set(sys.modules) - before if name in ("f", "helper")} == set()
