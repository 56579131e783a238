"""The stack's configuration: the tracked file, and the untracked copy that a cluster of this project's own needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from infra import project, settings, validation
from infra.prefect_yaml.load import DeploymentError
from infra.validation import Plan
from tools.errors import Problem
from tools.paths import ROOT

_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""A stack's name becomes a part of a Kubernetes namespace's, which has 63 characters at most."""


def tracked(stack: str) -> Path:
    """Return the path of the file that is in git."""
    return ROOT / f"Pulumi.{stack}.yaml"


def copy_of(stack: str, state: Path) -> Path:
    """Return the path of a cluster's copy of it, beside the Pulumi state that its encryption salt belongs to.

    Outside the clone, so that a second clone works on the same stack.
    """
    return state / "stacks" / f"Pulumi.{stack}.yaml"


def stacks() -> list[str]:
    """Return the names of the stacks that have a file."""
    return sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))


def read(stack: str) -> dict[str, Any]:
    """Read the tracked file.

    Raises:
        Problem: it does not exist, or it is not a YAML mapping.

    """
    path = tracked(stack)
    if not path.exists():
        raise Problem(
            f"There is no stack '{stack}': {path.name} does not exist",
            remedy=f"Use STACK= with one of {', '.join(stacks())}, or create it: make stack NAME={stack}",
        )
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise Problem(
            f"{path.name} is not valid YAML{line}: {getattr(error, 'problem', error)}",
            remedy="Correct that line; nothing was changed",
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise Problem(
            f"{path.name} has no `config:` with the stack's settings in it",
            remedy=f"Write `config:` and below it keys such as `{project.NAME}:image`",
        )
    return content


def check(stack: str, content: Mapping[str, Any], overrides: Mapping[str, Any]) -> settings.Settings:
    """Check the stack's settings as the program will.

    Raises:
        Problem: they are wrong.

    """
    prefix = f"{project.NAME}:"
    values = {key.removeprefix(prefix): value for key, value in content["config"].items() if key.startswith(prefix)}
    merged = _merged(values, overrides)
    secret = settings.secret_keys(merged)
    plain = {key: value for key, value in merged.items() if key not in secret}
    try:
        return validation.load_settings(plain, stack=stack)
    except settings.SettingsError as error:
        raise Problem(str(error), remedy=f"Correct Pulumi.{stack}.yaml") from None


def load_plan(stack: str, checked: settings.Settings) -> Plan:
    """Check prefect.yaml against the stack's settings as the program will, before Pulumi starts.

    Args:
        stack: its name.
        checked: its settings.

    Raises:
        Problem: prefect.yaml is wrong or does not fit the stack.

    """
    try:
        # The program prints its warnings once more.
        return validation.load_plan(ROOT, checked, stack=stack, warn=lambda _: None)
    except DeploymentError as error:
        raise Problem(str(error), remedy="Correct prefect.yaml; nothing was changed") from None
    except settings.SettingsError as error:
        raise Problem(str(error), remedy=f"Correct Pulumi.{stack}.yaml; nothing was changed") from None


def create(name: str, *, source: str) -> Path:
    """Write the file of a new stack: another stack's file with a namespace of its own.

    Args:
        name: of the new stack.
        source: stack whose file is copied, comments included.

    Raises:
        Problem: the name cannot be used, the file exists, or the source holds secrets, which belong to its own stack.

    """
    if not _NAME.fullmatch(name):
        raise Problem(
            f"'{name}' cannot be the name of a stack",
            remedy="Use up to 40 lower-case letters, digits and hyphens: make stack NAME=staging",
        )
    path = tracked(name)
    if path.exists():
        raise Problem(f"{path.name} exists already", remedy="Edit it, or choose another name")
    content = read(source)
    if "encryptionsalt" in content or any(
        isinstance(value, dict) and "secure" in value for value in content["config"].values()
    ):
        raise Problem(
            f"Pulumi.{source}.yaml holds encrypted values, which only stack '{source}' can read",
            remedy=f"Copy it to {path.name} without encryptionsalt and `secure:` values, and change its namespace",
        )
    key = f"{project.NAME}:namespace"
    namespace = f"{content['config'].get(key, 'flows')}-{name}"
    own = (f"{key}:", f"{project.NAME}:runsNamespace:")
    lines = [line for line in tracked(source).read_text().splitlines() if not line.strip().startswith(own)]
    lines.insert(lines.index("config:") + 1, f"  {key}: {namespace}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_copy(path: Path, content: Mapping[str, Any], overrides: Mapping[str, Any], salt: str | None) -> Path:
    """Write a cluster's copy, at `copy_of`: the tracked settings, the overrides, and what only the copy has.

    Secrets that were set in the copy (`pulumi config set --secret`) and its encryption salt stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = yaml.safe_load(path.read_text()) if path.exists() else None
    before = before if isinstance(before, dict) else {}
    kept = {
        key: value
        for key, value in (before.get("config") or {}).items()
        if isinstance(value, dict) and set(value) == {"secure"}
    }
    prefixed = {f"{project.NAME}:{key}": value for key, value in overrides.items()}
    copy = {**content, "config": {**kept, **_merged(content["config"], prefixed)}}
    if current := salt or before.get("encryptionsalt"):
        copy["encryptionsalt"] = current
    head = f"# Written by make from {path.name}: edit that file, not this one.\n"
    text = head + yaml.safe_dump(copy, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Put overrides over the settings, key by key where both are sections of the same kind.

    Images that another pipeline pushed are not in the registry of this project's own cluster: such a section is
    replaced as a whole.
    """
    merged = dict(values)
    for key, value in overrides.items():
        before = merged.get(key)
        same = isinstance(before, dict) and before.get("builder") in (None, value.get("builder"))
        merged[key] = {**before, **value} if same and isinstance(before, dict) else value
    return merged
