"""Our reading of a signature against Prefect's own, which imports the flow."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema as prefects

from infra.flow_signature import schema as parameter_schema
from infra.flow_signature import source as flow_source
from tests.project.flows import primes

HEAD = """
import datetime
import decimal
import enum
import pathlib
import typing as t
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import pydantic
from prefect import flow, task
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

LIMIT = 7
Number = int | float


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    "Where it is."

    street: str
    number: int = Field(default=1, ge=1, description="Of the house.")


class Person(BaseModel):
    name: str
    home: Address | None = None
    friends: list["Person"] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    deep: bool
    limit: int


class Pair(NamedTuple):
    left: int
    right: str = "r"
"""

SIGNATURES = {
    "nothing": "",
    "builtin": "a: int, b: str, c: float, d: bool, e: bytes, f: None",
    "defaults": "a: int = 1, b: str = 'x', c: float = 1.5, d: bool = True, e: int | None = None",
    "unannotated": "a, b=3, c=None",
    "containers": "a: list[int], b: dict[str, float], c: set[str], d: tuple[int, str], e: list, f: dict = {}",
    "nested": "a: dict[str, list[int | None]], b: Sequence[Mapping[str, Any]] = ()",
    "unions": "a: int | str, b: Optional[int] = None, c: Union[int, list[str], None] = None, d: Number = 2",
    "literal": "a: Literal['x', 'y', 3] = 'x'",
    "annotated": "a: Annotated[int, Field(ge=2, le=10)] = 5, b: Annotated[str, pydantic.Field(pattern='^a')] = 'a'",
    "field": "a: int = Field(default=3, description='Three.', json_schema_extra={'unit': 's'}), b: str = Field()",
    "stdlib": "a: datetime.datetime, b: datetime.timedelta, c: uuid.UUID, d: pathlib.Path, e: decimal.Decimal",
    "dates": "a: datetime.date = datetime.date(2026, 1, 2), b: t.Optional[datetime.time] = None",
    "enum": "a: Colour = Colour.RED, b: list[Colour] = [Colour.BLUE]",
    "model": "a: Address, b: Person, c: Address = Address(street='s')",
    "string annotation": "a: 'Address', b: 'list[int]' = []",
    "dataclass": "a: Point, b: Point = Point(1.0)",
    "typed dictionary": "a: Options, b: Pair",
    "kinds": "a: int, /, b: str = 'b', *, c: float, d: int = LIMIT",
    "only keywords": "*, a: int = 1, b: str",
    "variadic": "a: int, *rest: str, **others: float",
    "names of pydantic": "schema: int, copy: str = 'c', json: bool = False",
    "no json default": "a: object = object(), b: Any = None",
    "callable": "a: t.Callable[[int], str], b: type[int] = int",
    "constrained": "a: pydantic.PositiveInt = 1, b: pydantic.SecretStr = pydantic.SecretStr('x')",
}

DOCSTRINGS = {
    "none": "",
    "summary": '"""Do it."""',
    "google": '''"""Do it.

    Longer words.

    Args:
        a: The first, which
            goes on here.
        b (str): The second: with a colon.
        *rest: Others.

    Returns:
        Nothing.

    """''',
    "arguments": '''"""Do it.

    Arguments:
        a: First.
    Raises:
        ValueError: never.
    """''',
    "numpy": '''"""Do it.

    Parameters
    ----------
    a : int
        Not understood by Prefect.
    """''',
}


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _ours(path: Path, function: str = "run") -> tuple[dict[str, Any], tuple[str, ...]]:
    return parameter_schema.build(flow_source.find(f"{path.name}:{function}", path.parent))


def _theirs(path: Path, function: str = "run") -> dict[str, Any]:
    return prefects(getattr(_module(path), function)).model_dump(exclude_unset=True)


def _write(folder: Path, name: str, signature: str, docstring: str = "", head: str = HEAD) -> Path:
    path = folder / f"{''.join(c if c.isalnum() else '_' for c in name)}_flow.py"
    body = docstring or "..."
    path.write_text(f"{head}\n\n@flow\ndef run({signature}):\n    {body}\n")
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")  # what pydantic says to Prefect of odd defaults
@pytest.mark.parametrize("name", SIGNATURES)
def test_the_schema_is_the_one_that_prefect_deploy_registers(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path, name, SIGNATURES[name])
    ours, notes = _ours(path)
    assert ours == _theirs(path)
    assert notes == ()


def test_parameters_with_names_of_pydantics_own_are_registered_as_prefect_does(tmp_path: Path) -> None:
    head = HEAD + "\n\nflow = flow(validate_parameters=False)\n"
    path = _write(tmp_path, "reserved", "model_dump: int, model_fields: str = 'a'", head=head)
    assert _ours(path)[0] == _theirs(path)


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_parameters_are_described_as_prefect_describes_them(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path, f"doc_{name}", "a: int, b: str = 'b', *rest: int", DOCSTRINGS[name])
    assert _ours(path)[0] == _theirs(path)


def test_postponed_annotations_and_recursive_classes_have_prefects_schema(tmp_path: Path) -> None:
    head = "from __future__ import annotations\n" + HEAD.replace('list["Person"]', "list[Person]")
    path = _write(tmp_path, "postponed", "a: Person, b: list[Address] = []", head=head)
    assert _ours(path)[0] == _theirs(path)


def test_a_class_of_another_project_module_has_prefects_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "beside"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "shapes.py").write_text("from pydantic import BaseModel\nclass Shape(BaseModel):\n    side: int = 3\n")
    source = "from prefect import flow\nfrom beside.shapes import Shape\n@flow\ndef run(a: Shape): ...\n"
    (package / "jobs.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    ours, notes = parameter_schema.build(flow_source.find("beside.jobs.run", tmp_path))
    assert ours == _theirs(package / "jobs.py")
    assert ours["definitions"]["Shape"]["properties"]["side"]["default"] == 3
    assert notes == ()


def test_a_library_type_accepts_anything_with_a_note_and_without_an_import(
    tmp_path: Path,
) -> None:
    head = """
import numpy as np
import pandas as pd
from prefect import flow
from library.of.ours import Thing
def client():
    raise AssertionError("ran")
CLIENT = client()
"""
    signature = "a: np.ndarray, b: list[pd.DataFrame], c: Thing | None = None, d: int = 3"
    ours, notes = _ours(_write(tmp_path, "foreign", signature, head=head))
    assert ours["properties"] == {
        "a": {"position": 0, "title": "a"},
        "b": {"items": {}, "position": 1, "title": "b", "type": "array"},
        "c": {"anyOf": [{}, {"type": "null"}], "default": None, "position": 2, "title": "c"},
        "d": {"default": 3, "position": 3, "title": "d", "type": "integer"},
    }
    assert ours["required"] == ["a", "b"]
    assert [note.split("'")[1] for note in notes] == ["a", "b", "c"]
    assert "only an import of numpy would show it" in notes[0]
    assert not any(name.startswith("library") for name in sys.modules)


def test_statements_that_no_parameter_needs_are_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    head = textwrap.dedent(f"""
        from pathlib import Path
        from prefect import flow
        from pydantic import BaseModel
        SIDE_EFFECT = Path({str(mark)!r}).touch()
        class Model(BaseModel):
            a: int
            def method(self):
                return SIDE_EFFECT
        """)
    ours, notes = _ours(_write(tmp_path, "effects", "a: Model", head=head))
    assert ours["definitions"]["Model"]["properties"]["a"]["type"] == "integer"
    assert notes == ()
    assert not mark.exists()


def test_an_annotation_that_fails_accepts_anything_with_a_note(tmp_path: Path) -> None:
    head = "from prefect import flow\n"
    ours, notes = _ours(_write(tmp_path, "fails", "a: Missing, b: int = 1 // 0", head=head))
    assert ours["properties"]["a"] == {"position": 0, "title": "a"}
    assert "required" in ours
    assert len(notes) == 2


def test_a_flow_with_a_task_runner_is_described_as_prefect_does() -> None:
    root = Path(primes.__file__).parents[1]
    ours, _ = parameter_schema.build(flow_source.find("flows.primes.primes", root))
    assert ours == prefects(primes.primes).model_dump(exclude_unset=True)


def test_deployments_of_one_flow_share_the_schema_but_not_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(primes.__file__).parents[1]
    first = parameter_schema.build(flow_source.find("flows.primes.primes", root))
    monkeypatch.delattr(parameter_schema, "_Builder")
    second = parameter_schema.build(flow_source.find("flows.primes.primes", root))
    assert second == first
    second[0]["properties"].clear()
    assert parameter_schema.build(flow_source.find("flows.primes.primes", root)) == first


def test_the_platforms_own_package_is_not_read_again_for_each_flow(tmp_path: Path) -> None:
    (tmp_path / "ephemeral_dask").mkdir()
    (tmp_path / "ephemeral_dask" / "__init__.py").write_text("raise RuntimeError('read')\n")
    source = "from ephemeral_dask import ephemeral_dask\nfrom prefect import flow\n"
    source += "@flow(task_runner=ephemeral_dask(maximum=4))\ndef f(day: str = 'today'): ...\n"
    (tmp_path / "one.py").write_text(source)
    flow = flow_source.find("one.f", tmp_path)
    assert set(flow.reading.modules) == {"one"}
    schema, notes = parameter_schema.build(flow)
    assert schema["properties"]["day"]["default"] == "today"
    assert (notes, flow.notes) == ((), ())
