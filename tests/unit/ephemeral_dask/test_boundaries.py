from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def imported_by(package: str) -> dict[str, set[str]]:
    importers: dict[str, set[str]] = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                importers.setdefault(name.partition(".")[0], set()).add(file.name)
    return importers


@pytest.mark.parametrize("package", ["flows", "ephemeral_dask", "ops"])
def test_what_runs_in_a_pod_knows_nothing_of_the_pulumi_program_and_the_tools(package: str) -> None:
    strangers = {"infra", "tools", "pulumi", "pulumi_kubernetes"} | ({"flows"} if package == "ops" else {"ops"})
    assert strangers.isdisjoint(imported_by(package))


def test_a_flow_on_a_laptop_never_loads_the_kubernetes_client() -> None:
    script = "import sys, ephemeral_dask; print('dask_kubernetes' in sys.modules, 'kr8s' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.split() == ["False", "False"]
