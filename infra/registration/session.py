"""What the provider's process shares: one API per endpoint, the credentials, and who lays claim to which object.

A process lives for one `pulumi up` and calls its providers on several threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from infra.registration.api import PrefectApi
from infra.registration.endpoint import ApiEndpoint, PortForward, Url, from_props, key
from infra.registration.errors import RegistrationError, install_error_formatter
from infra.specs.credential import CREDENTIALS, Auth

if TYPE_CHECKING:
    import httpx
    from pulumi.dynamic import ConfigureRequest

_MOMENT: Final = 20.0
"""Seconds for which nobody else is expected to make an object that was looked for in vain."""

_lock = threading.Lock()
_configuration: dict[str, str] = {}
_apis: dict[tuple[Any, ...], PrefectApi] = {}
_claims: dict[str, str] = {}
_created: set[str] = set()
_absent: dict[str, float] = {}


def configure(request: ConfigureRequest) -> None:
    """Take the credentials from the stack's configuration; called before a provider's first request."""
    install_error_formatter()
    for _, setting in CREDENTIALS.values():
        value = request.config.get(setting)
        if value is not None:
            _configuration[setting] = str(value)


def api(props: Mapping[str, Any]) -> PrefectApi:
    """Return the API that a resource's `reach` property names."""
    endpoint = from_props(props["reach"])
    with _lock:
        found = _apis.get(key(endpoint))
        if found is None:
            found = _apis[key(endpoint)] = _connect(endpoint)
        return found


def claim(natural_key: str, owner: str) -> None:
    """Remember that a resource of the running program declares the object."""
    _claims[natural_key] = owner


def created(natural_key: str, owner: str) -> None:
    """Remember that this process made, or adopted, the object for a resource."""
    claim(natural_key, owner)
    _created.add(natural_key)


def absent(natural_key: str) -> None:
    """Remember that Prefect has no such object now."""
    _absent[natural_key] = time.monotonic()


def still_absent(natural_key: str) -> bool:
    """Tell whether Prefect had no such object a moment ago; true once, for who is about to make it."""
    return time.monotonic() - _absent.pop(natural_key, -_MOMENT) < _MOMENT


def must_stay(natural_key: str, owner: str) -> bool:
    """Tell whether the object lives on under another resource, so that deleting this one must not touch it.

    A resource that was renamed in the program, or replaced under the same key, is created first and deleted
    later; both are the same object in Prefect. That the claim is made again by every `pulumi up` covers an
    interrupted one.
    """
    return natural_key in _created or _claims.get(natural_key, owner) != owner


def _connect(endpoint: ApiEndpoint) -> PrefectApi:
    variable, setting = CREDENTIALS.get(endpoint.auth, ("", ""))
    complaint: list[Callable[[], str]] = []

    def client() -> httpx.Client:
        import httpx  # noqa: PLC0415  a no-op preview needs no HTTP

        headers = _headers(endpoint.auth)
        if isinstance(endpoint, Url):
            return httpx.Client(base_url=str(endpoint.url), headers=headers, verify=_trust())
        from infra.registration.port_forward import Tunnel  # noqa: PLC0415  a second to import

        tunnel = Tunnel(endpoint)
        complaint.append(tunnel.complaint)
        return httpx.Client(base_url=f"http://127.0.0.1:{tunnel.port}/api", headers=headers, trust_env=False)

    named = f"{variable} or the stack's {setting}" if variable else "none are declared for it"
    return PrefectApi(
        client,
        _address(endpoint),
        credentials=named,
        complaint=lambda: complaint[0]() if complaint else "",
    )


def _address(endpoint: ApiEndpoint) -> str:
    if isinstance(endpoint, PortForward):
        return f"service/{endpoint.service}:{endpoint.port} in namespace {endpoint.namespace}"
    return str(endpoint.url)


def _headers(auth: Auth) -> dict[str, str]:
    if auth == "none":
        return {}
    variable, setting = CREDENTIALS[auth]
    value = os.environ.get(variable) or _configuration.get(setting)
    if not value:
        raise RegistrationError(
            "The Prefect API asks for a credential",
            why=f"neither {variable} in the environment nor {setting} in the stack's configuration is set",
            remedy=f"run `pulumi config set --secret {setting}`",
        )
    if auth == "api-key":
        return {"Authorization": f"Bearer {value}"}
    import base64  # noqa: PLC0415  beside its only use

    return {"Authorization": "Basic " + base64.b64encode(value.encode()).decode()}


def _trust() -> Any:
    """Certificates to trust: Prefect's own setting, else httpx's way (which knows SSL_CERT_FILE)."""
    import ssl  # noqa: PLC0415  beside its only use

    bundle = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    return ssl.create_default_context(cafile=bundle) if bundle else True
