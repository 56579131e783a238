"""Kinds of values that several parts of the settings take."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from infra.model import DnsLabel, Model


def _image(value: str) -> str:
    if "@sha256:" not in value and ":" not in value.rpartition("/")[2]:
        message = f"'{value}' has neither tag nor digest, so what runs could change unseen: add @sha256:... or a tag"
        raise ValueError(message)
    return value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        message = f"'{value}' is no range of addresses: write one like 10.0.0.0/8, or 10.1.2.3/32 for one address"
        raise ValueError(message) from None


def _switch(value: object) -> object:
    """Take a top-level `true` as Pulumi writes it back whenever it changes the file: as text."""
    return value == "true" if value in ("true", "false") else value


ImageReference = Annotated[str, AfterValidator(_image)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Port = Annotated[int, Field(ge=1, le=65535)]


class SecretKey(Model):
    """One key of a Kubernetes Secret that exists in the stack's namespace."""

    name: DnsLabel
    key: str
