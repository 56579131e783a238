"""A run whose Prefect server has a certificate of a private CA, with the variables that `caBundle` gives to pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra.settings.layers import CA_VARIABLES
from tests.support import flow_pod, tls_proxy
from tests.support.flow_pod import FlowPod
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("private-ca")

FILES = {
    "flows/__init__.py": "",
    "flows/secure.py": '''
        """A flow whose task asks the server on a Dask worker, as every Prefect task does."""

        from prefect import flow, task
        from prefect.client.orchestration import get_client

        from ephemeral_dask import ephemeral_dask

        @task
        def answers() -> str:
            with get_client(sync_client=True) as client:
                client.hello().raise_for_status()
                return str(client.api_url)

        @flow(task_runner=ephemeral_dask(maximum=1))
        def secure() -> None:
            address = answers.submit().result()
            assert address.startswith("https://"), address
    ''',
    "prefect.yaml": """
        pull: []
        deployments:
          - {name: default, entrypoint: flows.secure.secure, work_pool: {name: secure}}
    """,
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def pod(certificates: Path, prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowPod]:
    """Provide a flow pod that reaches the server by TLS, without the CA's certificate."""
    folder, home = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("home")
    flow_pod.write(folder, FILES)
    port = httpx.URL(prefect_server).port
    assert port is not None
    with (
        tls_proxy.running(port, certificates) as secure,
        flow_pod.registered(folder / "prefect.yaml", "secure", prefect_server),
    ):
        url = f"https://localhost:{secure}/api"
        yield FlowPod(prefect_server, folder, flow_pod.environment(home, url, folder, ROOT))


def test_a_run_completes_on_a_server_with_a_certificate_of_a_private_ca(pod: FlowPod, certificates: Path) -> None:
    variables = dict.fromkeys(CA_VARIABLES, str(certificates / "ca.crt"))
    ended = replace(pod, environment={**pod.environment, **variables}).execute("secure", "default")
    assert ended.state["type"] == "COMPLETED", ended


def test_without_the_ca_the_run_does_not_begin_and_the_log_of_its_pod_says_why(pod: FlowPod) -> None:
    ended = pod.execute("secure", "default")
    assert ended.state["type"] == "SCHEDULED", ended
    assert "CERTIFICATE_VERIFY_FAILED" in ended.output
