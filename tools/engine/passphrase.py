"""Whether a passphrase is the one that a stack was created with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pulumi import automation
from pulumi.automation.errors import CommandError

from tools.engine.automation import output, workspace
from tools.errors import Problem
from tools.paths import ROOT


def check(stack: str, config_file: Path, environment: Mapping[str, str]) -> None:
    """Name a wrong passphrase as the cause of a command that failed.

    Args:
        stack: whose secrets it encrypts.
        config_file: of the stack.
        environment: of Pulumi's commands, with the passphrase.

    Raises:
        Problem: the passphrase is not the one of this stack.

    """
    if "encryptionsalt" not in config_file.read_text():
        return  # another provider of secrets; Pulumi itself reports what is wrong with it
    with tempfile.TemporaryDirectory() as folder:
        # Pulumi compares the passphrase with the salt only when it has something to encrypt: a value that is not a
        # secret, in a copy that is deleted.
        copy = shutil.copy(config_file, folder)
        probe = workspace(ROOT, {**environment, "PULUMI_OPTION_CONFIG_FILE": copy})
        try:
            probe.set_config(stack, "probe", automation.ConfigValue("probe", secret=True))
        except CommandError as error:
            if "passphrase" not in output(error):
                return  # the command's own error says more
            raise Problem(
                f"The passphrase is not the one that stack '{stack}' was created with",
                remedy="Set PULUMI_CONFIG_PASSPHRASE (or PULUMI_CONFIG_PASSPHRASE_FILE) to that one; for the local"
                " cluster unset both, its own passphrase is kept beside its state",
            ) from None
