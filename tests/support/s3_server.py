"""An S3 server on this machine, in memory, and what is in its buckets."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

from tests.support import locked_environment
from tests.support.scratch_prefect import answers, free_port
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

    """

    url: str

    def create(self, bucket: str) -> None:
        """Create an empty bucket."""
        httpx.put(f"{self.url}/{bucket}", trust_env=False, timeout=60).raise_for_status()

    def keys(self, bucket: str) -> list[str]:
        """Return the names of a bucket's objects."""
        listing = httpx.get(f"{self.url}/{bucket}", params={"list-type": "2"}, trust_env=False, timeout=60)
        return re.findall("<Key>(.*?)</Key>", listing.raise_for_status().text)


@contextlib.contextmanager
def running(host: str = "127.0.0.1") -> Iterator[S3]:
    """Run a server on a free port.

    Args:
        host: the address of this machine at which it listens.

    """
    port = free_port()
    command = [str(locked_environment.programs("moto") / "moto_server"), "--host", host, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://{host}:{port}"
            assert until(lambda: answers(f"{url}/moto-api/"), seconds=START, interval=0.2), "the S3 server is silent"
            yield S3(url)
        finally:
            server.terminate()
