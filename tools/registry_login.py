"""The login of a container registry: a token that it hands out, also to those without an account.

Source: the token authentication of the CNCF Distribution registry, and Docker's config.json.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

import httpx

HUB: Final = "registry-1.docker.io"
"""The host of Docker Hub's API."""

_HUB_LOGIN: Final = "https://index.docker.io/v1/"
"""Under which name Docker keeps the login of its hub."""

_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')


class RegistryAuth(httpx.Auth):
    """Answers a registry's request for a login, with what `docker login` has stored in Docker's configuration file.

    A login in a credential helper is not used: the registry then takes this client for one without an account.
    """

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, and again with the credential that the answer asks for."""
        # Not `auth_flow`: with it, httpx would read every answer into memory, and a layer is large.
        answer = yield request
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            return
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        basic = _stored(request.url.netloc.decode())
        if scheme.lower() == "basic" and basic:
            request.headers["Authorization"] = basic
            yield request
        elif scheme.lower() == "bearer":
            parameters = dict(_PARAMETER.findall(rest))
            realm = httpx.URL(parameters.pop("realm", ""))
            # A registry could send the login of another one somewhere else in clear text.
            if realm.scheme != "https" and realm.host not in ("localhost", "127.0.0.1"):
                return
            headers = {"Authorization": basic} if basic else {}
            token = yield httpx.Request("GET", realm.copy_merge_params(parameters), headers=headers)
            if token.status_code == httpx.codes.OK:
                try:
                    content = json.loads(token.read())
                except ValueError:  # a page of a proxy, for example
                    return
                request.headers["Authorization"] = f"Bearer {content.get('token') or content.get('access_token')}"
                yield request


def _stored(host: str) -> str | None:
    """Return the header of a stored login, or None."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        logins = json.loads((folder / "config.json").read_text()).get("auths", {})
    except (OSError, ValueError):
        return None
    for name in (host, f"https://{host}", *((_HUB_LOGIN,) if host == HUB else ())):
        login = logins.get(name)
        if isinstance(login, Mapping) and (auth := login.get("auth")) and _is_login(auth):
            return f"Basic {auth}"
    return None


def _is_login(auth: str) -> bool:
    try:
        return b":" in base64.b64decode(auth)
    except ValueError:
        return False
