"""Source that is newer than this process, parsed by another interpreter: a stand-in, and a real one if there is one."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.flow_signature import files, newer_python, schema
from infra.flow_signature.newer_python import NoInterpreterError, accepted, parse_as
from infra.flow_signature.source import SourceError, find

NEWEST = "3.13"
FLOW = '''
from typing import Annotated
from prefect import flow
from pydantic import BaseModel, Field

type Id = int | str
type Small = Annotated[int, Field(lt=5)]
type Pair[T] = tuple[T, T]
type Later = list[Other]

class Box[T: int](BaseModel):
    value: T

class Other(BaseModel): ...

@flow
def etl[T: (int, str), U = int](
    a: Id, b: Box[int], c: Pair[int], d: T, e: Small, f: Later, *, g: str = f"{"a" + "b"}", h: U = 3, i: float = 2.5
) -> list[T]:
    """Loads."""
    def inner[S](x: S) -> S:
        return x
    try:
        inner(1j)
    except* ValueError:
        ...
'''


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    newer_python._answer.cache_clear()


@pytest.fixture
def real() -> str:
    """Return the version of an interpreter that this machine has beside this one."""
    if sys.version_info[:2] >= (3, 12):
        pytest.skip("this Python knows the syntax by itself")
    try:
        parse_as(b"", NEWEST)
    except NoInterpreterError:
        pytest.skip(f"this machine has no python{NEWEST}, so only the stand-in was tested")
    return NEWEST


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make a `python3.13` that is the only one on the machine."""
    program = folder / "bin" / f"python{NEWEST}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(folder / "none"))
    monkeypatch.setenv("PATH", str(program.parent))


def answer(value: Any) -> str:
    return f"import sys\nsys.stdin.buffer.read()\nprint({json.dumps(value)!r})"


def project(folder: Path, text: str) -> Path:
    (folder / "etl.py").write_text(text)
    return folder


def test_a_flow_in_newer_syntax_has_the_schema_of_the_same_flow_in_older_syntax(real: str, tmp_path: Path) -> None:
    with accepted(real):
        source = find("etl.py:etl", project(tmp_path, FLOW))
        properties, notes = schema.build(source)
    assert (source.name, source.description, source.docstring) == ("etl", "Loads.", "Loads.")
    kinds = properties["properties"]
    assert kinds["a"] == {"$ref": "#/definitions/Id", "position": 0, "title": "a"}
    assert kinds["b"]["$ref"] == "#/definitions/Box_int_"
    assert properties["definitions"]["Box_int_"]["properties"]["value"] == {"title": "Value", "type": "integer"}
    assert properties["definitions"]["Pair_int_"]["prefixItems"] == [{"type": "integer"}] * 2
    assert kinds["d"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["definitions"]["Small"] == {"exclusiveMaximum": 5, "type": "integer"}
    assert [kinds[name]["default"] for name in "ghi"] == ["ab", 3, 2.5]
    assert kinds["h"]["type"] == "integer"
    [note] = notes
    assert "'f'" in note
    assert "NameError" in note


def test_newer_syntax_is_refused_where_no_newer_version_is_accepted(tmp_path: Path) -> None:
    if sys.version_info[:2] >= (3, 12):
        pytest.skip("this Python knows the syntax by itself")
    with pytest.raises(SourceError, match=r"etl.py line 6 has a syntax error"):
        find("etl.py:etl", project(tmp_path, FLOW))


def test_what_the_other_interpreter_refuses_as_well_is_an_error_with_its_words(real: str, tmp_path: Path) -> None:
    file = project(tmp_path, "type X = int\ndef broken(a, a): ...\n") / "etl.py"
    with (
        accepted(real),
        pytest.raises(SourceError, match=r"line 2 has a syntax error \(duplicate"),
    ):
        files.parse(file)


def test_every_kind_of_constant_arrives(real: str) -> None:
    text = "x = [1, -2, 10**5, 1e400, 2.5, 3j, b'\\xff', '\\ud800', None, True, ..., 123456789012345678901234567890]"
    assert ast.dump(parse_as(text.encode(), real)) == ast.dump(ast.parse(text))


def test_nothing_of_the_source_and_the_folder_is_run(
    real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    for name in ("ast", "json", "sitecustomize", "etl"):
        (tmp_path / f"{name}.py").write_text(f"open({str(touched)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parse_as(f"open({str(touched)!r}, 'w')\nimport etl\ntype X = int".encode(), real)
    assert not touched.exists()


@pytest.mark.parametrize(
    "script",
    [
        "raise SystemExit(127)",
        "print('Python 3.13')",
        answer({"version": "3.12", "tree": None}),
        "import time; time.sleep(60)",
    ],
)
def test_a_program_that_does_not_answer_as_that_version_does_not_count(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newer_python, "_SECONDS", 2)
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(NoInterpreterError):
        parse_as(b"type X = int", NEWEST)


def test_the_answer_of_an_interpreter_becomes_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = [1, 0, 1, 12]
    name = {
        "node": "Name",
        "fields": {"id": "X", "ctx": {"node": "Store", "fields": {}, "at": [None] * 4}},
        "at": place,
    }
    five = {"node": "Constant", "fields": {"value": {"int": "0x5"}, "kind": None}, "at": place}
    alias = {"node": "TypeAlias", "fields": {"name": name, "type_params": [], "value": five}, "at": place}
    tree = {"node": "Module", "fields": {"body": [alias], "type_ignores": []}, "at": [None] * 4}
    stand_in(tmp_path, monkeypatch, answer({"version": NEWEST, "tree": tree}))
    [statement] = parse_as(b"type X = 5", NEWEST).body
    assert type(statement).__name__ == "TypeAlias"
    assert (statement.lineno, statement.value.value) == (1, 5)  # type: ignore[attr-defined]


def test_an_expression_that_is_nested_too_deeply_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, answer({"version": NEWEST, "deep": True}))
    file = project(tmp_path, "type X = int") / "etl.py"
    with accepted(NEWEST), pytest.raises(SourceError, match="nested too deeply"):
        files.parse(file)


def test_the_interpreter_gets_no_variable_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    show = tmp_path / "environment"
    stand_in(tmp_path, monkeypatch, f"import os\nopen({str(show)!r}, 'w').write(repr(dict(os.environ)))")
    with pytest.raises(NoInterpreterError):
        parse_as(b"", NEWEST)
    assert "hunter2" not in show.read_text()
    assert os.environ["PGPASSWORD"] == "hunter2"
