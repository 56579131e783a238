"""How-tos as a reader follows them, all of docs/pods.md: commands and stack files of the pages, a real API server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ephemeral_dask.contract import missing
from ephemeral_dask.contract.placeholders import rendered
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster
from infra import job_template, pod_patches, validation
from infra.image_files import image_errors
from infra.job_template import JobTemplateArgs
from infra.registration.references import Lookup, look_up
from infra.settings import Settings
from infra.settings.references import references
from tests import howtos
from tests.engine import hollow_node, pods_namespace
from tests.engine.control_plane import Kubernetes
from tests.engine.pods_namespace import NAMESPACE, PLATFORM, create
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("pods")

PAGE: Final = (ROOT / "docs" / "pods.md").read_text()
IMAGE: Final = {"registry": "localhost:5001", "builder": "docker-build"}
RUN: Final = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
FILES: Final = ("password.txt", "company-ca-bundle.pem")
"""What a reader has in the folder in which they type the commands."""

OBJECTS: Final = {
    "A secret": ("secret/warehouse",),
    "A volume": ("configmap/app-settings", "secret/warehouse-tls", "claim/models", "claim/cache"),
    "A private CA": ("configmap/company-ca",),
    "A GPU": ("runtimeclass/nvidia", "resource/nvidia.com/gpu"),
    "Spot nodes": (),
    "Big clusters": ("priorityclass/batch", "priorityclass/production"),
    "Anything else: a patch": (),
    "Job variables of your own": (),
}
"""How-to -> what it takes for granted or creates by its own commands; everything else the test creates."""

DASK: Final = "kubernetes.dask.org/v1"
_POD: Final = {"containers": [{"name": "dask", "image": "i"}]}
_WORKER: Final = {"replicas": 0, "spec": _POD}
HELD: Final[Mapping[str, Mapping[str, Any]]] = {
    "DaskCluster": {"scheduler": {"spec": _POD, "service": {"ports": []}}, "worker": _WORKER},
    "DaskAutoscaler": {"cluster": "held", "minimum": 0, "maximum": 1},
    "DaskWorkerGroup": {"cluster": "held", "worker": _WORKER},
}
"""Kind of Dask's objects -> what it has to have."""

EXPECTED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "A secret": dict.fromkeys(("flow", "scheduler", "worker"), ('"secretKeyRef": {"key": "password"',)),
    "A volume": dict.fromkeys(
        ("flow", "scheduler", "worker"), ("/mnt/models", "/mnt/cache", "/etc/app", "client.crt", '"medium": "Memory"')
    ),
    "A private CA": dict.fromkeys(("flow", "scheduler", "worker"), ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "company-ca")),
    "A GPU": {"worker": ('"nvidia.com/gpu": "1"', '"runtimeClassName": "nvidia"', '"pool": "gpu"', "/dev/shm")},
    "Spot nodes": {
        "flow": ('"pool": "steady"', "safe-to-evict"),
        "scheduler": ('"pool": "steady"', "safe-to-evict"),
        "worker": ('"pool": "spot"', "topology.kubernetes.io/zone"),
    },
    "Big clusters": {
        "scheduler": ('"priorityClassName": "production"', '"memory": "12Gi"'),
        "worker": ('"priorityClassName": "batch"', '"sizeLimit": "20Gi"', '"memory": "8Gi"'),
    },
    "Anything else: a patch": {"flow": ('"name": "ndots"',), "worker": ("warehouse.internal", '"seconds": 5')},
    "Job variables of your own": dict.fromkeys(
        ("flow", "scheduler", "worker"), ('"example.com/tier": "normal"', "10.9.8.7")
    ),
}
"""How-to -> pod -> what is in it as the API server stores it."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with pods_namespace.running(tmp_path_factory.mktemp("kubernetes")) as kubernetes:
        yield kubernetes


def section(heading: str, page: str = PAGE) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def stack(heading: str, page: str = PAGE) -> Settings:
    """Return the settings of the section's first stack file."""
    [text, *_] = howtos.fenced(section(heading, page), "yaml")
    values = {key.removeprefix("ephemeral-dask:"): value for key, value in yaml.safe_load(text)["config"].items()}
    return validation.load_settings({"image": IMAGE, **values}, stack="dev")


def follow(kubernetes: Kubernetes, heading: str, folder: Path) -> None:
    """Type the section's commands, and create what it takes for granted."""
    for name in FILES:
        (folder / name).write_text("x")
    for block in howtos.found(section(heading)):
        type_in(kubernetes, block, folder)
    for kind, _, name in (each.partition("/") for each in OBJECTS[heading]):
        if kubernetes.try_kubectl("get", kind.replace("claim", "pvc"), name, "--namespace", NAMESPACE).returncode == 0:
            continue
        if kind == "claim":
            storage = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
            create(kubernetes, "PersistentVolumeClaim", name, spec=storage)
        elif kind == "runtimeclass":
            create(kubernetes, "RuntimeClass", name, "node.k8s.io/v1", handler=name)
        elif kind == "priorityclass":
            create(kubernetes, "PriorityClass", name, "scheduling.k8s.io/v1", value=1)
        elif kind == "resource":
            fields = [f"/status/{field}/{name.replace('/', '~1')}" for field in ("capacity", "allocatable")]
            operations = [{"op": "add", "path": field.rpartition("/")[0], "value": {name: "8"}} for field in fields]
            patch = ("--subresource=status", "--type=json", "--patch", json.dumps(operations))
            kubernetes.kubectl("patch", "node", hollow_node.NAME, *patch)
        else:
            data = {"tls.crt": "x"} if kind == "secret" else {"settings.txt": "x"}
            create(kubernetes, {"secret": "Secret", "configmap": "ConfigMap"}[kind], name, **of_kind(kind, data))


def type_in(kubernetes: Kubernetes, block: str, folder: Path) -> None:
    """Type a block of commands in a folder."""
    environment = {**os.environ, "PATH": f"{kubernetes.programs['kubectl'].parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", block], cwd=folder, env=environment, check=True)


def of_kind(kind: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {"stringData" if kind == "secret" else "data": data}


def looked_up(settings: Settings) -> Lookup:
    return look_up(map(asdict, references(settings)), None, existing=(PLATFORM, NAMESPACE))


def pods_of_a_run(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return flow pod, scheduler and worker as a run makes them, of the stack's only profile if it has one."""
    template = job_template.build(JobTemplateArgs.of(settings, "dask", image="i@sha256:1", credential={}))
    properties = template["variables"]["properties"]
    values = {name: each["default"] for name, each in properties.items() if "default" in each}
    profile = next(iter(settings.dask.profiles), "")
    fixed = {"name": "etl", "labels": {}, "annotations": {}, "command": ["true"], "dask_profile": profile}
    configuration = rendered(template["job_configuration"], {**values, **fixed})
    environment = {name: str(value) for name, value in configuration["env"].items()}
    context = PodContext.from_env(environment)
    assert context is not None
    made = dask_cluster("etl-1", run=RUN, context=context, settings=DaskSettings.from_env(environment, CodeSizes()))
    flow = configuration["job_manifest"]["spec"]["template"]
    pod_patches.without_fields_of_jobs(flow["spec"])
    flow["spec"]["containers"][0]["env"] += [{"name": name, "value": value} for name, value in environment.items()]
    return {"flow": flow, **{role: made["spec"][role] for role in ("scheduler", "worker")}}


@pytest.mark.parametrize("heading", OBJECTS)
def test_a_how_to_gives_pods_what_it_says(heading: str, kubernetes: Kubernetes, tmp_path: Path) -> None:
    settings = stack(heading)
    before = looked_up(settings)
    assert len(before.errors) + len(before.warnings) >= len(OBJECTS[heading]), "the preview must name what is missing"
    follow(kubernetes, heading, tmp_path)
    assert looked_up(settings) == Lookup()

    for role, pod in pods_of_a_run(settings).items():
        metadata = {**pod.get("metadata", {}), "name": role, "namespace": NAMESPACE}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        options = ("--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
        stored = json.dumps(json.loads(kubernetes.kubectl("create", *options, stdin=manifest)), sort_keys=True)
        for text in EXPECTED[heading].get(role, ()):
            assert text in stored, f"{role}: {stored}"


def test_every_how_to_of_the_page_is_followed() -> None:
    headings = [each for each in re.findall("^## (.*)$", PAGE, re.MULTILINE) if "```yaml" in section(each)]
    assert headings == list(OBJECTS)


def test_the_keys_of_a_bucket_are_in_the_secret_that_pods_refer_to(kubernetes: Kubernetes, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    settings = stack("An S3 bucket", page)
    assert "Secret 's3' does not exist" in looked_up(settings).errors[0]
    for name in ("key-id.txt", "secret-key.txt"):
        (tmp_path / name).write_text("x")
    type_in(kubernetes, howtos.found(section("An S3 bucket", page))[0], tmp_path)
    assert looked_up(settings) == Lookup()


def test_what_a_finalizer_holds_goes_by_the_commands_of_the_page(kubernetes: Kubernetes, tmp_path: Path) -> None:
    pods_namespace.serve_dask(kubernetes)
    for kind, spec in HELD.items():
        create(kubernetes, kind, "held", DASK, metadata={"finalizers": ["example.com/held"]}, spec=spec)
    kinds = ",".join(f"{kind}s" for kind in HELD).lower()
    kubernetes.kubectl("delete", kinds, "--all", "--namespace", NAMESPACE, "--wait=false")
    names = ("get", kinds, "--namespace", NAMESPACE, "--output", "name")
    assert len(kubernetes.kubectl(*names).split()) == len(HELD)
    [block] = howtos.found(section("A namespace that stays Terminating", (ROOT / "docs" / "operate.md").read_text()))
    type_in(kubernetes, block, tmp_path)
    assert kubernetes.kubectl(*names) == ""


def test_own_packages_are_locked_by_the_command_of_the_page(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "code-and-images.md").read_text()
    own = section("Own packages", text)
    [command] = howtos.found(own)
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "flows.txt", tmp_path / "requirements")
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["flows"]
    (tmp_path / "gpu.in").write_text("\n".join([*group, "tabulate"]))
    path = f"{ROOT / '.venv' / 'uv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)

    [config] = howtos.fenced(own, "yaml")
    image = yaml.safe_load(config)["config"]["ephemeral-dask:image"]
    settings = validation.load_settings({"image": image, "workPools": {"gpu": {"image": "gpu"}}}, stack="dev")
    (tmp_path / "flows").mkdir()
    warnings: list[str] = []
    assert image_errors(settings.image, tmp_path, warnings.append) == []
    assert warnings == []
    lock = (tmp_path / "requirements" / "gpu.txt").read_text()
    assert "tabulate==" in lock
    versions = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
    shared = dict(versions.findall((tmp_path / "requirements" / "flows.txt").read_text()))
    assert shared.items() <= dict(versions.findall(lock)).items()


def test_a_gpu_that_no_node_offers_is_named_with_what_to_do(kubernetes: Kubernetes) -> None:
    assert kubernetes
    settings = validation.load_settings(
        {"image": IMAGE, "dask": {"workerPod": {"resources": {"example.com/other": 1}}}}, stack="dev"
    )
    [warning] = looked_up(settings).warnings
    assert missing.resource("example.com/other") in warning
