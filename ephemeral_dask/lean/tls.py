"""Workaround: each Prefect client reads the CA bundle again, 25 ms of processor time, and each task makes two.

https://github.com/PrefectHQ/prefect/pull/19106 offers to share the TLS context, and is open since October 2025.
https://github.com/PrefectHQ/prefect/pull/14986 measured the same cost. Until then a task here gets clients that have
the process's own TLS context. A new one is made when a setting or the file itself changes.
"""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import Any, Final

import httpx
from prefect.client.orchestration import get_client
from prefect.context import AsyncClientContext, ContextModel, SyncClientContext
from prefect.settings import get_current_settings

_KEPT: Final = 8
"""How many TLS contexts a process keeps. Each holds half a megabyte of certificates."""

_lock: Final = threading.Lock()
_contexts: Final[dict[tuple[Any, ...], ssl.SSLContext]] = {}


def shared_context() -> ssl.SSLContext:
    """Return a TLS context as Prefect's clients make it from the current settings, the same one for equal settings."""
    settings = get_current_settings().api
    insecure, path = settings.tls_insecure_skip_verify, settings.ssl_cert_file
    # Each connection writes its protocols into the TLS context, so HTTP/2 has another one.
    key = (insecure, path, file_version(path), settings.enable_http2)
    with _lock:
        context = _contexts.pop(key, None) or _made(path, insecure=insecure)
        _contexts[key] = context  # the last one is the one used last
        while len(_contexts) > _KEPT:
            del _contexts[next(iter(_contexts))]
    return context


def file_version(path: str | os.PathLike[str] | None) -> tuple[int, ...] | None:
    """Return what changes when the file is replaced or written; None without a file."""
    if path is None:
        return None
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _made(path: str | None, *, insecure: bool) -> ssl.SSLContext:
    if not insecure:
        # Without a file both take the bundle of certifi.
        return ssl.create_default_context(cafile=path) if path else httpx.create_ssl_context(trust_env=False)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class SyncClient(SyncClientContext):
    """Prefect's context with the client of a task, whose TLS context is shared."""

    def __init__(self) -> None:
        client = get_client(sync_client=True, httpx_settings={"verify": shared_context()})
        ContextModel.__init__(self, client=client)


class AsyncClient(AsyncClientContext):
    """The same for an async task. It must be made in the event loop of the task."""

    def __init__(self) -> None:
        client = get_client(sync_client=False, httpx_settings={"verify": shared_context()})
        ContextModel.__init__(self, client=client)
