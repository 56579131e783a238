"""Where the Prefect API is, seen from the machine that runs Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pulumi import Input

from infra.specs.credential import Auth


@dataclass(frozen=True, kw_only=True)
class Url:
    """An API that answers at an address.

    Attributes:
        url: the address, such as `https://prefect.example.com/api`.
        auth: the kind of credential it asks for.

    """

    url: Input[str]
    auth: Auth = "none"


@dataclass(frozen=True, kw_only=True)
class PortForward:
    """An API that is not exposed, behind a port-forward of the Kubernetes API to a ready pod of a Service.

    Attributes:
        namespace: of the Service.
        service: its name.
        port: its port; a port-forward itself speaks to the pod's port that stands behind it.
        context: of the kubeconfig; the current one when unset.
        auth: the kind of credential the API asks for.

    """

    namespace: Input[str]
    service: Input[str]
    port: Input[int] = 4200
    context: str | None = None
    auth: Auth = "none"


ApiEndpoint = Url | PortForward

_KINDS: Mapping[str, type[Url | PortForward]] = {"url": Url, "port-forward": PortForward}


def to_props(endpoint: ApiEndpoint) -> dict[str, Any]:
    """Return the endpoint as plain properties, `kind` first."""
    kind = next(name for name, arm in _KINDS.items() if isinstance(endpoint, arm))
    fields = {name: value for name, value in vars(endpoint).items() if value is not None}
    return {"kind": kind, **fields}


def from_props(props: Mapping[str, Any]) -> ApiEndpoint:
    """Undo `to_props`, for values that are known."""
    fields = {name: value for name, value in props.items() if name != "kind"}
    if "port" in fields:
        fields["port"] = int(fields["port"])
    return _KINDS[props["kind"]](**fields)


def key(endpoint: ApiEndpoint) -> tuple[Any, ...]:
    """Return what tells two reaches apart."""
    return (type(endpoint).__name__, *asdict(endpoint).items())
