"""The stack's configuration as Pulumi has it: settings and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import Output

from infra import project, settings, validation
from infra.specs.credential import CREDENTIALS


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The stack's secrets. Pulumi marks each as secret, so that no log, diff or output shows it.

    Attributes:
        api_key: of Prefect Cloud, where it is set.
        auth_string: of a Prefect server, `user:password`, where it is set.
        database_url: of an embedded server's PostgreSQL, where it is set.
        redis_url: of an embedded server's Redis, where it is set.
        build: id -> value of the build secrets that the stack names.

    """

    api_key: Output[str] | None
    auth_string: Output[str] | None
    database_url: Output[str] | None
    redis_url: Output[str] | None
    build: Mapping[str, Output[str]]


def read() -> tuple[settings.Settings, Secrets]:
    """Return the stack's settings and secrets.

    Raises:
        SettingsError: naming every wrong key, a secret under a key that others can read, or a secret that is missing.

    """
    checked = validation.load_settings(_plain(), stack=pulumi.get_stack())
    _check_secrets(checked)
    config = pulumi.Config()
    return checked, Secrets(
        api_key=config.get_secret(CREDENTIALS["api-key"].key),
        auth_string=config.get_secret(CREDENTIALS["auth-string"].key),
        database_url=config.get_secret(settings.DATABASE_URL),
        redis_url=config.get_secret(settings.REDIS_URL),
        build={name: config.require_secret(name) for name in _build_secrets(checked)},
    )


def _check_secrets(checked: settings.Settings) -> None:
    """Refuse a stack whose secrets are missing, contradict its settings, or are readable in its file."""
    config = pulumi.Config()
    errors = [
        f"{key}: is not set, and {why}: run `pulumi config set --secret {key}` and paste it, or"
        f" name an existing Secret of the platform's namespace as {existing}"
        for key, why, existing in _required(checked)
        if config.get_secret(key) is None
    ]
    password = CREDENTIALS["auth-string"].key
    prefect = checked.prefect
    if isinstance(prefect, settings.EmbeddedPrefect) and prefect.auth == "none" and config.get_secret(password):
        errors.append(f"{password}: is set, and prefect.auth is none: remove one of them")
    for name in _build_secrets(checked):
        if config.get_secret(name) is None:
            why = "is not set, and image.buildSecrets names it"
        elif not pulumi.runtime.is_config_secret(f"{project.NAME}:{name}"):
            why = "is not encrypted, and image.buildSecrets names it"
        else:
            continue
        errors.append(f"{name}: {why}: put the value into a file and run `pulumi config set --secret {name} < FILE`")
    if errors:
        raise settings.SettingsError(settings.invalid(pulumi.get_stack(), errors))


def _required(checked: settings.Settings) -> Iterator[tuple[str, str, str]]:
    """Yield each secret that must be set: its key, why, and the key that names an existing Secret instead."""
    prefect = checked.prefect
    if isinstance(prefect, settings.CloudPrefect) and not prefect.key_secret:
        yield CREDENTIALS["api-key"].key, "Prefect Cloud requires an API key", "prefect.keySecret"
    if not isinstance(prefect, settings.EmbeddedPrefect):
        return
    if isinstance(prefect.database, settings.Postgresql) and not prefect.database.url_secret:
        yield settings.DATABASE_URL, "the server needs the address of PostgreSQL", "prefect.database.urlSecret"
    if prefect.redis is not None and not prefect.redis.url_secret:
        yield settings.REDIS_URL, "the server needs the address of Redis", "prefect.redis.urlSecret"
    if prefect.auth == "password" and not prefect.auth_secret:
        keys = checked.needs_password
        why = "without a password, user:password, everyone who reaches the Prefect server can run code"
        why += f", and {keys[0]} is set" if keys else ""
        existing = "prefect.authSecret" + ("" if keys else ", or write `auth: none` in prefect to go without")
        yield CREDENTIALS["auth-string"].key, why, existing


def _build_secrets(checked: settings.Settings) -> tuple[str, ...]:
    return checked.image.build_secrets if isinstance(checked.image, settings.DockerBuild) else ()


def _plain() -> Mapping[str, Any]:
    """Return the project's own configuration values without secrets.

    All of them and not only the known keys: a misspelt key must be refused instead of ignored.
    """
    values = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{project.NAME}:"
    own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    encrypted = {name for name in own if pulumi.runtime.is_config_secret(f"{prefix}{name}")}
    readable = {name: _decode(value) for name, value in own.items() if name not in encrypted}
    secret = settings.secret_keys(readable)
    if misplaced := sorted(encrypted - secret):
        raise settings.SettingsError(settings.no_place_for_a_secret(misplaced[0]))
    return {name: value for name, value in readable.items() if name not in secret}


def _decode(value: str) -> Any:
    return json.loads(value) if value.startswith(("{", "[")) else value
