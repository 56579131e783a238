from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.flow_signature.lock import read_lock
from infra.image_files import image_errors, library_errors
from infra.settings import DockerBuild, Prebuilt, Settings, SettingsError, parse

HASHED = "# comment\nnumpy==2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "flows.txt").write_text(HASHED)
    return tmp_path


def check(root: Path, **build: Any) -> tuple[list[str], list[str]]:
    """Return errors and warnings about an image `gpu`."""
    image = DockerBuild.model_validate({"registry": "r", "flows": {"gpu": build}}, by_alias=True)
    warnings: list[str] = []
    return image_errors(image, root, warnings.append), warnings


def test_files_that_exist_and_have_hashes_pass(root: Path) -> None:
    assert check(root) == ([], [])


def test_a_requirements_file_that_does_not_exist_is_refused_with_its_key(root: Path) -> None:
    [error], _ = check(root, requirements="requirements/gpu.txt")
    assert error == (
        "image.flows.gpu.requirements: requirements/gpu.txt does not exist: correct the path, or write it with"
        " `make lock`, or with `uv pip compile --generate-hashes`"
    )
    (root / "requirements" / "gpu.txt").write_text(HASHED)
    assert check(root, requirements="requirements/gpu.txt") == ([], [])


def test_a_folder_that_does_not_exist_is_refused_with_its_key(root: Path) -> None:
    [error], _ = check(root, packages=["flows", "jobs"])
    assert error == "image.flows.gpu.packages: 'jobs' does not exist: correct it, or remove it from the list"


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("numpy==2.0\n", "has no hash for 'numpy==2.0'"),
        (HASHED + "pandas\n", "has no hash for 'pandas'"),
        ("-r base.txt\n", "refers to another file with '-r base.txt'"),
        ("--constraint=base.txt\n", "refers to another file with '--constraint=base.txt'"),
    ],
)
def test_what_the_build_will_not_install_is_a_warning(text: str, clause: str, root: Path) -> None:
    (root / "requirements" / "flows.txt").write_text(text)
    errors, warnings = check(root)
    assert errors == []
    assert clause in warnings[0]


def test_images_of_another_pipeline_are_not_checked(tmp_path: Path) -> None:
    image = Prebuilt(builder="prebuilt", flow=f"r/flow@sha256:{'a' * 64}", platform=f"r/platform@sha256:{'b' * 64}")
    assert image_errors(image, tmp_path, pytest.fail) == []


def test_a_requirements_file_that_pip_cannot_read_is_refused_with_its_key(root: Path) -> None:
    (root / "requirements" / "gpu.txt").write_text(HASHED, encoding="utf-16")
    [error], _ = check(root, requirements="requirements/gpu.txt")
    assert error.startswith("image.flows.gpu.requirements: requirements/gpu.txt is not text in UTF-8")
    [error], _ = check(root, requirements="requirements")
    assert error == "image.flows.gpu.requirements: requirements is a folder: name the file in it"


def test_a_requirements_file_with_the_byte_order_mark_of_windows_is_read(root: Path) -> None:
    (root / "requirements" / "flows.txt").write_text(HASHED, encoding="utf-8-sig")
    assert check(root) == ([], [])
    assert read_lock(root / "requirements" / "flows.txt", "f").distributions == {"numpy"}


def test_a_ca_bundle_of_the_build_that_does_not_exist_is_refused_with_its_key(root: Path) -> None:
    image = DockerBuild(registry="r", ca_bundle="ca.pem")
    [error] = image_errors(image, root, pytest.fail)
    assert error.startswith("image.caBundle: file 'ca.pem' does not exist")
    (root / "ca.pem").write_text("certificate")
    assert image_errors(image, root, pytest.fail) == []


@pytest.mark.parametrize(
    ("values", "clause"),
    [
        ({"registry": "https://r"}, "image.registry: is not the address of images"),
        ({"registry": "user:word@r"}, "image.registry: is not the address of images"),
        ({"registry": "r/Path/"}, "image.registry: is not the address of images"),
        ({"cache": "r/a b"}, "image.cache: is not the address of images"),
        ({"packageIndex": "https://user:word@r/simple"}, "image.packageIndex: is not a valid address"),
        ({"base": "http://r/x:1"}, "image.base: 'http://r/x:1' is not the name of an image"),
        ({"base": "r/x@sha256:abc"}, "is not the name of an image"),
        ({"base": "r:5000/x"}, "has neither tag nor digest"),
        ({"flow": {"aptPackages": ["git; ls"]}}, "image.flow.aptPackages.0: 'git; ls' is not the name of a Debian"),
        ({"flow": {"aptPackages": ["--force"]}}, "is not the name of a Debian package"),
        ({"flow": {"provides": ["torch.nn"]}}, "image.flow.provides.0: 'torch.nn' is not the first part of an import"),
        ({"flow": {"packages": ["."]}}, "image.flow.packages.0: '.' is not below the project's folder"),
        ({"flow": {"packages": []}}, "image.flow.packages: must have at least one element"),
        ({"flow": {"python": "3.14"}}, "image.flow.python: must be '3.11', '3.12' or '3.13'"),
        ({"flows": {"gpu": None}}, "image.flows.gpu: must be a mapping"),
    ],
)
def test_a_mistake_in_how_images_are_built_is_one_line_with_its_key(values: dict[str, Any], clause: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse({"image": {"registry": "r", "builder": "docker-build", **values}}, stack="dev")
    [_, line] = str(caught.value).splitlines()
    assert clause in line
    assert "word" not in line


def stack(**values: Any) -> Settings:
    results = {"store": "block", "block": "s3-bucket/results"}
    return parse({"image": {"registry": "r", "builder": "docker-build"}, "results": results, **values}, stack="dev")


def test_a_block_whose_library_the_flow_image_lacks_is_refused(root: Path) -> None:
    [error] = library_errors(stack(), root)
    assert error.startswith("results.block: 's3-bucket/results' needs prefect-aws, which requirements/flows.txt of ")
    (root / "requirements" / "flows.txt").write_text(HASHED + HASHED.replace("numpy", "prefect-aws"))
    assert library_errors(stack(), root) == []
    assert library_errors(stack(results={"store": "block", "block": "gcs-bucket/results"}), root)


def test_a_block_that_no_image_of_a_work_pool_can_lack_passes(root: Path) -> None:
    other = {"store": "block", "block": "remote-file-system/results"}
    assert library_errors(stack(results=other), root) == []
    provided = {"registry": "r", "builder": "docker-build", "flow": {"provides": ["prefect_aws"]}}
    assert library_errors(stack(image=provided), root) == []
    (root / "requirements" / "data.txt").write_text(HASHED.replace("numpy", "prefect-aws"))
    images = {"registry": "r", "builder": "docker-build", "flows": {"data": {"requirements": "requirements/data.txt"}}}
    assert library_errors(stack(image=images, workPools={"data": {"image": "data"}}), root) == []
