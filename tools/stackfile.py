"""The stack's configuration: the tracked file, and the untracked copy that the local cluster needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra import settings
from tools.errors import Problem
from tools.paths import PROJECT, ROOT, state_dir


def tracked(stack: str) -> Path:
    """Path of the file that is in git."""
    return ROOT / f"Pulumi.{stack}.yaml"


def local_copy(stack: str) -> Path:
    """Path of the local cluster's copy of it, beside the state that its encryption salt belongs to.

    Outside the clone, so that a second clone works on the same stack.
    """
    return state_dir() / "stacks" / f"Pulumi.{stack}.yaml"


def stacks() -> list[str]:
    """Names of the stacks that have a file."""
    return sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


def read(stack: str) -> dict[str, Any]:
    """Read the tracked file.

    Raises:
        Problem: there is none, or it is no YAML mapping.

    """
    path = tracked(stack)
    if not path.exists():
        raise Problem(
            f"There is no stack '{stack}': {path.name} does not exist",
            remedy=f"Use one of {', '.join(stacks())}, or copy one of their files to {path.name} and edit it",
        )
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise Problem(
            f"{path.name} is not valid YAML{line}: {getattr(error, 'problem', error)}",
            remedy="Mend that line; nothing was changed",
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise Problem(
            f"{path.name} has no `config:` with the stack's settings in it",
            remedy=f"Write them as `config:` and below it keys like `{PROJECT}:image`",
        )
    return content


def check(stack: str, content: Mapping[str, Any], overrides: Mapping[str, Any]) -> settings.Settings:
    """Check the stack's settings as the program will.

    Raises:
        Problem: they are wrong.

    """
    prefix = f"{PROJECT}:"
    values = {key.removeprefix(prefix): value for key, value in content["config"].items() if key.startswith(prefix)}
    merged = _merged(values, overrides)
    secret = settings.secret_keys(merged)
    plain = {key: value for key, value in merged.items() if key not in secret}
    try:
        return settings.parse(plain, stack=stack)
    except settings.SettingsError as error:
        raise Problem(str(error), remedy=f"Mend Pulumi.{stack}.yaml") from None


def write_copy(stack: str, content: Mapping[str, Any], overrides: Mapping[str, Any], salt: str | None) -> Path:
    """Write the local cluster's copy: the tracked settings, the overrides, and what only the copy holds.

    Secrets that were set in the copy (`pulumi config set --secret`) and its encryption salt stay.
    """
    path = local_copy(stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = yaml.safe_load(path.read_text()) if path.exists() else None
    before = before if isinstance(before, dict) else {}
    kept = {
        key: value
        for key, value in (before.get("config") or {}).items()
        if isinstance(value, dict) and set(value) == {"secure"}
    }
    prefixed = {f"{PROJECT}:{key}": value for key, value in overrides.items()}
    copy = {**content, "config": {**kept, **_merged(content["config"], prefixed)}}
    if found := salt or before.get("encryptionsalt"):
        copy["encryptionsalt"] = found
    head = f"# Made by make from {tracked(stack).name}: edit that file, not this one.\n"
    text = head + yaml.safe_dump(copy, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put overrides over the settings, key by key where both are sections of the same kind.

    Images that another pipeline pushed are not in the local cluster's registry: such a section gives way as a whole.
    """
    found = dict(values)
    for key, value in overrides.items():
        before = found.get(key)
        same = isinstance(before, dict) and before.get("builder") in (None, value.get("builder"))
        found[key] = {**before, **value} if same and isinstance(before, dict) else value
    return found
