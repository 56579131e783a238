"""State of the provider's process: one API per endpoint, the credentials, and which resource declares which object.

The process runs for one `pulumi up` and calls its providers on several threads.
"""

from __future__ import annotations

import fnmatch
import json
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from infra.registration import cluster_access
from infra.registration.api import PrefectApi
from infra.registration.endpoint import ApiEndpoint, PortForward, Url, from_props, key
from infra.registration.errors import RegistrationError, install_error_formatter
from infra.specs.credential import CREDENTIALS, Auth

if TYPE_CHECKING:
    import httpx
    from pulumi.dynamic import ConfigureRequest

    from infra.registration.port_forward import Tunnel

ADOPT: Final = "adopt"
"""The setting that lists what may be adopted."""

_ABSENCE: Final = 20.0
"""Seconds for which a 404 in the preview phase is trusted when the object is created."""

_CONNECTION: Final = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PREFECT_API_SSL_CERT_FILE"),
)
"""Environment variables that an HTTP client reads when it is made."""

_lock = threading.Lock()
_configuration: dict[str, str] = {}
_apis: dict[tuple[Any, ...], PrefectApi] = {}
_claims: dict[str, str] = {}
_created: set[str] = set()
_adoptable: list[str] = []
_absent: dict[str, float] = {}


def configure(request: ConfigureRequest) -> None:
    """Store the credentials of the stack's configuration. Pulumi calls this before a provider's first request."""
    install_error_formatter()
    cluster_access.configure(request)
    for _, setting in CREDENTIALS.values():
        value = request.config.get(setting)
        if value is not None:
            _configuration[setting] = str(value)
    _adoptable[:] = _patterns(request.config.get(ADOPT))


def configured(setting: str) -> str | None:
    """Return a credential of the stack's configuration, without regard to the environment."""
    return _configuration.get(setting)


def is_adoptable(name: str) -> bool:
    """Return whether the stack's configuration lets an object without an owner be adopted.

    Args:
        name: `<kind>/<key>`, such as `deployment/sales/nightly`.

    """
    # A name with brackets is listed as it is, too.
    return name in _adoptable or any(fnmatch.fnmatchcase(name, pattern) for pattern in _adoptable)


def _patterns(value: Any) -> list[str]:
    """Return the list of a setting, which the engine hands over as JSON."""
    patterns = json.loads(value) if isinstance(value, str) else value
    return [str(pattern) for pattern in patterns or ()]


def api(props: Mapping[str, Any]) -> PrefectApi:
    """Return the API at the endpoint in a resource's `reach` property."""
    endpoint = from_props(props["reach"])
    with _lock:
        if key(endpoint) not in _apis:
            _apis[key(endpoint)] = _connect(endpoint)
        return _apis[key(endpoint)]


def claim(natural_key: str, owner: str) -> None:
    """Record that a resource of the running program declares the object."""
    _claims[natural_key] = owner


def record_created(natural_key: str, owner: str) -> None:
    """Record that this process has created or adopted the object for a resource."""
    claim(natural_key, owner)
    _created.add(natural_key)


def record_absent(natural_key: str) -> None:
    """Record that the object does not exist in Prefect now."""
    _absent[natural_key] = time.monotonic()


def is_known_absent(natural_key: str) -> bool:
    """Return whether the object did not exist a moment ago. True only once, for the create that follows."""
    return time.monotonic() - _absent.pop(natural_key, -_ABSENCE) < _ABSENCE


def is_declared_elsewhere(natural_key: str, owner: str) -> bool:
    """Return whether another resource declares the object, so that deleting this resource must keep it.

    Pulumi creates a renamed or replaced resource first and deletes the old one later; in Prefect both are one object.
    Every `pulumi up` repeats the claim, so an interrupted one loses nothing.
    """
    return natural_key in _created or _claims.get(natural_key, owner) != owner


def _connect(endpoint: ApiEndpoint) -> PrefectApi:
    variable, setting = CREDENTIALS.get(endpoint.auth, ("", ""))
    tunnels: list[Tunnel] = []

    def client() -> httpx.Client:
        import httpx  # noqa: PLC0415  a no-op preview needs no HTTP

        headers = _headers(endpoint.auth)
        if isinstance(endpoint, Url):
            try:
                return httpx.Client(base_url=str(endpoint.url), headers=headers, verify=_trust())
            except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
                # Without its text, which may quote the password of a proxy.
                raise RegistrationError(
                    f"Could not connect to the Prefect API at {_address(endpoint)}",
                    why=f"its address, a proxy or a certificate file of this machine is not valid ({_kind(error)})",
                    remedy=f"correct apiUrl or what is set of {', '.join(_CONNECTION)}",
                ) from None
        from infra.registration.port_forward import Tunnel  # noqa: PLC0415  a second to import

        tunnel = Tunnel(endpoint)
        tunnels.append(tunnel)
        return httpx.Client(base_url=f"http://127.0.0.1:{tunnel.port}/api", headers=headers, trust_env=False)

    credentials = f"{variable} or the stack's {setting}" if variable else "none are declared for it"
    return PrefectApi(
        client,
        _address(endpoint),
        credentials=credentials,
        connection_error=lambda: tunnels[0].last_error if tunnels else "",
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


def _kind(error: Exception) -> str:
    return "a SOCKS proxy is not supported" if isinstance(error, ImportError) else type(error).__name__


def _trust() -> Any:
    """Return the certificates to trust: those of Prefect's own setting, else httpx's default (SSL_CERT_FILE)."""
    import ssl  # noqa: PLC0415  beside its only use

    bundle = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    return ssl.create_default_context(cafile=bundle) if bundle else True
