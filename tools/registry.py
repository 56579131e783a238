"""A client of container registries: whether one answers, what it holds, and how to push an image to it.

Source: the OCI distribution specification.
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import httpx

from tools.errors import Problem
from tools.registry_login import RegistryAuth

_TIMEOUT: Final = 10.0
"""Seconds for a registry to answer a request for a manifest or for a configuration."""

_PUSH_TIMEOUT: Final = 120.0
"""Seconds for one request of a push; the largest body is a layer."""

_LOG: Final = "Read the registry's log. If it is the local cluster's, `python -m tools.cluster purge` empties it"
"""The remedy for a push that fails."""

_LOOPBACK: Final = ("localhost", "127.0.0.1")
"""Hosts with which image builders use plain HTTP."""

_MANIFESTS: Final = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.index.v1", "oci.image.manifest.v1"),
        *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
    )
)
"""The media types of manifests that this client reads: one image, or an index of several."""


def problems(registry: str) -> list[Problem]:
    """Check that a registry answers, with the request that every client sends first. A refusal is an answer.

    Args:
        registry: host, port and path, as in the setting `image.registry`. A value without a host names the builder's
            own default registry, which is not checked.

    """
    host = registry.partition("/")[0]
    if not names_host(host):
        return []
    try:
        with _client(host) as client:
            client.get("")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [
            Problem(
                f"The registry {host} does not answer ({error}), so no image can be pushed to it",
                remedy="Correct `image.registry` in the stack's file, or connect to the registry's network",
            )
        ]
    return []


def is_ready(host: str) -> bool:
    """Return whether a registry accepts requests without a login.

    Args:
        host: host and port.

    """
    try:
        with _client(host) as client:
            return client.get("").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def read(repository: str, kind: str, key: str) -> Mapping[str, Any]:
    """Return a manifest, or a blob that is JSON.

    Args:
        repository: host and path, without tag and digest.
        kind: `manifests` or `blobs`.
        key: a digest, or the tag of a manifest.

    Raises:
        Problem: the registry does not have it, does not answer, or requires a login.

    """
    with _request(repository, kind, key) as answer:
        answer.read()
        try:
            content: Mapping[str, Any] = answer.json()
        except ValueError as error:
            raise _silent(answer.url.netloc.decode(), error) from None
    return content


def digest(repository: str, tag: str) -> str:
    """Return the digest of the manifest behind a tag.

    Args:
        repository: host and path, without tag.
        tag: the tag.

    Raises:
        Problem: the registry does not have it, does not answer, or requires a login.

    """
    with _request(repository, "manifests", tag) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


@contextmanager
def blob(repository: str, key: str) -> Iterator[IO[bytes]]:
    """Provide a blob as a file that is deleted afterwards; a layer can be larger than the memory.

    Args:
        repository: host and path, without tag and digest.
        key: the digest.

    Raises:
        Problem: the registry does not have it, does not answer, or requires a login.

    """
    with tempfile.TemporaryFile() as file:
        with _request(repository, "blobs", key) as answer:
            for part in answer.iter_bytes():
                file.write(part)
        file.seek(0)
        yield file


@contextmanager
def _request(repository: str, kind: str, key: str) -> Iterator[httpx.Response]:
    host, path = _split(repository, inspect=f"--raw {repository}")
    headers = {"Accept": _MANIFESTS if kind == "manifests" else "*/*"}
    try:
        with (
            _client(host, auth=RegistryAuth()) as client,
            client.stream("GET", f"{path}/{kind}/{key}", headers=headers) as answer,
        ):
            answer.raise_for_status()
            yield answer
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        remedy = "Check that the name is right and, for an image of the stack, that it is up: `make up`"
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            image = f"{repository}{'@' if ':' in key else ':'}{key}"
            remedy = f"Log in and inspect it with the builder: `docker buildx imagetools inspect --raw {image}`"
        raise Problem(f"The registry {host} answers HTTP {status} for {path}, {kind} {key}", remedy=remedy) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _silent(host, error) from None


def _silent(host: str, error: Exception) -> Problem:
    return Problem(
        f"The registry {host} does not answer ({error})",
        remedy="Connect to the registry's network; `make cluster-up` starts the local cluster's registry",
    )


def has_manifest(reference: str) -> bool:
    """Return whether the registry has an image.

    Args:
        reference: `<repository>@<digest>`.

    Raises:
        Problem: the registry does not answer, or requires a login.

    """
    repository, _, digest = reference.partition("@")
    host, path = _split(repository, inspect=reference)
    try:
        with _client(host, auth=RegistryAuth()) as client:
            status = client.head(f"{path}/manifests/{digest}", headers={"Accept": _MANIFESTS}).status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Problem(
            f"The registry {host} does not answer ({error})", remedy="Connect to the registry's network"
        ) from None
    if status in (httpx.codes.OK, httpx.codes.NOT_FOUND):
        return bool(status == httpx.codes.OK)
    raise Problem(
        f"The registry {host} answers HTTP {status} for {path}",
        remedy=f"Log in and inspect it with the builder: `docker buildx imagetools inspect {reference}`",
    )


def push(
    host: str, name: str, *, manifest: bytes, media_type: str, digest: str, blobs: Iterable[tuple[str, Path]]
) -> None:
    """Push an image with the tag `latest`, unless the registry has it.

    Args:
        host: host and port.
        name: the repository on that host.
        manifest: the image's manifest.
        media_type: the manifest's.
        digest: the manifest's.
        blobs: digest and file of the configuration and of each layer.

    Raises:
        Problem: the registry does not answer or refuses a request.

    """
    try:
        with _client(host, timeout=_PUSH_TIMEOUT) as client:
            if client.head(f"{name}/manifests/{digest}", headers={"Accept": media_type}).status_code == httpx.codes.OK:
                return
            for blob, file in blobs:
                if client.head(f"{name}/blobs/{blob}").status_code != httpx.codes.OK:
                    _upload(client, name, blob, file)
            answer = client.put(f"{name}/manifests/latest", content=manifest, headers={"Content-Type": media_type})
            _expect(httpx.codes.CREATED, answer, name)
    except httpx.TransportError as error:
        raise Problem(
            f"The registry {host} stopped answering ({error}) while the image {name} was pushed", remedy=_LOG
        ) from None


def _upload(client: httpx.Client, name: str, digest: str, file: Path) -> None:
    session = client.post(f"{name}/blobs/uploads/")
    _expect(httpx.codes.ACCEPTED, session, name)
    # The registry chooses the address of the upload, and its query has to be kept.
    target = session.url.join(session.headers["Location"]).copy_merge_params({"digest": digest})
    answer = client.put(target, content=file.read_bytes(), headers={"Content-Type": "application/octet-stream"})
    _expect(httpx.codes.CREATED, answer, name)


def _expect(status: int, answer: httpx.Response, name: str) -> None:
    if answer.status_code != status:
        raise Problem(
            f"The registry {answer.url.netloc.decode()} answers HTTP {answer.status_code} instead of {status} "
            f"to {answer.request.method} while the image {name} is pushed",
            remedy=_LOG,
        )


def _split(repository: str, *, inspect: str) -> tuple[str, str]:
    """Return host and path of a repository; `inspect` is what a builder could look at instead."""
    host, _, path = repository.partition("/")
    if not names_host(host):
        raise Problem(
            f"The image {repository} does not name a registry, so its manifest cannot be requested",
            remedy=f"Inspect it with the builder: `docker buildx imagetools inspect {inspect}`",
        )
    return host, path


def names_host(part: str) -> bool:
    """Return whether the first part of a reference is a host, and not a folder of the builder's default registry."""
    return "." in part or ":" in part or part in _LOOPBACK


def _client(host: str, *, timeout: float = _TIMEOUT, auth: httpx.Auth | None = None) -> httpx.Client:
    loopback = host.partition(":")[0] in _LOOPBACK
    return httpx.Client(
        base_url=f"{'http' if loopback else 'https'}://{host}/v2/",
        # The operating system's certificate authorities: a company's own is installed there.
        verify=ssl.create_default_context(),
        # A proxy cannot reach this machine's loopback interface.
        trust_env=not loopback,
        follow_redirects=True,
        auth=auth,
        timeout=timeout,
    )
