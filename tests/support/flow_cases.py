"""Flow sources of many kinds that are read as Prefect loads them: name -> files and entrypoint."""

# ruff: noqa: E501  a source is easier to read in one line
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support import flow_project

Files = str | bytes | Mapping[str, str | bytes]

MODELS = "from pydantic import BaseModel\nclass Size(BaseModel):\n    rows: int = 1\n"
PLAIN = "from prefect import flow\n@flow\ndef f(n: int = 1): ...\n"

EQUAL: dict[str, tuple[Files, str]] = {
    # Values that a branch, a loop or a later line decides.
    "if not": ("S = False\nif not S: R = 1000\nelse: R = 10\n@flow\ndef f(r: int = R): ...", "f.py:f"),
    "try": ("try: R = 1000\nexcept ValueError: R = 10\n@flow\ndef f(r: int = R): ...", "f.py:f"),
    "append": ("C = ['day']\nC.append('amount')\n@flow\ndef f(c: list[str] = C): ...", "f.py:f"),
    "append after the flow": ("C = ['day']\n@flow\ndef f(c: list[str] = C): ...\nC.append('amount')", "f.py:f"),
    "augmented": ("C = ['day']\nC += ['amount']\n@flow\ndef f(c: list[str] = C): ...", "f.py:f"),
    "reassigned later": ("R = 5\n@flow\ndef f(r: int = R): ...\nR = 9", "f.py:f"),
    "item": ("O = {'rows': 1}\nO['rows'] = 2\n@flow\ndef f(r: int = O['rows'], o: dict = O): ...", "f.py:f"),
    "for": ("for R in (1, 2, 3): pass\n@flow\ndef f(r: int = R): ...", "f.py:f"),
    "while": ("R = 1\nwhile R < 50: R *= 2\nelse: S = R\n@flow\ndef f(r: int = S): ...", "f.py:f"),
    "with": ("import contextlib\nwith contextlib.nullcontext(4) as R: S = R\n@flow\ndef f(r: int = S): ...", "f.py:f"),
    "match": ("match 3:\n  case 1 | 2: R = 1\n  case int(n) if n > 2: R = n\n@flow\ndef f(r: int = R): ...", "f.py:f"),
    "walrus and unpacking": (
        "if (R := 3): pass\nA, (B, *C) = 1, (2, 3, 4)\n@flow\ndef f(r=R, a=A, b=B, c=C): ...",
        "f.py:f",
    ),
    "delete": ("O = {'a': 1, 'b': 2}\ndel O['a']\n@flow\ndef f(o: dict = O): ...", "f.py:f"),
    "global": ("def setter():\n  global R\n  R = 7\nsetter()\n@flow\ndef f(r: int = R): ...", "f.py:f"),
    "own function": ("def rows(n, *, k=2):\n  return [n * k]\n@flow\ndef f(r: list[int] = rows(3)): ...", "f.py:f"),
    "walrus in a comprehension": ("Z = [w for v in range(3) if (w := v * 2)]\n@flow\ndef f(z=Z, w=w): ...", "f.py:f"),
    "own context manager": (
        "class C:\n  def __enter__(s): return 5\n  def __exit__(s, *a): return True\nM = 1\nwith C() as N:\n  M = 2\n  raise ValueError\n  M = 3\n@flow\ndef f(m=M, n=N): ...",
        "f.py:f",
    ),
    "own context manager that suppresses nothing": (
        "class C:\n  def __enter__(s): return s\n  def __exit__(s, *a): X.append(a[0] is None)\nX = []\nwith C():\n  M = 2\ntry:\n  with C(): M = int('x')\nexcept ValueError: M = 3\n@flow\ndef f(m=M, x=X): ...",
        "f.py:f",
    ),
    "in, of a class's own": (
        "class V:\n  def __contains__(s, x): return x == 9\n  def __iter__(s): return iter([3])\n@flow\ndef f(a: bool = 9 in V(), b: bool = 3 in V()): ...",
        "f.py:f",
    ),
    "an object that is called and compares by its own rule": (
        "class V:\n  def __eq__(s, o): return o.n == 1\n  def __call__(s, k): return k * 2\n@flow\ndef f(a: int = V()(4)): ...",
        "f.py:f",
    ),
    "name of a handled exception": (
        "try: int('x')\nexcept ValueError as e: A = str(e)\ntry: e\nexcept NameError: A += '!'\n@flow\ndef f(a: str = A): ...",
        "f.py:f",
    ),
    "raised again": (
        "try:\n  try: int('x')\n  except ValueError: raise\nexcept ValueError: A = 1\nexcept Exception: A = 2\n@flow\ndef f(a: int = A): ...",
        "f.py:f",
    ),
    "raised from": (
        "try:\n  try: {}['k']\n  except KeyError as e: raise ValueError from e\nexcept ValueError as e: A = type(e.__cause__).__name__\n@flow\ndef f(a: str = A): ...",
        "f.py:f",
    ),
    "message of an assertion": (
        "try: assert not 1, 'no'\nexcept AssertionError as e: A = str(e)\n@flow\ndef f(a: str = A): ...",
        "f.py:f",
    ),
    "deleted attribute": (
        "class K: x = 1\ndel K.x\n@flow\ndef f(a: bool = hasattr(K, 'x')): ...",
        "f.py:f",
    ),
    "package of a file": ("@flow\ndef f(p: str = __package__): ...", "f.py:f"),
    "package of a module": ({"p/m.py": "@flow\ndef f(p: str = __package__): ..."}, "p.m.f"),
    "imported by a call": (
        {
            "p/c.py": "L = 4",
            "p/f.py": "import importlib as i\nm = i.import_module('.c', 'p')\n@i.import_module('prefect').flow\ndef f(n: int = m.L, k: int = __import__('p.c').c.L): ...",
        },
        "p.f.f",
    ),
    "name of the module": ("@flow\ndef f(m: str = __name__): ...", "f.py:f"),
    "name of a submodule": ({"p/m.py": "from prefect import flow\n@flow\ndef f(m: str = __name__): ..."}, "p.m.f"),
    "infinite": ("import math\n@flow\ndef f(a: float = math.inf, b: float = -math.inf): ...", "f.py:f"),
    # Ways to `flow`.
    "own module": (
        {"compat.py": "from prefect import flow", "f.py": "from compat import flow\n@flow\ndef f(n: int = 1): ..."},
        "f.py:f",
    ),
    "prefect.flows": ("import prefect.flows\n@prefect.flows.flow\ndef f(n: int = 1): ...", "f.py:f"),
    "alias": ("import prefect\nflow = prefect.flow\n@flow\ndef f(n: int = 1): ...", "f.py:f"),
    "partial": ("from functools import partial\nr = partial(flow, retries=2)\n@r\ndef f(n: int = 1): ...", "f.py:f"),
    "partial, called": (
        "from functools import partial\nr = partial(flow, name='x')\n@r()\ndef f(n: int = 1): ...",
        "f.py:f",
    ),
    "own decorator": (
        "import prefect\ndef d(g): return prefect.flow(g, retries=2)\n@d\ndef f(n: int = 1): ...",
        "f.py:f",
    ),
    "own decorator of another module": (
        {
            "deco.py": "import prefect\ndef d(name):\n  return lambda g: prefect.flow(name=name)(g)",
            "f.py": "import deco\n@deco.d('x')\ndef f(n: int = 1): ...",
        },
        "f.py:f",
    ),
    "within with": (
        "import contextlib\nwith contextlib.nullcontext():\n  from prefect import flow\n  @flow\n  def f(n: int = 1): ...",
        "f.py:f",
    ),
    "within match": ("match 1:\n  case _:\n    from prefect import flow\n@flow\ndef f(n: int = 1): ...", "f.py:f"),
    "within try": (
        "try:\n  from prefect import flow\nexcept ImportError:\n  flow = None\n@flow\ndef f(n: int = 1): ...",
        "f.py:f",
    ),
    "with options": ("@flow\ndef g(n: int): 'Doc.'\nf = g.with_options(name='nightly', description='D.')", "f.py:f"),
    "called": ("def g(n: int): 'Doc.'\nf = flow(g, name='nightly')", "f.py:f"),
    "no functools.wraps": (
        "def d(g):\n  def outer(label: str): ...\n  return outer\n@flow\n@d\ndef f(n: int): ...",
        "f.py:f",
    ),
    "stand-in by the environment": (
        "import os\nif os.environ.get('SKIP'):\n  def flow(*_, **__): return lambda x: x\nelse:\n  from prefect import flow\n@flow(name='x')\ndef f(n: int = 1): ...",
        "f.py:f",
    ),
    "flow or function by the environment": (
        "import os\nfrom prefect import flow\ndef f(n: int = 1): ...\nif not os.environ.get('SKIP'): f = flow(f)",
        "f.py:f",
    ),
    "parameter of a model's name": ("@flow(validate_parameters=False)\ndef f(model_dump: int = 1): ...", "f.py:f"),
    "functools.wraps": (
        "import functools\ndef d(g):\n  @functools.wraps(g)\n  def outer(*args): ...\n  return outer\n@flow\n@d\ndef f(n: int): 'D.'",
        "f.py:f",
    ),
    "static method": ("class L:\n  @staticmethod\n  @flow\n  def run(n: int = 1): ...", "f.py:L.run"),
    "method": ("class L:\n  class M:\n    @flow\n    def run(self, n: int = 1): ...", "f.py:L.M.run"),
    "class method": ("class L:\n  @flow\n  @classmethod\n  def run(cls, n: int = 1): ...", "f.py:L.run"),
    # Entrypoints and modules.
    "module:function": ({"jobs/__init__.py": "", "jobs/load.py": PLAIN}, "jobs.load:f"),
    "module:Class.function": (
        {"load.py": "from prefect import flow\nclass L:\n  @staticmethod\n  @flow\n  def run(): ..."},
        "load:L.run",
    ),
    "package:function": ({"pkg/__init__.py": PLAIN}, "pkg:f"),
    "src layout": (
        {
            "src/pkg/__init__.py": "",
            "src/pkg/f.py": "from prefect import flow\nfrom pkg.m import Size\n@flow\ndef f(s: Size): ...",
            "src/pkg/m.py": MODELS,
        },
        "src/pkg/f.py:f",
    ),
    "beside the file": (
        {"flows/f.py": "from models import Size\n@flow\ndef f(s: Size): ...", "flows/models.py": MODELS},
        "flows/f.py:f",
    ),
    "flow beside the file": ({"flows/main.py": "from inner import f", "flows/inner.py": PLAIN}, "flows/main.py:f"),
    "submodule": (
        {"pkg/models.py": MODELS, "f.py": "from pkg import models\n@flow\ndef f(s: models.Size): ..."},
        "f.py:f",
    ),
    "relative submodule": (
        {
            "pkg/__init__.py": "",
            "pkg/models.py": MODELS,
            "pkg/f.py": "from . import models\n@flow\ndef f(s: models.Size): ...",
        },
        "pkg.f.f",
    ),
    "import as": ({"pkg/models.py": MODELS, "f.py": "import pkg.models as m\n@flow\ndef f(s: m.Size): ..."}, "f.py:f"),
    "import dotted": (
        {"pkg/models.py": MODELS, "f.py": "import pkg.models\n@flow\ndef f(s: pkg.models.Size): ..."},
        "f.py:f",
    ),
    "star": (
        {
            "c.py": "L = 7\n_P = 1",
            "m.py": MODELS,
            "f.py": "from c import *\nfrom m import *\n@flow\ndef f(s: Size, n: int = L): ...",
        },
        "f.py:f",
    ),
    "star of a flow": ({"inner.py": PLAIN, "main.py": "from inner import *"}, "main.py:f"),
    "star with __all__": (
        {
            "c.py": "__all__ = ['_P']\nL = 7\n_P = 1",
            "f.py": "L = 2\nfrom c import *\n@flow\ndef f(n: int = L, p: int = _P): ...",
        },
        "f.py:f",
    ),
    "re-export": ({"pkg/__init__.py": "from .a import f", "pkg/a.py": PLAIN}, "pkg.f"),
    "cycle": (
        {
            "a.py": "import b\nL = 4\nfrom prefect import flow\n@flow\ndef f(n: int = L): ...",
            "b.py": "import a\ndef g(): return a.L",
        },
        "a.f",
    ),
    "models of one name": (
        {
            "m.py": MODELS,
            "f.py": "import m\nfrom pydantic import BaseModel\nclass Size(BaseModel):\n  columns: int = 2\n@flow\ndef f(a: Size, b: m.Size): ...",
        },
        "f.py:f",
    ),
    # Names and descriptions.
    "constant name": ({"c.py": "NAME = 'nn'", "f.py": "from c import NAME\n@flow(name=NAME)\ndef f(): ..."}, "f.py:f"),
    "f-string": ("T = 'x'\n@flow(name=f'{T}-load', description='What ' + 'people read.')\ndef f(): 'Doc.'", "f.py:f"),
    "options": ("O = {'name': 'Nightly load', 'description': 'D.'}\n@flow(**O)\ndef f(): ...", "f.py:f"),
    "member of an enumeration": (
        "import enum\nclass N(str, enum.Enum):\n  A = 'aa'\n@flow(name=N.A, description=N.A)\ndef f(): ...",
        "f.py:f",
    ),
    # Files.
    "latin-1": (
        "# -*- coding: latin-1 -*-\nfrom prefect import flow\n@flow\ndef f(n: str = 'Zürich'): ...".encode("latin-1"),
        "f.py:f",
    ),
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), "f.py:f"),
    # Types.
    "validators": (
        MODELS.replace("import BaseModel", "import *")
        + "    @field_validator('rows')\n    @classmethod\n    def c(cls, v): return v\n    @model_validator(mode='after')\n    def d(self): return self\n"
        "    @computed_field\n    @property\n    def e(self) -> int: return self.rows\n@flow\ndef f(s: Size, t: Size = Size(rows=3)): ...",
        "f.py:f",
    ),
    "abstract": (
        MODELS
        + "    from abc import abstractmethod\n    @abstractmethod\n    def c(self): ...\n@flow\ndef f(s: Size): ...",
        "f.py:f",
    ),
    "enum": (
        "import enum\nclass C(str, enum.Enum):\n  A = enum.auto()\n  B = 'b'\n  def m(self): return unknown\n@flow\ndef f(c: C = C.A): ...",
        "f.py:f",
    ),
    "classes of a function": (
        "from pydantic import BaseModel\ndef m(n):\n  class S(BaseModel):\n    x: int = n\n  return S\nA, B = m(1), m(2)\n@flow\ndef f(a: A, b: B = B()): ...",
        "f.py:f",
    ),
    "enum within with": (
        "import contextlib, enum\nwith contextlib.nullcontext():\n  class C(enum.Enum):\n    A = 'a'\n@flow\ndef f(c: C): ...",
        "f.py:f",
    ),
    "pydantic.v1": (
        "from pydantic.v1 import BaseModel\nclass S(BaseModel):\n  x: int = 1\n@flow\ndef f(a: S, b: int = 2, *, schema: str): ...",
        "f.py:f",
    ),
    "postponed": (
        "from __future__ import annotations\nfrom prefect import flow\nfrom pydantic import BaseModel\n@flow\ndef f(s: Size | None = None): ...\nclass Size(BaseModel):\n  rows: int = 1\n  next: Size | None = None",
        "f.py:f",
    ),
    "undefined annotation": ("@flow\ndef f(a: 'Missing', b: 'int' = 1, c: str = 'x'): ...", "f.py:f"),
    "evaluated json": ("import json\n@flow\ndef f(n: int = json.loads('{\"n\": 1}')['n']): ...", "f.py:f"),
}
"""Each of these was once read otherwise, or stands for a kind of them."""


def write_project(folder: Path, files: Files) -> None:
    """Write the files of a case; a text is that of f.py, and imports `flow` where it does not do so itself."""
    if isinstance(files, str) and "from prefect import flow" not in files:
        files = f"from prefect import flow\n{files}"
    if isinstance(files, Mapping):
        files = {
            name: f"from prefect import flow\n{text}"
            if isinstance(text, str) and "@flow" in text and "import flow" not in text
            else text
            for name, text in files.items()
        }
    flow_project.write(folder, files if isinstance(files, Mapping) else {"f.py": files})
