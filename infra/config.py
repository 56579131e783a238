"""The stack's configuration as Pulumi has it: the settings, and whether the secrets that they need are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from infra import naming, settings


def read() -> settings.Settings:
    """Return the stack's settings.

    Raises:
        SettingsError: naming every wrong key at once, or one that holds a secret and must not.

    """
    return settings.parse(_plain(), stack=pulumi.get_stack())


def check_secrets(chosen: settings.Settings) -> None:
    """Refuse a stack whose secrets are nowhere, before anything is changed.

    Raises:
        SettingsError: naming the key, and the two ways to give it.

    """
    config = pulumi.Config()
    for key, why, existing in _needed(chosen.prefect):
        if config.get_secret(key) is None:
            raise settings.SettingsError(
                f"{naming.PROJECT}:{key} is not set, and {why}: run `pulumi config set --secret {key}` and paste it, or"
                f" name an existing Secret of the namespace as {existing}"
            )
    for name in _named(chosen):
        if config.get_secret(name) is None:
            why = "is not set, and image.buildSecrets names it"
        elif not pulumi.runtime.is_config_secret(f"{naming.PROJECT}:{name}"):
            why = "stands in clear, and image.buildSecrets names it"
        else:
            continue
        raise settings.SettingsError(
            f"Pulumi.{pulumi.get_stack()}.yaml: {naming.PROJECT}:{name} {why}: put the value into a file and run"
            f" `pulumi config set --secret {name} < FILE`"
        )


def _needed(prefect: settings.Prefect) -> Iterator[tuple[str, str, str]]:
    """Give each secret that must be set: its key, why, and the key that names an existing Secret instead."""
    if isinstance(prefect, settings.CloudPrefect) and not prefect.key_secret:
        yield "prefectApiKey", "Prefect Cloud asks for an API key", "prefect.keySecret"
    if not isinstance(prefect, settings.EmbeddedPrefect):
        return
    if isinstance(prefect.database, settings.Postgresql) and not prefect.database.url_secret:
        yield "prefectDatabaseUrl", "PostgreSQL needs an address", "prefect.database.urlSecret"
    if prefect.redis is not None and not prefect.redis.url_secret:
        yield "prefectRedisUrl", "Redis needs an address", "prefect.redis.urlSecret"


def build_secrets(chosen: settings.Settings) -> dict[str, pulumi.Output[str]]:
    """Return the values of the build secrets that the stack names, by id."""
    return {name: pulumi.Config().require_secret(name) for name in _named(chosen)}


def _named(chosen: settings.Settings) -> tuple[str, ...]:
    return chosen.image.build_secrets if isinstance(chosen.image, settings.DockerBuild) else ()


def _plain() -> Mapping[str, Any]:
    """Return the project's own configuration values, secrets left out.

    All of them, not those that we know: a misspelt key must be refused, not passed over.
    """
    found = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{naming.PROJECT}:"
    ours = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    hidden = {name for name in ours if pulumi.runtime.is_config_secret(f"{prefix}{name}")}
    clear = {name: _decoded(value) for name, value in ours.items() if name not in hidden}
    secret = settings.secret_keys(clear)
    if misplaced := sorted(hidden - secret):
        raise settings.SettingsError(settings.no_place_for_a_secret(misplaced[0]))
    return {name: value for name, value in clear.items() if name not in secret}


def _decoded(value: str) -> Any:
    return json.loads(value) if value.startswith(("{", "[")) else value
