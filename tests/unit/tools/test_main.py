from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tools import __main__ as main
from tools.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", main.VERBS)
def test_every_verb_has_a_function(name: str) -> None:
    assert callable(main.VERBS[name].load())


def test_the_makefile_and_the_command_line_have_the_same_verbs() -> None:
    called = set(re.findall(r"\$\(TOOLS\) ([a-z-]+)", MAKEFILE))
    assert called == set(main.VERBS)


def test_the_command_line_starts_without_the_clients_of_prefect_and_pulumi() -> None:
    code = "import sys, tools.__main__; print([m for m in ('prefect', 'pulumi', 'kr8s', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_preview_starts_without_the_client_of_kubernetes() -> None:
    code = "import sys, tools.verbs.stack; print([m for m in ('prefect', 'kr8s') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_verb_of_the_makefile_is_described_and_every_target_is_phony() -> None:
    verbs = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    described = set(re.findall(r"^([a-z0-9-]+):[^#\n]*## .", MAKEFILE, re.MULTILINE))
    phony = {name for line in re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE) for name in line.split()}
    assert verbs == described == phony
