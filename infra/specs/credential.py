"""Credentials of the Prefect API: the kinds, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from ephemeral_dask.contract import secrets

Auth = Literal["none", "api-key", "auth-string"]
"""The kind of credential that a Prefect API requires."""


class Credential(NamedTuple):
    """Where the credential of one kind comes from.

    Attributes:
        variable: environment variable from which Prefect reads it.
        key: of the stack's configuration.

    """

    variable: str
    key: str


CREDENTIALS: Final[Mapping[Auth, Credential]] = {
    "api-key": Credential(secrets.API_KEY, "prefectApiKey"),
    "auth-string": Credential(secrets.AUTH_STRING, "prefectAuthString"),
}
"""By kind. The environment takes precedence: after a rotation, a destroy gets the old configuration from the state."""
