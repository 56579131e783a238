"""The environment in which `make` starts the verbs."""

from __future__ import annotations

import os
import subprocess

import pytest

from tools.paths import ROOT


@pytest.mark.parametrize(("own", "expected"), [({}, "1"), ({"DO_NOT_TRACK": "0"}, "0")])
def test_verbs_run_without_prefects_telemetry_unless_the_user_allows_it(own: dict[str, str], expected: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "DO_NOT_TRACK"}
    command = ["make", "--silent", "--eval", "show: ; @echo $$DO_NOT_TRACK", "show"]
    output = subprocess.check_output(command, cwd=ROOT, env={**inherited, **own}, text=True)
    assert output.strip() == expected
