"""An S3 server on this machine, in memory, and what is in its buckets."""

from __future__ import annotations

import contextlib
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.support.scratch_prefect import free_port
from tools import locked_environment
from tools.cluster import pki
from tools.cluster.wait import until

BUCKET: Final = "company-flows"
"""The bucket that the documentation names."""

START: Final = 120.0
"""Seconds for the start of the server on a busy machine."""


@dataclass(frozen=True)
class S3:
    """A server that runs. It accepts every key.

    Attributes:
        url: its address, for `AWS_ENDPOINT_URL`.
        ca: the certificate of the private CA that signed the server's, or None without TLS.

    """

    url: str
    ca: Path | None = None

    def create(self, bucket: str) -> None:
        """Create an empty bucket."""
        with self._client() as client:
            client.put(f"/{bucket}").raise_for_status()

    def keys(self, bucket: str) -> list[str]:
        """Return the names of a bucket's objects."""
        with self._client() as client:
            listing = client.get(f"/{bucket}", params={"list-type": "2"})
        return re.findall("<Key>(.*?)</Key>", listing.raise_for_status().text)

    def answers(self) -> bool:
        """Return whether the server takes requests."""
        with self._client() as client, contextlib.suppress(httpx.TransportError):
            return client.get("/moto-api/").is_success
        return False

    def _client(self) -> httpx.Client:
        verify = ssl.create_default_context(cafile=self.ca) if self.ca else True
        return httpx.Client(base_url=self.url, verify=verify, trust_env=False, timeout=60)


@contextlib.contextmanager
def running(host: str = "127.0.0.1", *, certificates: Path | None = None) -> Iterator[S3]:
    """Run a server on a free port.

    Args:
        host: the address of this machine at which it listens.
        certificates: a folder for a private CA and a certificate of the server; None serves without TLS.

    """
    port = free_port()
    command = [str(locked_environment.programs("moto") / "moto_server"), "--host", host, "--port", str(port)]
    s3 = S3(f"http://{host}:{port}")
    if certificates is not None:
        pki.ensure(certificates, [pki.Certificate(name="s3", user="s3", hosts=(host,))])
        command += ["--ssl-cert", str(certificates / "s3.crt"), "--ssl-key", str(certificates / "s3.key")]
        s3 = S3(f"https://{host}:{port}", certificates / "ca.crt")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert until(s3.answers, seconds=START, interval=0.2), "the S3 server is silent"
            yield s3
        finally:
            server.terminate()
