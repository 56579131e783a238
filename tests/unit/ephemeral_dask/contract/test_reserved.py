from __future__ import annotations

import re

import pytest

from ephemeral_dask.contract import reserved


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("EPHEMERAL_DASK_CEILING", "which the platform sets"),
        ("PREFECT_API_URL", "which the platform sets"),
        ("PREFECT_API_KEY", "a credential"),
        ("DASK_SCHEDULER_ADDRESS", "which the platform sets"),
        ("prefect_api_url", "which the platform sets"),
        ("ephemeral_dask_x", "which the platform sets"),
        ("PREFECT__FLOW_RUN_ID", "which the platform sets"),
        ("HOME", "which the platform sets"),
        ("9LIVES", "not the name of an environment variable"),
    ],
)
def test_a_variable_of_the_platform_is_refused_with_its_name(name: str, why: str) -> None:
    [error] = reserved.variable_errors([name, "GDAL_CACHEMAX"])
    assert name in error
    assert why in error


@pytest.mark.parametrize("name", ["GDAL_CACHEMAX", "PREFECT_LOGGING_LEVEL", "home", "HOMEPAGE", "_X"])
def test_other_variables_are_the_users_in_code_and_schema(name: str) -> None:
    assert reserved.variable_error(name) is None
    assert not re.search(reserved.variable_pattern(), name)


@pytest.mark.parametrize(
    "name",
    ["EPHEMERAL_DASK_X", "PREFECT_API_URL", "Prefect_Api_Key", "PREFECT__FLOW_RUN_ID", "HOME", "DASK_WORKER_NAME"],
)
def test_the_schema_refuses_what_the_code_refuses(name: str) -> None:
    assert re.search(reserved.variable_pattern(), name)


@pytest.mark.parametrize(
    "path",
    ["/app", "/app/flows", "/tmp", "/tmp/x", "/", "/opt", "/opt/venv/lib", "/results", "/sys", "//tmp", "///app/x"],
)
def test_a_mount_over_or_into_a_folder_of_the_platform_is_refused(path: str) -> None:
    assert "would hide" in (reserved.mount_error(path) or "")


@pytest.mark.parametrize("path", ["/usr", "/usr/bin", "/etc", "/dev", "/lib", "//bin", "/bin/."])
def test_a_mount_over_the_system_of_the_image_is_refused(path: str) -> None:
    assert "of the image" in (reserved.mount_error(path) or "")


@pytest.mark.parametrize(
    "path",
    [
        *("/run/secrets/kubernetes.io/serviceaccount/", "/var/run", "/run/secrets", "/etc/ephemeral-dask"),
        *("/usr/local/lib", "/usr/local/lib/python3.11", "/usr/lib/python3", "//usr/lib/python3.13/"),
    ],
)
def test_a_mount_over_the_account_the_certificates_or_python_is_refused(path: str) -> None:
    assert "would hide" in (reserved.mount_error(path) or "")


@pytest.mark.parametrize("path", ["data", "", "/a/../app", "/a:b", "/tmp ", " /mnt/data"])
def test_a_mount_needs_an_absolute_path(path: str) -> None:
    assert "not an absolute path" in (reserved.mount_error(path) or "")


@pytest.mark.parametrize(
    "path",
    [
        "/dev/shm",
        "/mnt/data",
        "/application",
        "/etc/app",
        "/etc/ssl/certs",
        "/opt/cache",
        "/usr/local/lib/x",
        "/run/secrets/x",
    ],
)
def test_other_folders_are_free(path: str) -> None:
    assert reserved.mount_error(path) is None


def test_a_patch_cannot_set_what_the_other_keys_cannot() -> None:
    container = {
        "name": "worker",
        "env": [{"name": "PREFECT_API_URL", "value": "x"}],
        "volumeMounts": [{"name": "a", "mountPath": "/app"}],
    }
    patch = {
        "metadata": {"labels": {"dask.org/cluster-name": "x"}},
        "spec": {"containers": [container], "volumes": [{"name": "tmp"}]},
    }
    errors = reserved.patch_errors(patch)
    for part in ("dask.org/cluster-name", "PREFECT_API_URL", "/app", "volume 'tmp'"):
        assert any(part in error for error in errors), part
    assert reserved.patch_errors({"spec": {"dnsPolicy": "Default"}}) == []


@pytest.mark.parametrize(
    ("name", "own"),
    [("prefect.io/flow-run-id", True), ("job-name", True), ("job-names", False), ("app.kubernetes.io/name", False)],
)
def test_labels_by_which_a_job_is_found_cannot_be_job_variables(name: str, *, own: bool) -> None:
    assert bool(re.search(reserved.label_pattern(), name)) is own
