"""Upstream workaround: Pulumi's automatic debug log, which no option turns off.

Each command writes every property of every resource to a compressed and encrypted file, up to 500 MB. That takes
about half of the processor time of a preview that changes nothing. A variable to opt out was planned and did not come:
https://github.com/pulumi/pulumi/issues/22416, https://github.com/pulumi/pulumi/pull/23731. Pulumi continues without the
log where `logs` in its home is not a folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path


def disable(home: Path) -> None:
    """Put a file where Pulumi would create the folder of its automatic logs, and delete what is in there.

    Args:
        home: a PULUMI_HOME that belongs to this project; never the user's own.

    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs)
    home.mkdir(parents=True, exist_ok=True)
    logs.touch()
