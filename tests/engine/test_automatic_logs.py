"""Pulumi's automatic debug log, and the file that keeps it from being written."""

from __future__ import annotations

from pathlib import Path

from tests.engine.commands import Commands
from tools.toolchain import automatic_logs


def logged(folder: Path, pulumi: Commands) -> bool:
    """Whether a command wrote a log into its Pulumi home."""
    assert pulumi.run("stack", "ls").code == 0
    return any((folder / "home" / "logs").glob("*.log"))


def test_pulumi_writes_an_automatic_log_only_where_the_workaround_is_missing(
    pulumi_cli: str,  # noqa: ARG001
    empty_project: Path,
    tmp_path: Path,
) -> None:
    pulumi = Commands(tmp_path, project=empty_project)
    (tmp_path / "home" / "logs").unlink()
    assert logged(tmp_path, pulumi), "Pulumi writes no log by itself: remove tools/toolchain/automatic_logs.py"
    automatic_logs.disable(tmp_path / "home")
    assert not logged(tmp_path, pulumi)
