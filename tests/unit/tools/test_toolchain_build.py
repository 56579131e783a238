from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tools.errors import Problem
from tools.paths import ROOT
from tools.toolchain.build import ensure
from tools.toolchain.go import Go
from tools.toolchain.group import Extract, Group, Module
from tools.toolchain.store import Store, cache_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="compiles a small Go program")

FAKE_GO = """#!/bin/sh
# Replaces go: it counts builds, and waits in the middle of one where the test has made a gate.
case "$1" in
version) echo "go version ${FAKE_GO_VERSION:-go1.99.1} linux/amd64" ;;
env) echo "{\\"GOCACHE\\": \\"$FAKE\\", \\"GOMODCACHE\\": \\"$FAKE\\"}" ;;
build)
    while [ "$1" != -o ]; do shift; done
    echo built >> "$FAKE/builds"
    if [ -e "$FAKE/error" ]; then cat "$FAKE/error" >&2; exit 1; fi
    echo partial > "$2"
    if [ -p "$FAKE/gate" ]; then echo > "$FAKE/started"; read -r _ < "$FAKE/gate"; fi
    echo complete > "$2"
    ;;
esac
"""

DRIVER = """
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tools.toolchain.build import ensure
from tools.toolchain.group import Group, Module
module = Module(folder=Path(sys.argv[1]), requires="example", programs={"hello": "."})
group = Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)
print(ensure(["hello"], cache=Path(sys.argv[2]), groups={"hello": group})["hello"])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "data").mkdir(parents=True)
    (folder / "go.mod").write_text("module example\n\ngo 1.21\n")
    (folder / "main.go").write_text(
        "package main\n\n"
        'import (\n\t_ "embed"\n\t"fmt"\n)\n\n'
        "var version string\n\n"
        "//go:embed schema.txt\nvar schema string\n\n"
        "func main() { fmt.Print(version, schema) }\n"
    )
    (folder / "data" / "data.go").write_text("package data\n")
    (folder / "data" / "schema.txt").write_text(" and a schema")
    (folder / "data" / "helper").write_text("#!/bin/sh\necho helped\n")
    return folder


@pytest.fixture
def group(source: Path) -> Group:
    module = Module(
        folder=source,
        requires="example",
        programs={"hello": "."},
        variables={"main.version": "1.0.0"},
        embeds=(Extract(package="example/data", path="data/schema.txt"),),
        scripts=(Extract(package="example/data", path="data/helper"),),
        folders=(Extract(package="example/data", path="data"),),
    )
    return Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)


@pytest.fixture
def plain(source: Path) -> Group:
    module = Module(folder=source, requires="example", programs={"hello": "."})
    return Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fake"
    folder.mkdir()
    go = folder / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("FAKE", str(folder))
    return folder


@pytest.fixture
def start(source: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that request the plain group; those that still run at the end of the test are killed."""
    started: list[subprocess.Popen[str]] = []

    def one() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", DRIVER, str(source), str(tmp_path / "cache")]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        started.append(process)
        return process

    yield one
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def close_gate(fake: Path) -> int:
    """Make the next build wait at the gate; the returned descriptor becomes readable when it waits."""
    os.mkfifo(fake / "gate")
    os.mkfifo(fake / "started")
    return os.open(fake / "started", os.O_RDWR)


def wait_for_the_gate(started: int) -> None:
    assert select.select([started], [], [], 60)[0], "no build reached the gate"


def builds(fake: Path) -> int:
    return len((fake / "builds").read_text().splitlines())


def entries(cache: Path) -> set[str]:
    return {path.name for path in (cache / "tools").iterdir()}


@needs_go
def test_a_build_has_programs_with_their_version_and_all_files_that_they_need(group: Group, tmp_path: Path) -> None:
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"]
    assert subprocess.check_output([folder / "hello"], text=True) == "1.0.0 and a schema"
    assert subprocess.check_output([folder / "helper"], text=True) == "helped\n"
    assert {path.name for path in folder.iterdir()} == {"hello", "helper"}
    assert {path.name for path in folder.parent.iterdir()} == {"bin", "data"}
    assert (folder.parent / "data" / "schema.txt").read_text() == " and a schema"


@needs_go
def test_programs_have_the_names_of_the_table(source: Path, tmp_path: Path) -> None:
    for package in ("daemon", "tool"):
        (source / package).mkdir()
        (source / package / "main.go").write_text(f'package main\n\nfunc main() {{ print("{package}") }}\n')
    programs = {"hello-agent": "example/daemon", "tool": "example/tool"}
    module = Module(folder=source, requires="example", programs=programs)
    group = Group(name="hello", version="1.0.0", modules=(module,), size_mib=1, cold_mib=1)
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"]
    assert {path.name for path in folder.iterdir()} == {"hello-agent", "tool"}
    assert subprocess.run([folder / "hello-agent"], capture_output=True, text=True, check=True).stderr == "daemon"


@needs_go
def test_a_folder_copied_from_a_read_only_module_can_be_removed(group: Group, source: Path, tmp_path: Path) -> None:
    (source / "data").chmod(0o555)
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"].parent
    assert (folder / "data").stat().st_mode & stat.S_IWUSR


@needs_go
def test_a_deleted_folder_is_copied_again(group: Group, tmp_path: Path) -> None:
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"].parent
    shutil.rmtree(folder / "data")
    ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})
    assert (folder / "data" / "schema.txt").is_file()


@needs_go
def test_the_users_go_settings_do_not_change_the_result(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor -race")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOWORK", str(tmp_path / "go.work"))
    monkeypatch.setenv("GO111MODULE", "off")
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})["hello"]
    assert subprocess.check_output([folder / "hello"], text=True) == "1.0.0 and a schema"


@needs_go
def test_a_build_does_not_change_its_sources(group: Group, source: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    ensure(["hello"], cache=tmp_path / "cache", groups={"hello": group})
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_an_existing_group_is_not_built_again(plain: Group, fake: Path, tmp_path: Path) -> None:
    for _ in range(2):
        ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})
    assert builds(fake) == 1


def test_a_deleted_program_is_built_again(plain: Group, fake: Path, tmp_path: Path) -> None:
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})["hello"]
    (folder / "hello").unlink()
    assert ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})["hello"] == folder
    assert (folder / "hello").read_text() == "complete\n"
    assert builds(fake) == 2


def test_an_existing_group_needs_no_go(
    plain: Group, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})
    (fake / "go").unlink()
    monkeypatch.setenv("PATH", str(fake))
    assert ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain}) == built


def test_another_version_of_go_builds_into_another_folder(
    plain: Group, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})["hello"]
    monkeypatch.setenv("FAKE_GO_VERSION", "go1.99.2")
    second = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})["hello"]
    assert first != second
    assert builds(fake) == 2


def test_a_failed_build_leaves_only_its_log(plain: Group, fake: Path, tmp_path: Path) -> None:
    (fake / "error").write_text("main.go:1: syntax error\n")
    with pytest.raises(Problem) as caught:
        ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})
    assert entries(tmp_path / "cache") == {"logs", "hello.lock"}
    log = tmp_path / "cache" / "tools" / "logs" / "hello.log"
    assert log.read_text().endswith("main.go:1: syntax error\n")
    assert "hello 1.0.0" in caught.value.what
    assert caught.value.remedy
    assert "main.go:1: syntax error" in caught.value.detail
    assert str(log) in caught.value.detail


def test_a_killed_build_leaves_no_incomplete_folder(
    start: Callable[[], subprocess.Popen[str]], plain: Group, fake: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    started = close_gate(fake)
    process = start()
    wait_for_the_gate(started)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = Store.in_cache(cache).folder(plain, Go(executable="go", version="go1.99.1"))
    assert not finished.exists()
    assert any(name.startswith(".hello~") for name in entries(cache))

    (fake / "gate").unlink()
    folder = ensure(["hello"], cache=cache, groups={"hello": plain})["hello"]
    assert folder == finished / "bin"
    assert (folder / "hello").read_text() == "complete\n"
    assert entries(cache) == {"logs", "hello.lock", finished.name}


def test_of_two_processes_one_builds_and_the_other_waits(
    start: Callable[[], subprocess.Popen[str]], fake: Path
) -> None:
    started = close_gate(fake)
    first = start()
    wait_for_the_gate(started)
    second = start()
    assert second.stderr is not None
    waiting = next(line for line in second.stderr if "waiting" in line)
    (fake / "gate").write_text("go on\n")
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert f"waiting for process {first.pid}, which builds hello 1.0.0" in waiting
    assert outputs[0] == outputs[1]
    assert outputs[0].strip().endswith("/bin")
    assert builds(fake) == 1


def test_a_build_keeps_the_temporary_folder_of_another_group(plain: Group, fake: Path, tmp_path: Path) -> None:
    del fake
    other = tmp_path / "cache" / "tools" / ".hello-world~unfinished"
    other.mkdir(parents=True)
    ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})
    assert other.is_dir()


def test_the_cache_key_changes_with_everything_that_determines_the_result(group: Group, source: Path) -> None:
    module = group.modules[0]
    variants = [
        dataclasses.replace(module, programs={"hello": "./cmd"}),
        dataclasses.replace(module, programs={"greet": "."}),
        dataclasses.replace(module, variables={"main.version": "1.0.1"}),
        dataclasses.replace(module, embeds=()),
        dataclasses.replace(module, scripts=()),
        dataclasses.replace(module, folders=()),
    ]
    keys = [cache_key(group), *(cache_key(dataclasses.replace(group, modules=(each,))) for each in variants)]
    for file in ("go.sum", "go.mod", "main.go", "data/data.go"):
        with (source / file).open("a") as appended:
            appended.write("\n")
        keys.append(cache_key(group))
    assert len(set(keys)) == len(keys)


def test_the_cache_key_is_the_same_in_every_clone(group: Group, source: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(source, clone, copy_function=shutil.copyfile)
    moved = dataclasses.replace(group.modules[0], folder=clone)
    assert cache_key(dataclasses.replace(group, modules=(moved,))) == cache_key(group)


def test_other_users_can_read_a_finished_folder(plain: Group, fake: Path, tmp_path: Path) -> None:
    del fake
    folder = ensure(["hello"], cache=tmp_path / "cache", groups={"hello": plain})["hello"]
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
