"""Benchmarks that need no stack run; what they measure beside other work means nothing here."""

from __future__ import annotations

import re
import subprocess
import sys

from tools.paths import ROOT


def test_the_benchmark_of_previews_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.preview", "--deployments", "3", "6", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # It returns 1 for a target that is missed as well, and then says so.
    assert done.returncode == 0 or "missed: " in done.stdout, done.stdout + done.stderr[-2000:]
    rows = re.findall(r"^\| `(.+?)` \| (\d+) \| \d+\.\d+ s \|", done.stdout, re.MULTILINE)
    cases = ("pulumi preview", "pulumi preview --refresh", "make preview", "make up")
    assert rows == [(case, count) for case in cases for count in ("3", "6")]
    [grown] = re.findall(r"^\| 6 \| \d+\.\d+ MB \| (\d+) B \|", done.stdout, re.MULTILINE)
    assert 0 < int(grown) < 10_000
