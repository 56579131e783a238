"""What looks at the locks, as the programs that their own lock has installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import image_size, locked_environment
from tools.paths import ROOT
from tools.supply_chain import audit, contents, dpkg

pytestmark = pytest.mark.xdist_group("audit")
"""The tests share an environment that must not be made twice."""

STATUS = "Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:12.2+b1\n"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(error) if error else 0)
"""


def test_the_document_about_an_image_is_valid_cyclonedx_with_every_package_of_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_size, "measure", lambda _: [image_size.Image(platform="linux/amd64", layers=())])
    monkeypatch.setattr(dpkg, "status", lambda *_: STATUS)
    lock = ROOT / "requirements" / "platform.txt"
    [document] = contents.documents(f"registry.example.com/platform@sha256:{'a' * 64}", lock)
    assert document.python == lock.read_text().count("==")
    assert document.debian == 1
    python = locked_environment.programs(audit.LOCK) / "python"
    done = subprocess.run(
        [str(python), "-c", VALIDATE], input=document.text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--hash" not in document.text


@pytest.mark.parametrize("lock", audit.locks(), ids=lambda path: path.stem)
def test_every_lock_can_be_audited(lock: Path) -> None:
    """Without a look-up, for which the advisories' server would be needed."""
    program = locked_environment.programs(audit.LOCK) / "pip-audit"
    how = ("--require-hashes", "--disable-pip", "--dry-run", "--progress-spinner", "off")
    done = subprocess.run([str(program), "--requirement", str(lock), *how], capture_output=True, text=True, check=False)
    assert f"would have audited {lock.read_text().count('==')} packages" in done.stderr
