"""The certificates of a Dask cluster, against real processes of Dask's that have them."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from distributed import Client, get_client, get_worker, worker_client
from distributed.core import rpc
from distributed.security import Security

from ephemeral_dask.certificates import Certificates
from ephemeral_dask.contract import labels, tls
from tests.support.tls_processes import Ports, running

CERTIFICATES = Certificates.new()
OTHERS = Certificates.new()
CLUSTER = {"metadata": {"name": "etl-1", "namespace": "flows", "labels": {labels.JOB: "etl-run", labels.FLOW: "etl"}}}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with running(CERTIFICATES, tmp_path_factory.mktemp("tls")) as ports:
        yield ports


@pytest.fixture(scope="module")
def client(ports: Ports) -> Iterator[Client]:
    address = f"tls://127.0.0.1:{ports.scheduler}"
    with Client(address, security=CERTIFICATES.security, set_as_default=False) as client:
        yield client


def reached(address: str, security: Security) -> bool:
    """Whether a process of Dask's answers a request."""

    async def ask() -> bool:
        connection = rpc(address, connection_args=security.get_connection_args("client"), timeout=3)
        try:
            async with asyncio.timeout(5):
                await connection.identity()
        except OSError:
            return False
        else:
            return True
        finally:
            await connection.close_rpc()

    return asyncio.run(ask())


def test_the_flow_pod_of_the_run_uses_its_cluster(client: Client) -> None:
    assert client.submit(sum, [1, 2], pure=False).result(timeout=60) == 3


@pytest.mark.parametrize("process", ["scheduler", "worker", "nanny"])
def test_every_process_answers_those_with_a_certificate_of_the_cluster_alone(process: str, ports: Ports) -> None:
    address = f"127.0.0.1:{getattr(ports, process)}"
    assert reached(f"tls://{address}", CERTIFICATES.security)
    assert not reached(f"tls://{address}", OTHERS.security)
    assert not reached(f"tcp://{address}", Security(require_encryption=False))


def test_a_client_without_a_certificate_of_its_own_is_refused(ports: Ports) -> None:
    context = ssl.create_default_context(cadata=CERTIFICATES.authority)
    context.check_hostname = False
    # With TLS 1.3 the server refuses after the client's handshake.
    with socket.create_connection(("127.0.0.1", ports.scheduler), 10) as plain:
        secure = context.wrap_socket(plain)
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            secure.recv(1)


def test_a_client_refuses_a_scheduler_of_another_run(ports: Ports) -> None:
    trusting = Security(
        require_encryption=True,
        tls_ca_file=OTHERS.authority,
        tls_client_cert=CERTIFICATES.flow.certificate,
        tls_client_key=CERTIFICATES.flow.key,
    )
    assert not reached(f"tls://127.0.0.1:{ports.scheduler}", trusting)


def with_worker_client() -> int:
    with worker_client() as client:
        return int(client.submit(sum, [1, 2], pure=False).result())


def with_client_of_worker() -> int:
    return int(get_client().submit(sum, [2, 3], pure=False).result())


def with_client_of_its_own() -> int:
    """As `get_dask_client` does it in a task."""
    with Client(get_worker().scheduler.address, set_as_default=False) as client:
        return int(client.submit(sum, [3, 4], pure=False).result())


@pytest.mark.parametrize(
    ("task", "result"), [(with_worker_client, 3), (with_client_of_worker, 5), (with_client_of_its_own, 7)]
)
def test_a_task_uses_the_cluster_that_it_runs_on(task: Any, result: int, client: Client) -> None:
    assert client.submit(task, pure=False).result(timeout=60) == result


def test_the_operator_reaches_the_schedulers_http_routes_as_before(ports: Ports, client: Client) -> None:
    assert client.scheduler_info()["address"].startswith("tls://")
    url = f"http://127.0.0.1:{ports.dashboard}/api/v1"
    for route in ("check_idle", "adaptive_target"):
        with urllib.request.urlopen(f"{url}/{route}", timeout=30) as answer:
            assert answer.status == 200
    # The worker is still needed by the other tests, so none is retired.
    body = json.dumps({"workers": []}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/retire_workers", body), timeout=30) as answer:
        assert json.load(answer) == {}


def test_only_the_authority_can_sign_and_has_a_key_of_its_own() -> None:
    authority = x509.load_pem_x509_certificate(CERTIFICATES.authority.encode())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for pair in (CERTIFICATES.flow, CERTIFICATES.pods):
        certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        certificate.verify_directly_issued_by(authority)
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert certificate.public_key() != authority.public_key()


def test_the_secret_goes_with_the_cluster_and_carries_the_runs_labels() -> None:
    secret = CERTIFICATES.secret(CLUSTER, "uid-1")
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["name"] == tls.secret_name("etl-1", "etl-run") == "etl-1.etl-run.dask-tls"
    assert secret["metadata"]["labels"] == CLUSTER["metadata"]["labels"]
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("DaskCluster", "etl-1", "uid-1")


def test_the_flow_pods_key_never_leaves_it_and_no_key_shows_in_a_text() -> None:
    secret = json.dumps(CERTIFICATES.secret(CLUSTER, "uid-1"))
    assert json.dumps(CERTIFICATES.pods.key) in secret
    assert json.dumps(CERTIFICATES.flow.key)[1:-1] not in secret
    shown = f"{CERTIFICATES!r} {CERTIFICATES.security!r} {CERTIFICATES.connection!r}"
    for pair in (CERTIFICATES.flow, CERTIFICATES.pods):
        assert pair.key.splitlines()[1] not in shown
    assert "PRIVATE KEY" not in shown


def test_a_cluster_without_a_job_has_a_secret_of_its_own_too() -> None:
    assert tls.secret_name("etl-1", None) == "etl-1.dask-tls"


def test_two_clusters_have_nothing_in_common() -> None:
    assert base64.b64encode(CERTIFICATES.authority.encode()) != base64.b64encode(OTHERS.authority.encode())
    assert CERTIFICATES.pods.key != OTHERS.pods.key
