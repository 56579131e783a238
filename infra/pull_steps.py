"""What the pull steps of deployments need from the stack: Git in the flow image, and a way to the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from infra.settings import EmbeddedPrefect, Settings
from infra.specs.deployment import DeploymentSpec

_GIT: Final = "git_clone"
"""The pull step of Prefect that needs Git, in any of the ways to write its name."""

_PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_LOGIN: Final = re.compile(r"https?://(?P<login>[^/@]+)@")
_SHORTEST_TOKEN: Final = 20
"""Characters. A token of GitHub or GitLab can stand in the place of a user's name."""

_SCP_LIKE: Final = re.compile(r"[\w.-]+@(?P<host>[\w.-]+):(?!//)")

Deployments = Mapping[str, tuple[DeploymentSpec, ...]]
"""Work pool -> its deployments."""


def images_with_git(settings: Settings, deployments: Deployments) -> frozenset[str | None]:
    """Return the names of the flow images whose runs clone a repository; None is the image without a name."""
    return frozenset(
        settings.work_pools[pool].image for pool, specs in deployments.items() for spec in specs if list(_clones(spec))
    )


def warnings(settings: Settings, deployments: Deployments) -> list[str]:
    """Return a sentence, without full stop, for each repository that runs cannot reach or whose login all can read."""
    logins = (
        f"{spec.location}: deployment '{spec.key}' has a login in the address of a repository, which everyone with"
        " access to Prefect can read: remove it, and name a secret block in access_token"
        for specs in deployments.values()
        for spec in specs
        if any(map(_has_login, _clones(spec)))
    )
    return [*dict.fromkeys(logins), *_network_warnings(settings, deployments)]


def _has_login(repository: str) -> bool:
    match = _LOGIN.match(repository)
    user, _, password = re.sub("{{.*?}}", "", match["login"] if match else "").partition(":")
    return bool(password) or len(user) >= _SHORTEST_TOKEN


def _network_warnings(settings: Settings, deployments: Deployments) -> list[str]:
    network = settings.network
    if not network.policies:
        return []
    # Flow pods connect to the Kubernetes API and to Prefect as well.
    peers = [
        *network.data,
        *(network.api_server or ()),
        *(() if isinstance(settings.prefect, EmbeddedPrefect) else network.prefect),
    ]
    open_ports = {port for peer in peers for port in peer.ports}
    warnings = []
    for spec in (each for specs in deployments.values() for each in specs):
        for repository in _clones(spec):
            host, port = _address(repository)
            if port is not None and port not in open_ports:
                warnings.append(
                    f"{spec.location}: deployment '{spec.key}' clones from {host}, and no flow pod may connect to port"
                    f" {port}: add `{{cidr: <addresses of {host}>, ports: [{port}]}}` to network.data"
                )
    return list(dict.fromkeys(warnings))


def _clones(spec: DeploymentSpec) -> Iterator[str]:
    """Yield the repositories of a deployment's pull steps."""
    for step in spec.pull_steps:
        for function, inputs in step.items():
            if _GIT in str(function):
                yield str(inputs.get("repository", "")) if isinstance(inputs, Mapping) else ""


def _address(repository: str) -> tuple[str, int | None]:
    """Return host and TCP port, or no port if the address does not show one, as with a placeholder or a local path."""
    if match := _SCP_LIKE.match(repository):
        return match["host"], _PORTS["ssh"]
    try:
        parts = urlsplit(repository)
        return parts.hostname or "", (parts.port or _PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return "", None
