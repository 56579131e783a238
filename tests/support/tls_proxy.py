"""A TLS server in front of a plain one, as an ingress is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.scratch_prefect import free_port
from tools.cluster import pki


@contextlib.contextmanager
def running(port: int, certificates: Path) -> Iterator[int]:
    """Pass the connections of a new port on to another one of the loopback interface, and return the new one.

    Args:
        port: of the plain server.
        certificates: an empty folder, for `ca.crt` of a private CA and the server's certificate.

    """
    pki.ensure(certificates, [pki.Certificate(name="server", user="server")])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    secure, loop, started = free_port(), asyncio.new_event_loop(), threading.Event()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, ahead), _copy(behind, writer))

    async def serve() -> None:
        await asyncio.start_server(connect, "127.0.0.1", secure, ssl=context)
        started.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(30), "the TLS server does not start"
    try:
        yield secure
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(2**16):
            writer.write(content)
            await writer.drain()
    writer.close()
