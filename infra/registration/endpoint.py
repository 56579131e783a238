"""The address of the Prefect API, as seen from the machine that runs Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pulumi import Input

from infra.specs.credential import Auth


@dataclass(frozen=True, kw_only=True)
class Url:
    """An API with a URL.

    Attributes:
        url: such as `https://prefect.example.com/api`.
        auth: kind of credential that it requires.

    """

    url: Input[str]
    auth: Auth = "none"


@dataclass(frozen=True, kw_only=True)
class PortForward:
    """An API inside the cluster, reached through a port-forward to a ready pod of a Service.

    Attributes:
        namespace: namespace of the Service.
        service: name of the Service.
        port: port of the Service; the port-forward connects to the matching port of the pod.
        context: kubeconfig context; the current one if unset.
        auth: kind of credential that the API requires.

    """

    namespace: Input[str]
    service: Input[str]
    port: Input[int] = 4200
    context: str | None = None
    auth: Auth = "none"


ApiEndpoint = Url | PortForward

_KINDS: Mapping[str, type[Url | PortForward]] = {"url": Url, "port-forward": PortForward}


def to_props(endpoint: ApiEndpoint) -> dict[str, Any]:
    """Return an endpoint as properties, `kind` first."""
    kind = next(name for name, class_ in _KINDS.items() if isinstance(endpoint, class_))
    fields = {name: value for name, value in vars(endpoint).items() if value is not None}
    return {"kind": kind, **fields}


def from_props(props: Mapping[str, Any]) -> ApiEndpoint:
    """Undo `to_props`. All values must be known."""
    fields = {name: value for name, value in props.items() if name != "kind"}
    if "port" in fields:
        fields["port"] = int(fields["port"])
    return _KINDS[props["kind"]](**fields)


def key(endpoint: ApiEndpoint) -> tuple[Any, ...]:
    """Return a key that two equal endpoints share."""
    return (type(endpoint).__name__, *asdict(endpoint).items())
