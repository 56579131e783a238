"""Keys of a stack file that are no settings, because a secret stands there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SECRETS: Final = ("prefectApiKey", "prefectAuthString", "prefectDatabaseUrl", "prefectRedisUrl")
"""Keys that hold a secret: set with `pulumi config set --secret`, never part of `Settings`."""


def secret_keys(values: Mapping[str, Any]) -> set[str]:
    """Return the keys that hold a secret and are no part of `Settings`: ours, and those that the image's build names.

    Args:
        values: as for `parse`, not checked yet.

    """
    image = values.get("image")
    named = image.get("buildSecrets") if isinstance(image, Mapping) else None
    return {*SECRETS, *(name for name in named if isinstance(name, str))} if isinstance(named, list) else {*SECRETS}
