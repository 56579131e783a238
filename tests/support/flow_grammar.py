"""A grammar of flow sources: constructs that a flow's module may be made of, put together at random."""

# ruff: noqa: E501  a source is easier to read in one line
from __future__ import annotations

import textwrap

from hypothesis import strategies as st

HEAD = """
import contextlib, dataclasses, enum, functools, math, os, sys, typing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union
from uuid import UUID, uuid4
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator, model_validator
"""

VALUES = (
    "1", "-2", "2.5", "'a'", "b'x'", "None", "True", "[]", "[1, 2]", "{'a': 1}", "(1, 'b')", "{3}", "10 ** 3", "'ab' * 3",
    "f'{1 + 1}-x'", "'a' 'b' + 'c'", "[x * 2 for x in range(3)]", "{k: len(k) for k in ('a', 'bc')}", "sorted([3, 1])",
    "max(1, 2)", "len('abc')", "dict(a=1)", "'A-B'.lower().split('-')", "math.inf", "math.pi", "date(2026, 1, 2)",
    "timedelta(hours=2)", "Decimal('1.5')", "UUID(int=5)", "Path('a') / 'b'", "date.today()", "uuid4().hex",
    "os.environ.get('STAGE_OF_NO_ONE', 'x')", "os.getenv('STAGE_OF_NO_ONE')", "sys.platform", "__name__", "{**{'a': 1}, 'b': 2}",
    "[*range(2), 9]", "(lambda n: n + 1)(2)", "'%s-%d' % ('a', 3)", "'{}'.format(4)", "1 if 2 > 1 else 0", "not []",
    "0 or 'fallback'", "(y := 4) + 1", "[1, 2, 3][1:]", "{'a': {'b': [1]}}['a']['b'][0]", "str(Path('x.csv').suffix)",
    "float('nan')", "1 << 4", "~5", "0x10", "1_000", "'é'", "...", "int", "object()", "set()", "frozenset({1})", "range(3)",
    "1 // 1", "7 % 4", "'a' in 'abc'", "1 < 2 < 3", "list(zip([1], 'a'))", "tuple(reversed([1, 2]))", "sum([1, 2])",
)  # fmt: skip
"""Expressions that are a constant."""

CHANGES = (
    "{n} = {v}", "{n} = {n}", "{n}: Any = {v}", "{n} = other = {v}", "{n}, other = {v}, 2", "({n}, *rest) = ({v}, 1, 2)",
    "if {c}:\n    {n} = {v}", "if {c}:\n    {n} = {v}\nelse:\n    {n} = {w}", "if not {c}:\n    {n} = {v}\nelif {d}:\n    {n} = {w}",
    "for {n} in [{v}, {w}]:\n    pass", "for item in range(3):\n    {n} = {v}\nelse:\n    other = 1",
    "for item in range(5):\n    if item == 2:\n        break\n    {n} = item", "while True:\n    {n} = {v}\n    break",
    "with contextlib.nullcontext({v}) as {n}:\n    pass", "with contextlib.suppress(ValueError):\n    {n} = {v}\n    raise ValueError",
    "try:\n    {n} = {v}\nexcept ValueError:\n    {n} = {w}", "try:\n    raise ValueError\nexcept ValueError:\n    {n} = {v}",
    "try:\n    {n} = int('x')\nexcept (TypeError, ValueError) as error:\n    {n} = {v}\nelse:\n    {n} = {w}\nfinally:\n    other = 2",
    "try:\n    import library_of_no_one\nexcept ImportError:\n    {n} = {v}",
    "try:\n    import json as library\n    {n} = {v}\nexcept ImportError:\n    {n} = {w}",
    "match {v}:\n    case 1:\n        {n} = 'one'\n    case [first, *_]:\n        {n} = first\n    case str() as text if text:\n        {n} = text\n    case _:\n        {n} = {w}",
    "del {n}\n{n} = {v}", "def setter():\n    global {n}\n    {n} = {v}\nsetter()",
    "def make(value={v}):\n    if value:\n        return value\n    return {w}\n{n} = make()",
    "class Holder:\n    value = {v}\n    other = value\n{n} = Holder.other", "{n} = [{v}]\n{n}.append({w})", "{n} = ['a']\n{n} += ['b']",
    "{n} = {{'k': {v}}}\n{n}['l'] = {w}", "{n} = {{}}\n{n}.update(k={v})", "{n} = [1, 2]\ndel {n}[0]", "{n} = 1\n{n} += 2",
    "{n} = alias = ['x']\nalias.extend(['y'])", "globals()['{n}'] = {v}", "globals().update({n}={v})", "exec('{n} = 5')", "setattr(sys.modules[__name__], '{n}', {v})", "sys.modules[__name__].{n} = {v}", "{n} = eval('1 + 2')", "vars()['{n}'] = {v}", "{n} = [{v}]\nfor item in range(2):\n    {n}.append(item)",
    "if (known := {c}):\n    {n} = {v}", "{n} = next(iter([{v}]))", "{n} = functools.reduce(lambda a, b: a + b, [1, 2, 3])",
    "{n} = {v}\nif os.environ.get('STAGE_OF_NO_ONE'):\n    {n} = {w}", "{n} = {v}\nif os.environ.get('STAGE_OF_NO_ONE') is None:\n    {n} = {w}",
    "{n} = ['a']\nif os.environ.get('STAGE_OF_NO_ONE'):\n    {n}.append('b')", "[{n}] = [{v}]", "{n} = (lambda: {v})()",
    "class Meta(type):\n    pass\nclass Made(metaclass=Meta):\n    value = {v}\n{n} = Made.value",
    "@functools.lru_cache\ndef cached():\n    return {v}\n{n} = cached()", "def each():\n    yield {v}\n{n} = list(each())",
    "{n} = {v}\nprint({n})", "{n} = {v}\nassert {n} is not NotImplemented", "import copy\n{n} = copy.deepcopy([{v}])",
    "def outer():\n    count = 0\n    def inner():\n        nonlocal count\n        count += 1\n        return count\n    inner()\n    return inner()\n{n} = outer()",
    "class Pair:\n    def __init__(self, left):\n        self.left = left\n    @property\n    def double(self):\n        return [self.left, self.left]\n{n} = Pair({v}).double",
    "class Settings:\n    pass\nSettings.rows = {v}\n{n} = Settings.rows",
    "try:\n    try:\n        int('x')\n    except ValueError:\n        raise\nexcept ValueError as error:\n    {n} = str(error)\nexcept Exception:\n    {n} = {v}",
    "try:\n    assert {c}, 'message'\nexcept AssertionError as {n}:\n    pass\ntry:\n    {n}\nexcept NameError:\n    {n} = {v}",
    "class Odd:\n    def __contains__(self, item):\n        return item == 1\n    def __eq__(self, other):\n        return other.none\n    def __call__(self, value):\n        return value\n{n} = [1 in Odd(), Odd()({v})]",
    "class Keys:\n    value = {v}\ndel Keys.value\n{n} = getattr(Keys, 'value', {w})",
    "import importlib\n{n} = importlib.import_module('math').pi",
    "try:\n    raise KeyError('k') from ValueError({v})\nexcept KeyError as error:\n    {n} = list(error.__cause__.args)",
)  # fmt: skip
"""Statements that bind a name {n} to values {v} or {w}, where {c} and {d} are conditions."""

CONDITIONS = (
    "True",
    "False",
    "1 > 2",
    "sys.version_info >= (3, 8)",
    "typing.TYPE_CHECKING",
    "'a' == 'a'",
    "[]",
    "__name__ == '__main__'",
)

CLASSES = (
    "class {k}(enum.Enum):\n    A = 'a'\n    B = 'b'", "class {k}(str, enum.Enum):\n    A = enum.auto()\n    B = 'b'",
    "class {k}(enum.IntEnum):\n    A = enum.auto()\n    B = enum.auto()\n    C = A",
    "class {k}(enum.Enum):\n    A = 1\n    B = 2\n    @property\n    def double(self):\n        return self.value * 2\n    @classmethod\n    def default(cls):\n        return cls.A",
    "class {k}(enum.StrEnum):\n    A = enum.auto()\n    @staticmethod\n    def _generate_next_value_(name, start, count, last):\n        return name * 2\n    B = enum.auto()",
    "{k} = enum.Enum('{k}', 'A B')", "class {k}(enum.Flag):\n    A = 1\n    B = 2",
    "class {k}(BaseModel):\n    'A model.'\n    rows: int = 1\n    name: str | None = None",
    "class {k}(BaseModel):\n    rows: Annotated[int, Field(ge=1)] = 1\n    @field_validator('rows')\n    @classmethod\n    def check(cls, value):\n        return value\n    @computed_field\n    @property\n    def area(self) -> int:\n        return self.rows * 2",
    "class {k}(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n    items: list['{k}'] = []\n    @model_validator(mode='after')\n    def whole(self):\n        return self",
    "class {k}(BaseModel):\n    rows: int\n    at: datetime = Field(default_factory=datetime.now)\n    tags: dict[str, list[int]] = Field(default_factory=dict)",
    "class {k}(BaseModel):\n    kind: Literal['x', 'y'] = 'x'\n    value: Union[int, str, None] = Field(None, alias='Value')\n    @functools.cached_property\n    def cached(self):\n        return 1",
    "class {k}(BaseModel):\n    rows: int = {v}",
    "@dataclass\nclass {k}:\n    x: float = 1.0\n    y: list[int] = field(default_factory=list)", "@dataclass(frozen=True, kw_only=True)\nclass {k}:\n    x: int\n    y: 'int' = 2",
    "class {k}(TypedDict, total=False):\n    a: int\n    b: str", "class {k}(NamedTuple):\n    left: int\n    right: str = 'r'",
    "{k} = NamedTuple('{k}', [('left', int)])", "{k} = TypedDict('{k}', {{'a': int}})", "{k} = typing.NewType('{k}', int)",
    "{k} = Annotated[int, Field(ge=1, le=9)]", "{k} = Optional[int]", "{k} = Literal[1, 'b']", "{k} = list[dict[str, float]]", "class {k}:\n    pass",
    "{k} = int | str", "T = typing.TypeVar('T')\nclass Box(BaseModel, typing.Generic[T]):\n    item: T\n{k} = Box[int]",
    "class Base(BaseModel):\n    a: int = 1\nclass {k}(Base):\n    b: str = 'b'\n    def method(self):\n        return undefined_name",
    "from abc import ABC, abstractmethod\nclass {k}(BaseModel, ABC):\n    a: int = 1\n    @abstractmethod\n    def run(self): ...",
    "import pydantic\n{k} = pydantic.create_model('{k}', rows=(int, 3))", "class {k}(typing.Protocol):\n    def run(self) -> int: ...",
    "class {k}(BaseModel):\n    class Inner(BaseModel):\n        deep: int = 1\n    inner: Inner = Inner()", "from pydantic import RootModel\nclass {k}(RootModel[list[int]]):\n    pass",
    "class {k}(BaseModel):\n    left: 'Later | None' = None\nclass Later(BaseModel):\n    right: int = 1", "import pydantic.dataclasses\n@pydantic.dataclasses.dataclass\nclass {k}:\n    x: int = 1",
    "from pydantic.v1 import BaseModel as FirstModel\nclass {k}(FirstModel):\n    rows: int = 1",
)  # fmt: skip
"""Definitions of a type {k}."""

TYPES = (
    "", ": int", ": str", ": float", ": bool", ": list", ": list[int]", ": dict[str, Any]", ": int | None", ": Optional[str]", ": Any",
    ": 'int'", ": '{k}'", ": {k}", ": list[{k}]", ": dict[str, {k}] | None", ": Annotated[{k}, Field(description='What.')]", ": Literal['a', 1]", ": tuple[int, ...]",
    ": date", ": timedelta", ": Path", ": Decimal", ": bytes", ": set[int]", ": type", ": Union[{k}, int]", ": 'list[{k}]'", ": list['{k}']", ": object",
)  # fmt: skip

DEFAULTS = (
    "",
    " = {v}",
    " = {n}",
    " = [{n}]",
    " = Field({v}, description='D.')",
    " = Field(default={n}, json_schema_extra={{'unit': 's'}})",
    " = {k}",
    " = None",
    " = Field(...)",
    " = str({n})",
    " = {k}()",
    " = [*{k}][0]",
)

DECORATORS = (
    "@flow", "@flow()", "@prefect.flow", "@prefect.flows.flow(retries=1)", "@flow(name='My flow', description='What.')", "@flow(name=f'{{1 + 1}}-flow')",
    "@flow(name=str({n}))", "@flow(name='a' + '-b', log_prints=True)", "@flow(**{{'name': 'opt'}})", "@flow(description=NOTE)", "@partial(flow, retries=2)", "@partial(flow, name='p')()",
    "@own", "@own_with('x')", "@flow\n@plain", "@flow\n@wrapping", "@flow(validate_parameters=False)", "@flow(name=None, description='')", "@(lambda function: flow(function, name='l'))", "@flow\n@functools.lru_cache",
)  # fmt: skip

FLOWS = (
    "from prefect import flow", "from prefect import flow as deco\nflow = deco", "import prefect\nflow = prefect.flow", "from prefect.flows import flow", "with contextlib.nullcontext():\n    from prefect import flow",
    "try:\n    from prefect import flow\nexcept ImportError:\n    flow = None", "if True:\n    from prefect import flow", "from prefect import *", "match 1:\n    case _:\n        from prefect import flow", "from prefect import Flow\nflow = Flow",
)  # fmt: skip

TAILS = (
    "",
    "{n} = 'later'",
    "run = run.with_options(name='other')",
    "run = run.with_options(description='Other.')",
    "if True:\n    run = flow(run.fn, name='again')",
    "run.name = 'set'",
    "del {n}",
    "alias = run\nrun = alias",
    "if isinstance({n}, list):\n    {n}.append('end')",
)

HELPERS = '''
import prefect
NOTE = "Note " + "it."


def own(function):
    return prefect.flow(function, retries=2)


def own_with(name):
    def decorator(function):
        return prefect.flow(name=name)(function)
    return decorator


def plain(function):
    def outer(label: str = "x"):
        """Outer."""
        return function(label)
    return outer


def wrapping(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner
'''


def _indented(text: str, wrapper: str) -> str:
    return f"{wrapper}\n{textwrap.indent(text, '    ')}" if wrapper else text


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """Return the files of a project, and the entrypoint of its flow `run`."""
    names = {
        "n": draw(st.sampled_from(("ROWS", "LIMIT", "x1"))),
        "k": draw(st.sampled_from(("Kind", "Size"))),
        "v": draw(st.sampled_from(VALUES)),
        "w": draw(st.sampled_from(VALUES)),
        "c": draw(st.sampled_from(CONDITIONS)),
        "d": draw(st.sampled_from(CONDITIONS)),
    }
    parts = [f"{names['n']} = {draw(st.sampled_from(VALUES))}"]
    parts += [draw(st.sampled_from(CHANGES)).format(**names) for _ in range(draw(st.integers(0, 2)))]
    wrapper = draw(st.sampled_from(("", "", "", "if True:", "with contextlib.nullcontext():", "for _ in range(1):")))
    constants = "\n".join(_indented(part, wrapper) for part in parts)
    kind = _indented(draw(st.sampled_from(CLASSES)).format(**names), draw(st.sampled_from(("", "", "if True:"))))
    future = draw(st.sampled_from(("", "", "from __future__ import annotations")))
    layout = draw(st.sampled_from(LAYOUTS)) if draw(st.booleans()) else LAYOUTS[0]
    flow, tail = _flow(draw, names), draw(st.sampled_from(TAILS)).format(**names)
    prefects = draw(st.sampled_from(FLOWS))
    texts = {
        "everything": [future, HEAD, prefects, HELPERS, constants, kind, flow, tail],
        "constants": [future, HEAD, constants, kind, draw(st.sampled_from(PUBLIC)).format(**names)],
        "flow": [future, HEAD, prefects, HELPERS, layout[2].format(**names), flow, tail],
        "decorators": [HEAD, prefects, HELPERS, constants, kind],
        "empty": [],
        "package": [draw(st.sampled_from(("", "from .consts import *", "from . import consts"))).format(**names)],
        "export": [layout[2].format(**names)],
    }
    files = {name: "\n".join([*texts[content], ""]) for name, content in layout[1].items()}
    return files, layout[0]


def _flow(draw: st.DrawFn, names: dict[str, str]) -> str:
    parameters = []
    for name in ("a", "b", "c")[: draw(st.integers(0, 3))]:
        default = draw(st.sampled_from(DEFAULTS)).format(**names)
        parameters.append(f"{name}{draw(st.sampled_from(TYPES)).format(**names)}{default}")
    # What has no default comes first.
    parameters.sort(key=lambda text: " = " in text)
    docstring = draw(
        st.sampled_from(("...", '"""Do it."""', '"""Do it.\n\n    Args:\n        a: The first.\n\n    """'))
    )
    decorator = draw(st.sampled_from(DECORATORS)).format(**names)
    star = draw(st.sampled_from(("", "", "*, "))) if parameters else ""
    prefix = draw(st.sampled_from(("", "", "", "async ")))
    return f"{decorator}\n{prefix}def run({star}{', '.join(parameters)}):\n    {docstring}"


PUBLIC = (
    "",
    "",
    "__all__ = ['{n}', '{k}']",
    "__all__ = ('{n}',)\n__all__ += ('{k}',)",
    "def __getattr__(name):\n    if name == 'lazy':\n        return {v}\n    raise AttributeError(name)",
)

LAYOUTS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("jobs.py:run", {"jobs.py": "everything"}, ""),
    ("jobs:run", {"jobs.py": "everything"}, ""),
    ("pkg.jobs.run", {"pkg/jobs.py": "everything", "pkg/__init__.py": "empty"}, ""),
    ("jobs.py:run", {"jobs.py": "flow", "consts.py": "constants"}, "from consts import {n}, {k}"),
    ("flows/jobs.py:run", {"flows/jobs.py": "flow", "flows/consts.py": "constants"}, "from consts import *"),
    ("flows/jobs.py:run", {"flows/jobs.py": "flow", "consts.py": "constants"}, "import consts\n{n} = consts.{n}\n{k} = consts.{k}"),
    ("flows/jobs.py:run", {"flows/jobs.py": "flow", "flows/consts.py": "constants"}, "from .consts import {n}, {k}"),
    ("pkg.jobs.run", {"pkg/jobs.py": "flow", "pkg/consts.py": "constants", "pkg/__init__.py": "package"}, "from .consts import {n}, {k}"),
    ("pkg.jobs.run", {"pkg/jobs.py": "flow", "pkg/consts.py": "constants", "pkg/__init__.py": "package"}, "from . import consts as c\n{n}, {k} = c.{n}, c.{k}"),
    ("pkg.jobs:run", {"pkg/jobs.py": "flow", "pkg/consts.py": "constants"}, "import pkg.consts\n{n} = pkg.consts.{n}\n{k} = pkg.consts.{k}"),
    ("pkg.sub.jobs.run", {"pkg/sub/jobs.py": "flow", "pkg/consts.py": "constants", "pkg/__init__.py": "package"}, "from ..consts import {n}, {k}"),
    ("pkg.run", {"pkg/__init__.py": "export", "pkg/inner.py": "everything"}, "from .inner import run"),
    ("pkg:run", {"pkg/__init__.py": "export", "pkg/inner.py": "everything"}, "from pkg.inner import *"),
    ("main.py:run", {"main.py": "export", "inner.py": "everything"}, "from inner import run"),
    ("main.py:run", {"main.py": "export", "inner.py": "everything"}, "import inner\nrun = inner.run"),
    ("pkg.jobs.run", {"src/pkg/jobs.py": "flow", "src/pkg/consts.py": "constants", "src/pkg/__init__.py": "package"}, "from pkg.consts import {n}, {k}"),
    ("src/pkg/jobs.py:run", {"src/pkg/jobs.py": "flow", "src/pkg/consts.py": "constants", "src/pkg/__init__.py": "empty"}, "from pkg.consts import {n}, {k}"),
    ("jobs.py:run", {"jobs.py": "flow", "compat.py": "decorators"}, "from compat import *"),
    ("jobs.py:run", {"jobs.py": "flow", "compat.py": "decorators"}, "from compat import flow, own, {n}, {k}"),
    ("jobs.py:run", {"jobs.py": "flow", "consts.py": "constants"}, "if typing.TYPE_CHECKING:\n    from consts import {k}\nfrom consts import {n}"),
    ("jobs.py:run", {"jobs.py": "flow", "consts.py": "constants"}, "try:\n    from consts import {n}, {k}\nexcept ImportError:\n    {n} = {k} = int"),
    ("jobs.py:run", {"jobs.py": "flow", "consts.py": "constants"}, "import consts\nconsts.{n} = {v}\nfrom consts import {n}, {k}"),
)  # fmt: skip
"""Entrypoint, file -> what it holds, and the import that the flow's file has."""
