from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.components import dask_crds
from infra.components.dask_crds import custom_resource_definitions, released_definitions


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(dask_crds, "CACHE", folder)
    return folder


def test_the_crds_are_those_of_the_client_that_flows_import() -> None:
    kinds = {each["spec"]["names"]["kind"] for each in custom_resource_definitions()}
    assert kinds == {"DaskCluster", "DaskWorkerGroup", "DaskJob", "DaskAutoscaler"}


def test_what_was_kept_of_the_yaml_files_equals_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = released_definitions()
    folder = resources.files("dask_kubernetes").joinpath("operator/deployment/helm/dask-kubernetes-operator/crds")
    files = sorted(folder.iterdir(), key=lambda each: each.name)
    assert parsed == [yaml.load(each.read_bytes(), Loader=yaml.CSafeLoader) for each in files]
    monkeypatch.delattr(yaml, "load")
    assert released_definitions() == parsed


def test_a_pod_in_a_dask_object_may_have_any_field_and_everything_else_is_as_released() -> None:
    pods: list[Any] = []

    def compare(released: Any, installed: Any) -> None:
        if installed == released:
            return
        if isinstance(released, list):
            for pair in zip(released, installed, strict=True):
                compare(*pair)
        elif "nodeSelector" in released.get("properties", {}):
            pods.append(installed)
        else:
            assert released.keys() == installed.keys()
            for key in released:
                compare(released[key], installed[key])

    compare(released_definitions(), custom_resource_definitions())
    # Scheduler and worker of a cluster; of a job those, and the job itself; a worker group.
    assert pods == [{"type": "object", "required": ["containers"], "x-kubernetes-preserve-unknown-fields": True}] * 6
    assert len(json.dumps(custom_resource_definitions())) < 12_000


def test_a_file_that_was_cut_off_is_written_again(cache: Path) -> None:
    parsed = released_definitions()
    file, *_ = cache.iterdir()
    complete = file.read_text()
    file.write_text(complete[:100])
    assert released_definitions() == parsed
    assert file.read_text() == complete


def test_a_project_in_a_folder_that_cannot_be_written_to_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(dask_crds, "CACHE", tmp_path / "file" / "cache")
    assert len(custom_resource_definitions()) == 4
