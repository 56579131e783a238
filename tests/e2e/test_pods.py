"""Additions to the pods of runs on the real cluster: secret, files, extended resource, patch, size of the scheduler.

The stack is as it was when the module has ended.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from ephemeral_dask.contract import labels, missing
from infra.components.prefect_server import DATA
from tests.e2e.newcomer import RUNS, Newcomer
from tools.cluster.wait import until

SECRET: Final = "warehouse"
RESOURCE: Final = "example.com/gpu"
RELEASE: Final = "/tmp/release"
KINDS: Final = {
    "flow pod": labels.PREFECT_FLOW_RUN,
    "scheduler": f"dask.org/component=scheduler,{labels.FLOW_RUN}",
    "worker": f"dask.org/component=worker,{labels.FLOW_RUN}",
}
"""Kind of a pod -> its labels, of which the last has the id of the run: pods of an earlier run may still end."""
ADDITIONS: Final[Mapping[str, Any]] = {
    "pods": {
        "secretEnv": {"PGPASSWORD": {"name": SECRET, "key": "password"}},
        "volumes": {
            "settings": {"mountPath": "/etc/app", "configMap": "app-settings"},
            "shm": {"mountPath": "/dev/shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        },
    },
    "dask": {
        "scheduler": {"cpu": "120m", "memory": "640Mi", "annotations": {"example.com/safe-to-evict": "false"}},
        "workerPod": {
            "resources": {RESOURCE: 1},
            "patch": {"spec": {"hostAliases": [{"ip": "10.9.8.7", "hostnames": ["warehouse.test"]}]}},
        },
    },
}


@pytest.fixture(scope="module")
def password() -> str:
    return f"marked-{secrets.token_hex(12)}"


@pytest.fixture
def secret(newcomer: Newcomer, password: str) -> Iterator[None]:
    """Create the Secret and the ConfigMap that the additions name."""
    for kind, name, data in (
        ("Secret", SECRET, {"password": password}),
        ("ConfigMap", "app-settings", {"settings.txt": "region=north"}),
    ):
        field = "stringData" if kind == "Secret" else "data"
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data}
        newcomer.kubectl("apply", "-f", "-", namespace=RUNS, stdin=json.dumps(manifest))
    yield
    newcomer.kubectl("delete", f"secret/{SECRET}", "configmap/app-settings", "--ignore-not-found", namespace=RUNS)


@pytest.fixture
def additions(newcomer: Newcomer) -> Iterator[None]:
    """Write the additions into the stack file, and take them out of file and cluster in the end."""
    file = newcomer.clone / "Pulumi.dev.yaml"
    before = file.read_text()
    content = yaml.safe_load(before)
    for key, values in ADDITIONS.items():
        content["config"][f"ephemeral-dask:{key}"] = {**content["config"].get(f"ephemeral-dask:{key}", {}), **values}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    yield
    file.write_text(before)
    done = newcomer.make("up")
    assert done.status == 0, done.progress


@pytest.fixture
def extended_resource(newcomer: Newcomer) -> Iterator[None]:
    """Let the node offer what a device plugin would."""
    [node] = newcomer.kubectl("get", "nodes", "-o", "name").split()
    paths = [f"/status/{field}/{RESOURCE.replace('/', '~1')}" for field in ("capacity", "allocatable")]
    _patch_status(newcomer, node, [{"op": "add", "path": path, "value": "4"} for path in paths])
    yield
    _patch_status(newcomer, node, [{"op": "remove", "path": path} for path in paths[:1]])


def _patch_status(newcomer: Newcomer, node: str, patch: list[dict[str, str]]) -> None:
    newcomer.kubectl("patch", node, "--subresource=status", "--type=json", "--patch", json.dumps(patch))


@pytest.mark.usefixtures("additions", "extended_resource")
def test_three_pods_have_the_stacks_additions_and_the_secret_is_in_no_other_place(
    newcomer: Newcomer, password: str, request: pytest.FixtureRequest
) -> None:
    refused = newcomer.make("preview")
    sentence = missing.reference("Secret", SECRET, RUNS)
    assert refused.status != 0
    assert sentence in _plain(refused.progress + refused.output)

    request.getfixturevalue("secret")
    preview = newcomer.make("preview")
    assert preview.status == 0, preview.progress
    up = newcomer.make("up")
    assert up.status == 0, up.progress

    run = newcomer.start("pods/default", "--job-variable", "memory_request=268435456")
    pods = _running_pods(newcomer, run)
    _check_what_all_have(newcomer, pods, password)
    _check_what_one_has(pods)
    logs = "".join(newcomer.kubectl("logs", pod["metadata"]["name"], namespace=RUNS) for pod in pods.values())
    newcomer.kubectl("exec", pods["worker"]["metadata"]["name"], "--", "touch", RELEASE, namespace=RUNS)
    done = newcomer.make("logs", f"RUN={run}")
    assert f"region=north hello {len(password)}" in done.output + done.progress

    typed = [refused, preview, up, done]
    platform = newcomer.kubectl("get", "pods", "-o", "name").split()
    assert all(any(one in pod for pod in platform) for one in ("prefect-worker", "dask-operator", "dask-reaper"))
    texts = {
        "logs of the run's pods": logs,
        "logs of the platform": "".join(newcomer.kubectl("logs", pod, "--all-containers") for pod in platform),
        "output of commands": "".join(each.output + each.progress for each in typed),
    }
    for name, command in {
        "state": "pulumi stack export --show-secrets",
        "job template": ".venv/bin/prefect work-pool inspect dask",
        "run": f".venv/bin/prefect flow-run inspect {run} && .venv/bin/prefect flow-run logs {run}",
    }.items():
        shown = newcomer.shell(f"COLUMNS=200 {command}")
        assert shown.status == 0, shown.progress
        texts[name] = shown.output + shown.progress
    assert [name for name, text in texts.items() if password in text] == []
    assert _files_of_the_server_with(newcomer, "wait_for")
    assert _files_of_the_server_with(newcomer, password) == ""

    newcomer.kubectl("delete", f"secret/{SECRET}", namespace=RUNS)
    failed = newcomer.make("run", "FLOW=pods/default")
    assert failed.status != 0
    assert missing.object_or_key("Secret", SECRET, "password", RUNS) in _plain(failed.progress + failed.output)


def _plain(text: str) -> str:
    """Return a text without the line breaks that a terminal's width puts in."""
    return " ".join(text.split())


def _running_pods(newcomer: Newcomer, run: str) -> dict[str, Any]:
    """Return flow pod, scheduler and worker of a run once all three run."""
    pods: dict[str, Any] = {}

    def all_run() -> bool:
        for kind, names in KINDS.items():
            selector = ("-l", f"{names}={run}")
            items = json.loads(newcomer.kubectl("get", "pods", *selector, "-o", "json", namespace=RUNS))["items"]
            running = [item for item in items if item["status"]["phase"] == "Running"]
            if not running:
                return False
            pods[kind] = running[0]
        return True

    assert until(all_run, seconds=300, interval=1), newcomer.kubectl("describe", "pods", namespace=RUNS)
    return pods


def _check_what_all_have(newcomer: Newcomer, pods: Mapping[str, Any], password: str) -> None:
    script = "printf %s \"$PGPASSWORD\" | sha256sum; cat /etc/app/settings.txt; echo; grep ' /dev/shm ' /proc/mounts"
    for kind, pod in pods.items():
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        shown = newcomer.kubectl("exec", name, "-c", container["name"], "--", "sh", "-c", script, namespace=RUNS)
        assert hashlib.sha256(password.encode()).hexdigest() in shown, kind
        assert "region=north" in shown, kind
        assert "tmpfs" in shown, kind
        values = {each["name"]: each.get("value") for each in container["env"]}
        assert values["GREETING"] == "hello", kind
        assert password not in json.dumps(pod), kind


def _check_what_one_has(pods: Mapping[str, Any]) -> None:
    resources = {kind: pod["spec"]["containers"][0]["resources"] for kind, pod in pods.items()}
    assert resources["flow pod"]["requests"] == {"cpu": "100m", "memory": "268435456"}
    assert resources["scheduler"]["requests"] == {"cpu": "120m", "memory": "640Mi"}
    assert resources["scheduler"]["limits"] == {"memory": "640Mi"}
    assert pods["scheduler"]["metadata"]["annotations"]["example.com/safe-to-evict"] == "false"
    assert resources["worker"]["limits"][RESOURCE] == "1"
    assert RESOURCE not in json.dumps([resources["flow pod"], resources["scheduler"]])
    assert pods["worker"]["spec"]["hostAliases"][0]["ip"] == "10.9.8.7"
    assert "hostAliases" not in {**pods["scheduler"]["spec"], **pods["flow pod"]["spec"]}


def _files_of_the_server_with(newcomer: Newcomer, text: str) -> str:
    """Return the files of the Prefect server's volume, its database among them, that contain a text."""
    script = f"grep -rlF -e '{text}' {DATA}"
    return newcomer.try_kubectl("exec", "deploy/prefect-server", "--", "sh", "-c", script).output
