from __future__ import annotations

from pathlib import Path

import pytest

from ephemeral_dask import missing_objects
from ephemeral_dask.contract import missing
from ephemeral_dask.contract.pods import PodExtras

EXTRAS = PodExtras(secret_env={"PGPASSWORD": {"name": "warehouse", "key": "password"}})


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ('secret "warehouse" not found', missing.reference("Secret", "warehouse", "flows")),
        ('configmap "app" not found', missing.reference("ConfigMap", "app", "flows")),
        (
            'MountVolume.SetUp failed for volume "tls" : secret "tls" not found',
            missing.reference("Secret", "tls", "flows"),
        ),
        (
            "couldn't find key password in Secret flows/warehouse",
            missing.key("Secret", "warehouse", "password", "flows"),
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "cache" not found. preemption: 0/1',
            missing.reference("PersistentVolumeClaim", "cache", "flows"),
        ),
        (
            'pods "w-1" is forbidden: pod rejected: RuntimeClass "nvidia" not found',
            missing.reference("RuntimeClass", "nvidia"),
        ),
        (
            'pods "w-1" is forbidden: no PriorityClass with name batch was found',
            missing.reference("PriorityClass", "batch"),
        ),
    ],
)
def test_a_run_says_in_the_words_of_the_preview_what_does_not_exist(message: str, sentence: str) -> None:
    assert missing_objects.explain(message, "flows") == f"{sentence} ({message})"


def test_another_message_is_about_no_object() -> None:
    assert missing_objects.explain("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "flows") == ""


def test_a_gpu_that_a_pod_waits_for_is_named_in_the_words_of_the_preview() -> None:
    message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu. preemption: not helpful"
    text = missing_objects.scarce(message)
    assert missing.resource("nvidia.com/gpu") in text
    assert message in text
    assert missing_objects.scarce("1 Insufficient cpu, 2 Insufficient memory.") == (
        "1 Insufficient cpu, 2 Insufficient memory."
    )


def test_a_flow_pod_without_the_variable_of_a_secret_names_secret_and_key() -> None:
    [sentence] = missing_objects.in_flow_pod(EXTRAS, {}, "flows")
    assert missing.object_or_key("Secret", "warehouse", "password", "flows") in sentence
    assert "PGPASSWORD" in sentence
    assert list(missing_objects.in_flow_pod(EXTRAS, {"PGPASSWORD": ""}, "flows")) == []


@pytest.mark.parametrize(("items", "file", "sentences"), [([], "", 1), ([], "a", 0), (["b"], "a", 1), (["a"], "a", 0)])
def test_a_flow_pod_whose_mounted_config_map_is_empty_names_it(
    tmp_path: Path, items: list[str], file: str, sentences: int
) -> None:
    if file:
        (tmp_path / file).touch()
    source = {"configMap": {"name": "app", "items": [{"key": each, "path": each} for each in items]}}
    extras = PodExtras(volumes={"app": {"source": source, "mount": {"mountPath": str(tmp_path)}}})
    named = list(missing_objects.in_flow_pod(extras, {}, "flows"))
    assert len(named) == sentences
    assert all(missing.reference("ConfigMap", "app", "flows") in each for each in named)


def test_a_folder_that_is_not_this_pods_own_is_not_looked_at(tmp_path: Path) -> None:
    volume = {"source": {"secret": {"secretName": "tls"}}, "mount": {"mountPath": str(tmp_path / "absent")}}
    assert list(missing_objects.in_flow_pod(PodExtras(volumes={"tls": volume}), {}, "flows")) == []
