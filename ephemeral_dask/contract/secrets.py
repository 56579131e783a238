"""Secrets by reference: which Kubernetes Secret, and which of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

API_KEY: Final = "PREFECT_API_KEY"
"""Variable with the key of Prefect Cloud."""

AUTH_STRING: Final = "PREFECT_API_AUTH_STRING"
"""Variable with the `user:password` of a Prefect server."""

CREDENTIAL_VARIABLES: Final = (API_KEY, AUTH_STRING)
"""Variables that hold a Prefect credential: pods get them by reference, settings must not contain them."""


@dataclass(frozen=True)
class SecretRef:
    """A key of a Kubernetes Secret.

    Attributes:
        name: the Secret's name: a string, or in the Pulumi program an Output of one.
        key: the key in its data.

    """

    name: Any
    key: str

    def value_from(self) -> dict[str, Any]:
        """Return it as the `valueFrom` of a container's environment variable."""
        return {"secretKeyRef": {"name": self.name, "key": self.key}}
