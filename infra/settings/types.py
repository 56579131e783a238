"""Kinds of values that several sections of the settings take, and the base of all sections."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Final

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from ephemeral_dask.contract import quantities

MAX_LABEL: Final = 63
"""Characters of a namespace's name."""

_ADDRESS: Final = re.compile(r"https?://(?P<host>\[[0-9a-fA-F:.]+\]|[^/@\s\[\]:?#]+)(:(?P<port>\d{1,5}))?(/[^@\s]*)?")
_LAST_PORT: Final = 65535
_PATH: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?|\[[0-9a-f:]+\](?::[0-9]+)?)(?:/{_PATH})*")
_REFERENCE: Final = re.compile(
    rf"(?:(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?|\[[0-9a-f:]+\](?::[0-9]+)?)/)?{_PATH}(?:/{_PATH})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
"""Source of the notation: https://github.com/distribution/reference"""

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _dns_label(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        message = f"'{value}' is not a valid Kubernetes name: use up to 63 lower-case letters, digits and dashes"
        raise ValueError(message)
    return value


def _cpu(value: str) -> str:
    return _quantity(value, quantities.cores, "500m or 2")


def _bytes(value: str) -> str:
    return _quantity(value, quantities.memory_bytes, "512Mi or 4Gi")


def _quantity(value: str, read: Callable[[str], object], example: str) -> str:
    try:
        read(value)
    except ValueError as error:
        raise ValueError(f"{error}: write one such as {example}") from None
    return value


def _as_written(value: object) -> object:
    """Take a bare YAML number, such as `workerCpu: 2`, for the quantity that it is."""
    return quantities.text(value)


def _url(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    labels = match["host"].removesuffix(".").split(".") if match else []
    if not match or int(match["port"] or 0) > _LAST_PORT or not all(0 < len(each) <= MAX_LABEL for each in labels):
        # Without the value: a password in it would end up in a log.
        raise ValueError("is not a valid address: write http(s)://host[:port]/path, without credentials")
    return value.rstrip("/")


def _repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        # Without the value: it may contain a login.
        message = "is not the address of images: write host[:port]/path in lower case, without https:// and credentials"
        raise ValueError(message)
    return value


def _image(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        message = (
            f"{value!r} is not the name of an image: write host[:port]/path in lower case, and :tag or @sha256:..."
        )
        raise ValueError(message)
    if "@sha256:" not in value and ":" not in value.rpartition("/")[2]:
        message = (
            f"'{value}' has neither tag nor digest, so a run's code could change unnoticed: add @sha256:... or a tag"
        )
        raise ValueError(message)
    return value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        message = f"'{value}' is not an address range: write one like 10.0.0.0/8, or 10.1.2.3/32 for one address"
        raise ValueError(message) from None


def _digest(value: str) -> str:
    if not re.search(r"@sha256:[0-9a-f]{64}$", value):
        message = (
            f"'{value}' has no digest, and a tag can be moved: a preview could not show that other code runs. Write"
            " the digest that the pipeline pushed, such as registry.example.com/flow@sha256:<64 hexadecimal digits>"
        )
        raise ValueError(message)
    return value


def _switch(value: object) -> object:
    """Accept a top-level `true` as text: Pulumi writes it back that way whenever it changes the file."""
    return value == "true" if value in ("true", "false") else value


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Cpu = Annotated[str, BeforeValidator(_as_written), AfterValidator(_cpu)]
"""Cores as a Kubernetes quantity: `500m`, `2`."""
Bytes = Annotated[str, BeforeValidator(_as_written), AfterValidator(_bytes)]
"""Memory or storage as a Kubernetes quantity: `512Mi`, `4Gi`."""
Url = Annotated[str, AfterValidator(_url)]
Repository = Annotated[str, AfterValidator(_repository)]
"""Host and optional path of images in a registry."""
ImageReference = Annotated[str, AfterValidator(_image)]
ImageDigest = Annotated[str, AfterValidator(_digest), AfterValidator(_image)]
"""An image by digest, with or without its tag."""
Cidr = Annotated[str, AfterValidator(_cidr)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Model(pydantic.BaseModel):
    """A section of a stack file: frozen, camelCase in YAML, unknown keys refused."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True, strict=True
    )


class SecretKey(Model):
    """One key of a Kubernetes Secret that exists in the platform's namespace."""

    name: DnsLabel
    key: str
