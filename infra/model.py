"""What every part of a stack's settings is built of."""

from __future__ import annotations

import re
from typing import Annotated

import pydantic
from pydantic import AfterValidator, BeforeValidator
from pydantic.alias_generators import to_camel

from ephemeral_dask.contract import quantities

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _dns_label(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        message = f"'{value}' is no Kubernetes name: use up to 63 lower-case letters, digits and dashes"
        raise ValueError(message)
    return value


def _cpu(value: str) -> str:
    quantities.cores(value)
    return value


def _bytes(value: str) -> str:
    quantities.memory_bytes(value)
    return value


def _as_written(value: object) -> object:
    """Take a bare YAML number, such as `workerCpu: 2`, for the quantity that it is."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", value):
        # Without the value: whoever wrote a password into it would find it in a log.
        raise ValueError("this is no address that can be used: write http(s)://host[:port]/path, without credentials")
    return value.rstrip("/")


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Cpu = Annotated[str, BeforeValidator(_as_written), AfterValidator(_cpu)]
"""Cores as a Kubernetes quantity: `500m`, `2`."""
Bytes = Annotated[str, BeforeValidator(_as_written), AfterValidator(_bytes)]
"""Memory or storage as a Kubernetes quantity: `512Mi`, `4Gi`."""
Url = Annotated[str, AfterValidator(_url)]


class Model(pydantic.BaseModel):
    """Frozen, camelCase in YAML, unknown keys refused."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True, strict=True
    )
