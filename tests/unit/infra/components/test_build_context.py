from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from infra.components.build_context import assemble, flow
from infra.settings import FlowBuild

SOURCES = {"Dockerfile": "Dockerfile", "app/flows": "flows", "app/src/acme": "src/acme"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return clone(tmp_path / "clone", umask=0o022)


def clone(folder: Path, umask: int) -> Path:
    """Write a project under a umask, as `git clone` does."""
    before = os.umask(umask)
    try:
        for name, text in {
            "Dockerfile": "FROM scratch",
            "README.md": "",
            "flows/etl.py": "print()",
            "flows/data/rows.csv": "1",
            "flows/__pycache__/etl.cpython-311.pyc": "",
            "src/acme/load.py": "",
            "src/other/load.py": "",
        }.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        script = folder / "flows" / "run.sh"
        script.write_text("#!/bin/sh")
        script.chmod(0o777 & ~umask)
        (folder / "flows" / "latest.csv").symlink_to("data/rows.csv")
    finally:
        os.umask(before)
    return folder


def listing(folder: Path) -> dict[str, tuple[str, str]]:
    """Return path -> mode and content."""
    listed = {}
    for path in sorted(folder.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        listed[str(path.relative_to(folder))] = (stat.filemode(path.lstat().st_mode), content)
    return listed


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o027, 0o077])
def test_names_modes_and_contents_do_not_depend_on_the_umask_of_the_clone(umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    before = os.umask(umask)
    try:
        assemble(SOURCES, clone(tmp_path / "clone", umask), folder)
    finally:
        os.umask(before)
    folders = dict.fromkeys(("app", "app/flows", "app/flows/data", "app/src", "app/src/acme"), ("drwxr-xr-x", ""))
    assert listing(folder) == folders | {
        "Dockerfile": ("-rw-r--r--", "FROM scratch"),
        "app/flows/data/rows.csv": ("-rw-r--r--", "1"),
        "app/flows/etl.py": ("-rw-r--r--", "print()"),
        "app/flows/latest.csv": ("lrwxrwxrwx", "data/rows.csv"),
        "app/flows/run.sh": ("-rwxr-xr-x", "#!/bin/sh"),
        "app/src/acme/load.py": ("-rw-r--r--", ""),
    }
    assert stat.filemode(folder.stat().st_mode) == "drwxr-xr-x"


def test_what_left_the_project_leaves_the_context_too(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    assemble(SOURCES, root, folder)
    (root / "flows" / "etl.py").unlink()
    (root / "flows" / "latest.csv").unlink()
    (root / "flows" / "data" / "rows.csv").rename(root / "flows" / "etl.py")
    (root / "flows" / "data").rmdir()
    (root / "flows" / "data").write_text("now a file")
    (root / "flows" / "run.sh").unlink()
    (root / "flows" / "run.sh").mkdir()
    (root / "flows" / "run.sh" / "x.py").write_text("")
    assemble({"Dockerfile": "Dockerfile", "app/flows": "flows"}, root, folder)
    assert [name for name, (mode, _) in listing(folder).items() if mode[0] != "d"] == [
        "Dockerfile",
        "app/flows/data",
        "app/flows/etl.py",
        "app/flows/run.sh/x.py",
    ]
    assert (folder / "app/flows/etl.py").read_text() == "1"


def test_only_what_has_changed_is_written_again(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    assemble(SOURCES, root, folder)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    (root / "flows" / "etl.py").write_text("input")
    assemble(SOURCES, root, folder)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in files if path.stat().st_mtime != 1] == ["etl.py"]


def test_no_draft_is_left_beside_or_in_the_context(root: Path, tmp_path: Path) -> None:
    assemble(SOURCES, root, tmp_path / "contexts" / "flow")
    assert [path.name for path in (tmp_path / "contexts").iterdir()] == ["flow"]


def test_a_flow_image_gets_the_folders_that_the_settings_name_under_their_own_paths() -> None:
    sources = flow(FlowBuild(packages=("jobs", "src/acme", "start.py"), requirements="jobs/locked.txt"))
    assert {target: source for target, source in sources.items() if target.startswith(("app/", "requirements/f"))} == {
        "requirements/flows.txt": "jobs/locked.txt",
        "app/.prefectignore": ".prefectignore",
        "app/jobs": "jobs",
        "app/src/acme": "src/acme",
        "app/start.py": "start.py",
    }


def test_a_source_that_is_a_link_itself_is_copied_as_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    (root / "locks").mkdir()
    (root / "locks" / "flows.txt").write_text("numpy")
    (root / "flows.txt").symlink_to("locks/flows.txt")
    (root / "jobs").symlink_to("flows")
    assemble({"requirements/flows.txt": "flows.txt", "app/jobs": "jobs"}, root, tmp_path / "context")
    assert (tmp_path / "context" / "requirements" / "flows.txt").read_text() == "numpy"
    assert (tmp_path / "context" / "app" / "jobs" / "data" / "rows.csv").is_file()
    assert (tmp_path / "context" / "app" / "jobs" / "latest.csv").is_symlink()
