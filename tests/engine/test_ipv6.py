"""Pods of a cluster with IPv6 only: what the platform starts and what a run's Dask cluster starts answer on ::1."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from distributed import Client

from ephemeral_dask.contract import ports
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster
from infra import naming
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.prefect_worker import HEALTH_PORT, PrefectWorker, PrefectWorkerArgs
from infra.settings import EmbeddedPrefect, Worker
from infra.specs.namespaces import Namespaces
from ops import reaper
from tests import mocks
from tests.support import scratch_prefect
from tests.support.scratch_prefect import answers, free_port
from tools.cluster.wait import until
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("ipv6")

START = 180.0
NAMES: Namespaces[Any] = Namespaces(platform="flows", runs="flows-runs")
POOL = "ipv6"
HOSTS = """
import socket

look_up = socket.getaddrinfo
names = {names}
socket.getaddrinfo = lambda host, *others, **more: look_up(names.get(host, host), *others, **more)
"""
"""What the pod's /etc/hosts says, for a process without one of its own."""

HANDLERS = """
import kopf

@kopf.on.login()
def login(**_):
    return kopf.ConnectionInfo(server="https://[::1]:1")

@kopf.on.probe()
def alive(**_):
    return 1
"""


def container(build: Callable[[], object]) -> Mapping[str, Any]:
    """Return the container of the Deployment that a component registers."""
    with mocks.rendering() as render:
        [deployment] = render(build).of("apps/v1:Deployment")
    [only] = deployment["spec"]["template"]["spec"]["containers"]
    result: Mapping[str, Any] = only
    return result


GRACE = 30
"""Seconds that the kubelet gives a container to end. A worker that has just started has once needed more."""


@contextmanager
def process(words: list[str], home: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container's command as a process of this machine."""
    with (home / "pod.log").open("ab") as log:
        command = [sys.executable, "-m", *words] if words[0] != "python" else [sys.executable, *words[1:]]
        started = subprocess.Popen(
            command,
            cwd=home,
            env={**scratch_prefect.environment(home), "PYTHONPATH": str(ROOT), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(GRACE)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def plain(container: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Return environment variables of a container."""
    values = {each["name"]: each.get("value") for each in container["env"]}
    return {name: values[name] for name in names}


def answered(url: str, home: Path) -> None:
    assert until(lambda: answers(url), seconds=START, interval=0.2), (home / "pod.log").read_text()[-4000:]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server as its pod does, in a cluster with IPv6, and give its port."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    args = PrefectServerArgs(namespace="flows", image="platform", settings=EmbeddedPrefect(), ip_family="IPv6")
    pod = container(lambda: PrefectServer("server", args))
    with process(pod["command"], home, {"PREFECT_SERVER_API_PORT": str(port)}):
        answered(f"http://[::1]:{port}/api/health", home)
        probe = [each.replace(str(naming.SERVER_PORT), str(port)) for each in pod["readinessProbe"]["exec"]["command"]]
        words = [sys.executable, *probe[1:-1], str(home)]
        done = subprocess.run(words, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        yield f"http://[::1]:{port}/api"


def test_a_worker_polls_the_server_and_answers_its_probe(server: str, tmp_path: Path) -> None:
    httpx.post(f"{server}/work_pools/", json={"name": POOL, "type": "kubernetes"}, trust_env=False).raise_for_status()
    pod = container(
        lambda: PrefectWorker(
            "worker",
            PrefectWorkerArgs(
                namespaces=NAMES,
                account="prefect-worker",
                image="platform",
                api_url=server,
                pool=POOL,
                work_pool=POOL,
                settings=Worker(),
                credential={},
                ip_family="IPv6",
            ),
        )
    )
    port = free_port()
    environment = plain(pod, "PREFECT_API_URL", "PREFECT_WORKER_WEBSERVER_HOST")
    assert plain(pod, "PREFECT_WORKER_WEBSERVER_PORT") == {"PREFECT_WORKER_WEBSERVER_PORT": str(HEALTH_PORT)}
    with process(pod["command"], tmp_path, {**environment, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}):
        answered(f"http://[::1]:{port}/health", tmp_path)
        workers = f"{server}/work_pools/{POOL}/workers/filter"
        assert until(lambda: bool(httpx.post(workers, json={}, trust_env=False).json()), seconds=START, interval=0.5)


def test_the_operators_probe_is_answered(tmp_path: Path) -> None:
    args = DaskOperatorArgs(namespaces=NAMES, image="platform", ip_family="IPv6")
    port = free_port()
    words = container(lambda: DaskOperator("operator", args))["command"]
    words = [str(each).replace(str(ports.OPERATOR_HTTP), str(port)) for each in words]
    # Its handlers need a Kubernetes API; the probe is kopf's.
    (tmp_path / "handlers.py").write_text(HANDLERS)
    words[words.index("ops.operator")] = "handlers"
    with process(words, tmp_path, {"PYTHONPATH": str(tmp_path)}):
        answered(f"http://[::1]:{port}/healthz", tmp_path)


def test_the_reapers_probe_is_answered_in_both_families() -> None:
    class Healthy:
        is_healthy = True

    served = reaper.serve(Healthy(), Mock(), 0)  # type: ignore[arg-type]
    try:
        port = served.server_address[1]
        assert answers(f"http://[::1]:{port}/healthz")
        assert answers(f"http://127.0.0.1:{port}/healthz")
    finally:
        served.shutdown()
        served.server_close()


def test_a_task_runs_on_a_dask_cluster_with_ipv6_addresses(tmp_path: Path) -> None:
    environ = {
        "EPHEMERAL_DASK_NAMESPACE": "flows",
        "EPHEMERAL_DASK_IMAGE": "image",
        "KUBERNETES_SERVICE_HOST": "fd00:10:96::1",
    }
    context = PodContext.from_env(environ)
    assert context is not None
    run = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
    settings = DaskSettings.from_env({}, CodeSizes())
    spec = dask_cluster("etl-1", run=run, context=context, settings=settings)["spec"]
    free = {str(each): str(free_port()) for each in _ports()}
    host = "[::1]"  # the Service's name, which has an IPv6 address only
    with ExitStack() as pods:
        for role in ("scheduler", "worker"):
            [pod], [alias] = spec[role]["spec"]["containers"], spec[role]["spec"]["hostAliases"]
            names = dict.fromkeys(alias["hostnames"], alias["ip"])
            (tmp_path / "sitecustomize.py").write_text(HOSTS.format(names=names))
            words = [_here(each, free, tmp_path) for each in pod["args"]]
            address = f"tcp://{host}:{free[str(ports.SCHEDULER_COMM)]}"
            pods.enter_context(
                process(words, tmp_path, {"DASK_SCHEDULER_ADDRESS": address, "PYTHONPATH": str(tmp_path)})
            )
        client = pods.enter_context(Client(address, timeout=START))
        assert client.submit(lambda number: number + 1, 1).result(START) == 2
        [worker] = client.scheduler_info()["workers"]
        assert worker == f"tcp://[::1]:{free[str(ports.WORKER_COMM)]}"
        for port in (ports.SCHEDULER_HTTP, ports.WORKER_HTTP):
            answered(f"http://{host}:{free[str(port)]}/health", tmp_path)


def _ports() -> tuple[int, ...]:
    return ports.SCHEDULER_COMM, ports.SCHEDULER_HTTP, ports.WORKER_COMM, ports.NANNY_COMM, ports.WORKER_HTTP


def _here(word: str, free: Mapping[str, str], home: Path) -> str:
    """Return a word of a command with what Kubernetes fills in, a free port, and a folder of its own."""
    word = word.replace("$(POD_IP)", "::1").replace("$(DASK_WORKER_NAME)", "worker")
    return str(home) if word == "/tmp" else re.sub(r"\d{4}$", lambda port: free.get(port[0], port[0]), word)
