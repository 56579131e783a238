from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import certifi
import pytest
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    get_current_settings,
    temporary_settings,
)

from ephemeral_dask.lean import tls

ELSEWHERE = {
    PREFECT_API_URL: "https://prefect.invalid/api",
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copy(certifi.where(), tmp_path / "ca.pem"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """The TLS contexts that are made from now on."""
    contexts: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def recorded(*args: object, **options: object) -> ssl.SSLContext:
        contexts.append(make(*args, **options))  # type: ignore[arg-type]
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", recorded)
    return contexts


@pytest.mark.parametrize("client", [SyncPrefectClient, PrefectClient])
def test_each_client_of_prefect_still_reads_the_ca_bundle_again(
    client: type[SyncPrefectClient | PrefectClient], made: list[ssl.SSLContext]
) -> None:
    for _ in range(2):
        client("http://prefect.invalid/api")
    assert len(made) >= 2


def test_clients_of_tasks_share_one_tls_context(bundle: Path, made: list[ssl.SSLContext]) -> None:
    with temporary_settings({**ELSEWHERE, PREFECT_API_SSL_CERT_FILE: str(bundle)}):
        for _ in range(3):
            with tls.SyncClient():
                pass
    assert len(made) == 1
    assert made[0].verify_mode == ssl.CERT_REQUIRED


def test_a_ca_bundle_that_was_replaced_is_read_again(bundle: Path) -> None:
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(bundle)}):
        before = tls.shared_context()
        assert tls.shared_context() is before
        other = bundle.with_name("new.pem")
        shutil.copy(certifi.where(), other)
        other.replace(bundle)
        assert tls.shared_context() is not before


def test_clients_that_verify_nothing_have_a_context_of_their_own(bundle: Path) -> None:
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(bundle)}):
        verifying = tls.shared_context()
        with temporary_settings({PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True}):
            trusting = tls.shared_context()
            assert tls.shared_context() is trusting
        assert tls.shared_context() is verifying
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


def test_without_a_file_the_bundle_is_the_one_that_prefect_takes() -> None:
    with temporary_settings({**ELSEWHERE, PREFECT_API_SSL_CERT_FILE: None}):
        assert get_current_settings().api.ssl_cert_file is None
        context = tls.shared_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    bundles = [
        each.get_ca_certs(binary_form=True) for each in (context, ssl.create_default_context(cafile=certifi.where()))
    ]
    assert set(bundles[0]) == set(bundles[1])


def test_only_some_tls_contexts_are_kept(tmp_path: Path) -> None:
    for number in range(12):
        path = shutil.copy(certifi.where(), tmp_path / f"{number}.pem")
        with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(path)}):
            tls.shared_context()
    assert len(tls._contexts) == 8


def test_code_of_a_task_that_asks_for_a_client_gets_that_of_its_task() -> None:
    with temporary_settings(ELSEWHERE), tls.SyncClient() as entered:
        assert get_client(sync_client=True) is entered.client
        with SyncClientContext.get_or_create() as again:
            assert again is entered
        with get_client(sync_client=True, httpx_settings={"timeout": 1}) as other:
            assert other is not entered.client


def test_code_of_an_async_task_gets_the_client_of_its_event_loop() -> None:
    async def runs() -> None:
        async with tls.AsyncClient() as entered:
            assert get_client() is entered.client
            async with AsyncClientContext.get_or_create() as again:
                assert again is entered

    with temporary_settings(ELSEWHERE):
        asyncio.run(runs())
        asyncio.run(runs())
