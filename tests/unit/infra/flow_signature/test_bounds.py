"""The reading of a flow ends, whatever its source says."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from infra.flow_signature import files
from tests.support import flow_project

ENDLESS = textwrap.dedent("""
    from prefect import flow
    import itertools, geolib
    {statement}
    @flow
    def f(a=A, b: int = 1): ...
""")


@pytest.mark.parametrize(
    "statement",
    [
        "A = 'a' * 10 ** 10",
        "A = 10 ** 10 ** 10",
        "A = 1 << 10 ** 10",
        "A = list(range(10 ** 12))",
        "A = sum(range(10 ** 12))",
        "A = [n for n in range(10 ** 12)]",
        "A = 5 in (n for n in range(10 ** 12))",
        "A = sorted(range(10 ** 9), key=lambda n: -n)",
        "A = list(iter(int, 1))",
        "A = list(itertools.count())",
        "A = 0\nwhile True: A += 1",
        "A = 0\nfor n in range(10 ** 12): A += n",
        "A = []\nfor n in A or [1]: A.append(A)",
        "A = [1]\nfor n in A: A.append(n)",
        "A = [[]]\nfor _ in range(60): A = [A, A]",
        "A = 'x'\nfor _ in range(60): A = A + A",
        "A = [0]\nfor _ in range(60): A += A",
        "A = 3\nfor _ in range(60): A = A * A",
        "def A(n): return A(n + 1)\nA = A(0)",
        "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nA = fib(80)",
        "class Loop:\n  def __iter__(self): return self\n  def __next__(self): return 1\nA = list(Loop())",
        "class Equal:\n  def __eq__(self, other):\n    while True: pass\nA = Equal() == 1",
        "class Size:\n  def __getattr__(self, name): return getattr(self, name + 'x')\nA = Size().x",
        "A = '%1000000000d' % 1",
        "A = f'{1:>1000000000}'",
        "A = '{:1000000000}'.format(1)",
        "A = 'a'.ljust(10 ** 10)",
        "A = bytes(10 ** 10)",
        "A = ('a' * 20000).replace('a', 'b' * 20000)",
        "A = ','.join(['a' * 9000] * 9000)",
        "import math\nA = math.factorial(10 ** 7)",
        "from decimal import Decimal\nA = int(Decimal('1e1000000000'))",
        "from fractions import Fraction\nA = Fraction(3, 7) ** 10 ** 9",
        "import re\nA = re.match('(a+)+$', 'a' * 60 + 'b')",
        "import time\ntime.sleep(100)\nA = 1",
        "A = input()",
        "A = list(geolib.ZONES)",
        "A = [z for z in geolib.ZONES]",
        "A = 'x' in geolib.ZONES",
        "A, *B = geolib.PAIR",
        "A = 1 " + "+ 1 " * 3000,
        "A = " + "not " * 900 + "1",
        "A = " + "(" * 90 + "1" + ",)" * 90,
        "A = f" + ".g" * 900,
        "A = " + "[" * 80 + "]" * 80,
        "A = {" + ", ".join(f"'k{n}': [{n}, {n}]" for n in range(8_000)) + "}",
    ],
)
def test_the_reading_is_bounded_whatever_the_source_says(statement: str, tmp_path: Path) -> None:
    flow_project.write(tmp_path, {"f.py": ENDLESS.format(statement=statement)})
    ours = flow_project.ours(tmp_path, "f.py:f")
    assert ours.error == ""
    assert ours.schema["properties"]["b"] == {"default": 1, "position": 1, "title": "b", "type": "integer"}
    assert ours.seconds < flow_project.BOUNDED


def test_modules_that_import_each_other_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[Path] = Counter()
    parse = files.parse

    def counted(path: Path) -> ast.Module:
        reads[path] += 1
        return parse(path)

    for number in range(40):
        text = "".join(f"import m{other}\n" for other in range(40)) + f"L = {number}\n"
        (tmp_path / f"m{number}.py").write_text(text)
    flow_project.write(
        tmp_path, {"f.py": "from prefect import flow\nimport m0\n@flow\ndef f(n: int = m0.m39.m5.L): ..."}
    )
    monkeypatch.setattr(files, "parse", counted)
    ours = flow_project.ours(tmp_path, "f.py:f")
    assert ours.schema["properties"]["n"]["default"] == 5
    assert len(reads) == 41
    assert set(reads.values()) == {1}
    assert ours.seconds < flow_project.BOUNDED
