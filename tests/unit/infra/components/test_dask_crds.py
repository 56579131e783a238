from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import yaml

from infra.components import dask_crds
from infra.components.dask_crds import custom_resource_definitions


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(dask_crds, "CACHE", folder)
    return folder


def test_the_crds_are_those_of_the_client_that_flows_import() -> None:
    kinds = {each["spec"]["names"]["kind"] for each in custom_resource_definitions()}
    assert kinds == {"DaskCluster", "DaskWorkerGroup", "DaskJob", "DaskAutoscaler"}


def test_what_was_kept_of_the_yaml_files_equals_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = custom_resource_definitions()
    folder = resources.files("dask_kubernetes").joinpath("operator/deployment/helm/dask-kubernetes-operator/crds")
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    assert parsed == [yaml.load(each.read_bytes(), Loader=yaml.CSafeLoader) for each in files]
    monkeypatch.delattr(yaml, "load")
    assert custom_resource_definitions() == parsed


def test_a_file_that_was_cut_off_is_written_again(cache: Path) -> None:
    parsed = custom_resource_definitions()
    file, *_ = cache.iterdir()
    complete = file.read_text()
    file.write_text(complete[:100])
    assert custom_resource_definitions() == parsed
    assert file.read_text() == complete


def test_a_project_in_a_folder_that_cannot_be_written_to_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(dask_crds, "CACHE", tmp_path / "file" / "cache")
    assert len(custom_resource_definitions()) == 4
