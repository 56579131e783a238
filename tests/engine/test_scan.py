"""checkov on every manifest that the stacks make, and on the pods of a run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from ephemeral_dask import spec
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import Credential, Owner, PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from infra import program
from tests.mocks import rendering
from tools import locked_environment, stackfile

pytestmark = pytest.mark.xdist_group("scan")
"""The tests share what was found in each stack."""

WAIVED: Mapping[str, str] = {
    "CKV_K8S_8": "a task that holds the GIL for a minute would get its Dask worker killed; the nanny watches that one",
    "CKV_K8S_11": "a CPU limit throttles a scheduler or a worker that has work; requests and the quota bound CPU",
    "CKV_K8S_35": "Prefect reads its credential from the environment; it comes by reference and is in no manifest",
    "CKV_K8S_38": "who has no Role mounts no token; worker, flow run, operator and reaper need theirs",
    "CKV_K8S_40": "the image has a user of its own (10001), and a cluster with random UIDs gives another",
}
"""Check -> why it does not apply. Whatever else checkov finds fails the test."""


@pytest.fixture(scope="module")
def checkov() -> Path:
    """checkov in an environment of its own."""
    return locked_environment.programs("scan") / "checkov"


def findings(checkov: Path, folder: Path, manifests: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Failed check -> the objects that fail it."""
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all([dict(each) for each in manifests]))
    command = [str(checkov), "--directory", str(folder), "--framework", "kubernetes", "--output", "json", "--compact"]
    done = subprocess.run([*command, "--quiet", "--skip-download"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert isinstance(report, dict), report
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] >= len({each["kind"] for each in manifests} - {"Secret"})
    failed: dict[str, set[str]] = {}
    for check in report["results"]["failed_checks"]:
        failed.setdefault(check["check_id"], set()).add(f"{check['resource']}: {check['check_name']}")
    return failed


def config(stack: str) -> dict[str, Any]:
    content = stackfile.read(stack)["config"]
    secrets = {"prefectDatabaseUrl": "postgresql+asyncpg://u:p@db/x", "prefectAuthString": "u:p"}
    return {key.removeprefix("ephemeral-dask:"): value for key, value in content.items()} | (
        secrets if stack == "prod" else {}
    )


def manifests(stack: str) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch, rendering() as render:
        patch.setattr(pulumi, "export", lambda _name, _value: None)
        recorder = render(program.deploy, config(stack), stack=stack)
    declared = [each for each in recorder.manifests() if each["kind"] != "CustomResourceDefinition"]
    [pool] = recorder.of("prefect:WorkPool")
    job = json.loads(json.dumps(pool["base_job_template"]["job_configuration"]["job_manifest"]))
    values = {
        name: each.get("default", 1) for name, each in pool["base_job_template"]["variables"]["properties"].items()
    }
    return [*declared, _filled(job, values), *dask_pods()]


def dask_cluster() -> dict[str, Any]:
    """A run's Dask cluster, as its flow pod makes it."""
    return spec.dask_cluster(
        "run",
        run=RunIdentity(flow="flow", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="red-fox"),
        context=PodContext(
            namespace="flows-runs",
            image="registry.example.com/flow@sha256:" + "a" * 64,
            service_account="dask",
            owner=Owner(name="job", uid="u"),
            credential=Credential(variable="PREFECT_API_AUTH_STRING", secret=SecretRef("prefect-api", "value")),
            deployment="search",
            passed_on={"PREFECT_API_URL": "http://prefect-server.flows.svc:4200/api"},
        ),
        settings=DaskSettings.from_env({}, CodeSizes()),
    )


def dask_pods() -> list[dict[str, Any]]:
    """The pods of a run's Dask cluster, as the operator makes them."""
    cluster = dask_cluster()
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": role, "namespace": "flows-runs"},
            "spec": cluster["spec"][role]["spec"],
        }
        for role in ("scheduler", "worker")
    ]


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: filled for key, each in value.items() if (filled := _filled(each, values)) is not None}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, str) and value.startswith("{{ "):
        return {"labels": {}, "annotations": {}, "command": ["x"], "name": "run"}.get(
            value[3:-3], values.get(value[3:-3])
        )
    return value


@pytest.fixture(scope="module")
def scanned(checkov: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, set[str]]]:
    """Stack -> what checkov finds in its manifests."""
    folder = tmp_path_factory.mktemp("manifests")
    return {stack: findings(checkov, folder / stack, manifests(stack)) for stack in stackfile.stacks()}


@pytest.mark.parametrize("stack", stackfile.stacks())
def test_no_manifest_of_a_stack_has_a_finding_without_a_reason(
    stack: str, scanned: Mapping[str, Mapping[str, set[str]]]
) -> None:
    assert {check: sorted(objects) for check, objects in scanned[stack].items() if check not in WAIVED} == {}


def test_every_waiver_is_still_needed(scanned: Mapping[str, Mapping[str, set[str]]]) -> None:
    assert set(WAIVED) <= {check for checks in scanned.values() for check in checks}


def test_the_scanner_catches_a_bad_manifest(checkov: Path, tmp_path: Path) -> None:
    bad = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad", "namespace": "flows-runs"},
        "spec": {
            "hostNetwork": True,
            "containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}],
        },
    }
    assert {"CKV_K8S_16", "CKV_K8S_19", "CKV_K8S_20"} <= set(findings(checkov, tmp_path / "bad", [bad]))
