"""Addresses of the two families of IP, for processes that listen and for NetworkPolicies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

IpFamily = Literal["IPv4", "IPv6"]


@dataclass(frozen=True)
class Addresses:
    """Addresses of one family.

    Attributes:
        listen: all addresses of a pod. Python's servers do not listen on IPv4 with that of IPv6, whatever the kernel
            allows.
        listen_in_url: the same as a part of a URL.
        loopback_in_url: the pod itself.
        anywhere: all addresses as a range.

    """

    listen: str
    listen_in_url: str
    loopback_in_url: str
    anywhere: str


ADDRESSES: Final[dict[IpFamily, Addresses]] = {
    "IPv4": Addresses("0.0.0.0", "0.0.0.0", "127.0.0.1", "0.0.0.0/0"),  # noqa: S104  a pod's own network
    "IPv6": Addresses("::", "[::]", "[::1]", "::/0"),
}
