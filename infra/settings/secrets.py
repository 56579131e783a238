"""Keys of a stack file that hold a secret, and so are not part of `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.specs.credential import CREDENTIALS

DATABASE_URL: Final = "prefectDatabaseUrl"
REDIS_URL: Final = "prefectRedisUrl"

SECRETS: Final = (*(credential.key for credential in CREDENTIALS.values()), DATABASE_URL, REDIS_URL)
"""Keys that hold a secret: set with `pulumi config set --secret`, never part of `Settings`."""


def secret_keys(values: Mapping[str, Any]) -> set[str]:
    """Return the keys that hold a secret: the project's own, and those that `image.buildSecrets` names.

    Args:
        values: as for `parse`, before any check.

    """
    image = values.get("image")
    names = image.get("buildSecrets") if isinstance(image, Mapping) else None
    return {*SECRETS, *(name for name in names if isinstance(name, str))} if isinstance(names, list) else {*SECRETS}
