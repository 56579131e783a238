from __future__ import annotations

import asyncio
import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from ephemeral_dask import pulled_code
from ephemeral_dask.pulled_code import PulledCodeError, collect, share
from tools.paths import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory after a clone, with a flow that Prefect has loaded from its file."""
    clone = tmp_path / "clone"
    for name, text in {
        "flows/daily_of_test.py": "from .shape import Row\n\n\nclass Total: ...",
        "flows/shape.py": "class Row: ...",
        "flows/rates.csv": "3",
        "lazy_of_test.py": "VALUE = 7",
        ".git/config": "[core]",
    }.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
    monkeypatch.chdir(clone)
    return clone


@pytest.fixture
def flow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the file as `load_script_as_module` of Prefect does: under its own name, as a package of its folder."""
    file = folder / "flows" / "daily_of_test.py"
    locations = [str(file.parent), str(folder)]
    spec = importlib.util.spec_from_file_location("daily_of_test", file, submodule_search_locations=locations)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "daily_of_test", module)
    monkeypatch.setattr(sys, "path", [*locations, *sys.path])
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("daily_of_test.shape", None)


def test_another_machine_imports_the_code_under_the_same_names_and_paths(
    folder: Path, flow: ModuleType, tmp_path: Path
) -> None:
    code = collect(Path(str(flow.__file__)))
    pickled = tmp_path / "pickled"
    pickled.write_bytes(cloudpickle.dumps((code, [flow.Total(), flow.Row()])[0]))
    instances = tmp_path / "instances"
    instances.write_bytes(cloudpickle.dumps([flow.Total(), flow.Row()]))
    folder.rename(tmp_path / "only in the flow pod")
    program = (
        "import pickle, sys; from pathlib import Path\n"
        f"pickle.loads(Path({str(pickled)!r}).read_bytes()).install()\n"
        f"total, row = pickle.loads(Path({str(instances)!r}).read_bytes())\n"
        "import lazy_of_test\n"
        "file = sys.modules[type(total).__module__].__file__\n"
        "print(type(total).__module__, type(row).__module__, file, (Path(file).parent / 'rates.csv').read_text())\n"
        f"print(lazy_of_test.VALUE, Path({str(folder)!r}, '.git').exists())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == [
        f"daily_of_test daily_of_test.shape {folder}/flows/daily_of_test.py 3",
        "7 False",
    ], done.stderr


def test_files_that_exist_are_left_alone(folder: Path, flow: ModuleType) -> None:
    code = collect(Path(str(flow.__file__)))
    (folder / "flows" / "rates.csv").write_text("of the image")
    before = sys.path.copy(), sys.meta_path.copy()
    try:
        code.install()
        code.install()
        assert len(sys.meta_path) == len(before[1]) + 1
    finally:
        sys.path[:], sys.meta_path[:] = before
    assert (folder / "flows" / "rates.csv").read_text() == "of the image"


def test_code_that_is_too_large_is_refused_with_what_to_do(
    folder: Path, flow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulled_code, "_MOST", 2**20)
    (folder / "data.bin").write_bytes(random.Random(0).randbytes(2**21))
    with pytest.raises(PulledCodeError, match=r"larger than 1 MiB when compressed.*`directories` of git_clone"):
        collect(Path(str(flow.__file__)))


@pytest.mark.parametrize(
    ("module", "file", "in_image"),
    [
        ("flows.etl", "/app/flows/etl.py", True),
        ("flows", "/app/flows/__init__.py", True),
        ("acme.etl", "/app/src/acme/etl.py", True),
        ("src.acme.etl", "/app/src/acme/etl.py", True),
        ("etl", "/app/flows/etl.py", False),
        ("flows.etl", "/scratch/run/clone/flows/etl.py", False),
    ],
)
def test_code_of_the_image_is_what_its_own_import_path_finds(
    module: str, file: str, in_image: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Prefect puts the working directory of a run on PYTHONPATH as well.
    monkeypatch.setenv("PYTHONPATH", "/app:/app/src:/scratch/run/clone")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/scratch")
    assert pulled_code._in_image(module, Path(file)) is in_image


def test_scheduler_and_workers_get_it_and_later_workers_too(folder: Path, flow: ModuleType) -> None:
    registered: list[tuple[str, Any]] = []

    class Comm:
        async def register_scheduler_plugin(self, *, plugin: bytes, name: str, idempotent: bool) -> None:
            registered.append(("scheduler", (cloudpickle.loads(plugin)._code.folder, name, idempotent)))

        async def register_worker_plugin(self, *, plugin: bytes, name: str, idempotent: bool) -> None:
            registered.append(("workers", (cloudpickle.loads(plugin)._code.folder, name, idempotent)))

    asyncio.run(share(Comm(), collect(Path(str(flow.__file__)))))
    assert [where for where, _ in registered] == ["scheduler", "workers"]
    assert {what for _, what in registered} == {(str(folder), "ephemeral-dask-pulled-code", False)}
    asyncio.run(share(None, None))


def test_outside_a_run_there_is_nothing_to_send() -> None:
    assert pulled_code.current() is None
