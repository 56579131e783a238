"""Credentials of the Prefect API, and references to a key of a Kubernetes Secret. No Pulumi at run time, no Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from pulumi import Input

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
    "api-key": Credential("PREFECT_API_KEY", "prefectApiKey"),
    "auth-string": Credential("PREFECT_API_AUTH_STRING", "prefectAuthString"),
}
"""By kind. The environment has precedence: after a rotation, a destroy gets the old configuration from the state."""


@dataclass(frozen=True, kw_only=True)
class SecretRef:
    """A reference to one key of a Kubernetes Secret, never its value.

    Attributes:
        name: of the Secret.
        key: within it.

    """

    name: Input[str]
    key: str
