"""Fixtures of the tests of prefect.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.prefect_yaml_project import FLOWS, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("from flows.jobs import named as reexported\n")
    (tmp_path / "flows" / "jobs.py").write_text(FLOWS)
    return Project(tmp_path)
