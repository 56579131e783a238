from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from infra.flow_signature import lock as lock_module
from infra.flow_signature.lock import Lock, normalized, read_lock

ROOT = Path(__file__).parents[4]
FILE = "requirements/flows.txt"


@pytest.fixture(scope="module")
def committed() -> Lock:
    return read_lock(ROOT / FILE, FILE)


def read(folder: Path, text: str) -> Lock:
    path = folder / "lock.txt"
    path.write_text(text)
    return read_lock(path, "requirements/gpu.txt")


def test_a_lock_lists_its_distributions_by_normalized_name(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        "# a comment\n"
        "--index-url https://index.test/simple\n"
        "PyYAML==6.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via prefect\n"
        "uvicorn[standard]==1.0 ; sys_platform != 'win32' \\\n    --hash=sha256:cc\n"
        "my_tool @ https://files.test/my_tool.whl \\\n    --hash=sha256:dd\n",
    )
    assert lock.distributions == {"pyyaml", "uvicorn", "my-tool"}
    assert lock.conditional == {"uvicorn"}
    assert lock.complete
    assert lock.group == "gpu"


@pytest.mark.parametrize("line", ["./wheels/tool.whl", "git+https://code.test/tool.git", "-r other.txt"])
def test_a_line_without_a_distribution_makes_a_lock_incomplete(tmp_path: Path, line: str) -> None:
    assert not read(tmp_path, f"numpy==2\n{line}\n").complete


def test_the_committed_lock_is_complete_and_installed(committed: Lock) -> None:
    assert committed.complete
    assert committed.distributions - committed.conditional <= {
        normalized(each.name) for each in metadata.distributions()
    }


@pytest.mark.parametrize(
    "name",
    ["numpy.linalg", "sklearn.svm", "yaml", "dateutil.rrule", "attr", "prefect", "typing_extensions.Self"],
)
def test_an_import_that_a_locked_distribution_provides_is_present(committed: Lock, name: str) -> None:
    answer, _ = committed.find(name)
    assert answer == "present"


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("polars", "polars"),
        ("cv2", "opencv-python"),
        ("skimage.io", "scikit-image"),
        # Installed here, and not in the lock.
        ("pulumi.dynamic", "pulumi"),
        # Neither installed nor well known: all distributions of the lock are installed, and none provides it.
        ("a_library_of_the_team.core", "a-library-of-the-team"),
        ("google.cloud.storage.Client", "google-cloud-storage"),
    ],
)
def test_an_import_that_no_locked_distribution_provides_is_missing(
    committed: Lock, name: str, distribution: str
) -> None:
    assert committed.find(name) == ("missing", distribution)


def test_an_unknown_name_is_not_missing_if_a_locked_distribution_is_not_installed_here() -> None:
    lock = Lock(file="requirements/gpu.txt", distributions=frozenset({"numpy", "not-installed-here"}))
    assert lock.find("not_installed_here") == ("present", "not-installed-here")
    assert lock.find("another_name") == ("unknown", "another-name")
    assert lock.find("google.cloud.storage") == ("unknown", "google-cloud-storage")
    assert lock.find("polars") == ("missing", "polars")


def test_any_of_several_distributions_with_the_same_import_name_will_do() -> None:
    lock = Lock(file=FILE, distributions=frozenset({"opencv-python-headless"}))
    assert lock.find("cv2")[0] == "present"


def test_a_namespace_is_looked_up_by_its_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_installed_providers", lambda: {"google": frozenset({"protobuf", "google-auth"})})
    monkeypatch.setattr(
        lock_module.metadata,
        "files",
        lambda name: [Path("google/protobuf/__init__.py")] if name == "protobuf" else [Path("google/auth/__init__.py")],
    )
    lock = Lock(file=FILE, distributions=frozenset({"protobuf", "google-cloud-storage", "not-installed-here"}))
    assert lock.find("google.protobuf.message")[0] == "present"
    assert lock.find("google.cloud.storage.Client")[0] == "present"
    assert lock.find("google.auth") == ("missing", "google-auth")
    assert lock.find("google.cloud.bigquery")[0] == "unknown"
