from __future__ import annotations

from typing import Any

import pytest

from infra.pull_steps import images_with_git, warnings
from infra.settings import Settings
from infra.specs.deployment import DeploymentSpec

IMAGE = {"builder": "docker-build", "registry": "r", "flows": {"gpu": {}}}
CLONE = "prefect.deployments.steps.git_clone"


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"image": IMAGE, **values}, by_alias=True)


def deployment(*steps: dict[str, Any]) -> DeploymentSpec:
    return DeploymentSpec(
        flow_name="etl", name="nightly", entrypoint="flows.etl.etl", pull_steps=steps, location="prefect.yaml:3"
    )


@pytest.mark.parametrize(
    ("step", "git"),
    [
        ({CLONE: {"repository": "https://example.com/x.git"}}, True),
        ({"prefect.deployments.steps.pull.agit_clone": {"repository": "x"}}, True),
        ({CLONE: None}, True),
        ({"prefect.deployments.steps.set_working_directory": {"directory": "/opt"}}, False),
    ],
)
def test_the_image_of_runs_that_clone_a_repository_needs_git(step: dict[str, Any], git: bool) -> None:
    values = settings(workPools={"a": {}, "b": {"image": "gpu"}})
    assert images_with_git(values, {"a": (deployment(),), "b": (deployment(), deployment(step))}) == (
        {"gpu"} if git else set()
    )
    assert images_with_git(values, {"a": (deployment(step),), "b": ()}) == ({None} if git else set())


@pytest.mark.parametrize(
    ("repository", "host", "port"),
    [
        ("git@github.com:org/flows.git", "github.com", 22),
        ("ssh://git@git.example.com:2222/flows.git", "git.example.com", 2222),
        ("http://git.example.com/flows.git", "git.example.com", 80),
        ("https://git.example.com:8443/flows.git", "git.example.com", 8443),
        ("https://github.com/org/flows.git", "github.com", 443),
    ],
)
def test_a_repository_that_no_policy_opens_is_a_warning_with_what_to_write(
    repository: str, host: str, port: int
) -> None:
    pools = {"dask": (deployment({CLONE: {"repository": repository}}),)}
    [warning] = warnings(settings(), pools)
    assert warning == (
        f"prefect.yaml:3: deployment 'etl/nightly' clones from {host}, and no flow pod may connect to port {port}:"
        f" add `{{cidr: <addresses of {host}>, ports: [{port}]}}` to network.data"
    )
    opened = {"data": [{"cidr": "192.0.2.0/24", "ports": [port]}]}
    assert warnings(settings(network=opened), pools) == []
    assert warnings(settings(network={"policies": False}), pools) == []


@pytest.mark.parametrize(
    "repository",
    ["{{ prefect.variables.repository }}", "file:///srv/flows", "https://[x", ""],
)
def test_a_repository_whose_port_is_not_known_is_none(repository: str) -> None:
    assert warnings(settings(), {"dask": (deployment({CLONE: {"repository": repository}}),)}) == []


def test_a_repository_behind_a_port_that_flow_pods_use_anyway_is_none() -> None:
    pools = {"dask": (deployment({CLONE: {"repository": "https://github.com/org/flows.git"}}),)}
    opened: dict[str, Any] = {"network": {"apiServer": [{"cidr": "0.0.0.0/0", "ports": [443]}]}}
    assert warnings(settings(**opened), pools) == []
    assert warnings(settings(prefect={"mode": "cloud", "apiUrl": "https://api.example.com/api"}), pools) == []


@pytest.mark.parametrize(
    ("repository", "login"),
    [
        ("https://user:word@github.com/org/flows.git", True),
        (f"https://{'t' * 20}@github.com/org/flows.git", True),
        ("https://user@github.com/org/flows.git", False),
        ("https://x:{{ prefect.blocks.secret.token }}@github.com/org/flows.git", False),
    ],
)
def test_a_login_in_the_address_of_a_repository_is_a_warning_that_does_not_repeat_it(
    repository: str, *, login: bool
) -> None:
    text = "".join(warnings(settings(), {"dask": (deployment({CLONE: {"repository": repository}}),)}))
    assert ("has a login" in text) is login
    assert "word" not in text
    assert "ttt" not in text
