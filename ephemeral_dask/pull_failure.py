"""Why a pull step failed, in one sentence without secrets."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any, Final

_LONGEST: Final = 300
"""Characters of a reason."""

_SOURCES: Final = ("repository", "bucket", "container", "url", "block_type_slug", "directory", "script")
"""Inputs of Prefect's pull steps that say where the code is, the most telling first."""

_LOGIN: Final = re.compile(r"(?<=://)[^/\s'\"]*@")
_FATAL: Final = re.compile(r"fatal: (.+?)(?: \| |$)", re.MULTILINE)
_UNREACHABLE: Final = re.compile(r"resolve host|connect to|timed out|refused|unreachable", re.IGNORECASE)


def sentence(step: Mapping[str, Any], error: BaseException) -> str:
    """Return which step failed, where its code is, why, and what to do.

    Args:
        step: as the deployment has it, without the values of its placeholders: function -> inputs.
        error: that running it raised.

    """
    function, inputs = next(iter(step.items()))
    inputs = inputs if isinstance(inputs, Mapping) else {}
    name = function.rpartition(".")[2]
    source = next((str(inputs[key]) for key in _SOURCES if inputs.get(key)), "")
    branch = next((f"{key} {inputs[each]} of " for each, key in _REVISIONS.items() if inputs.get(each)), "")
    where = f" ({branch}{_LOGIN.sub('', source)})" if source else ""
    reason = _reason(name, inputs, error)
    return f"Pull step {name}{where} failed: {reason}; {_remedy(name, reason)}"


_REVISIONS: Final = {"branch": "branch", "commit_sha": "commit"}


def _reason(name: str, inputs: Mapping[str, Any], error: BaseException) -> str:
    # Prefect keeps Git's own error only where no credentials are in use, and masks them in its own message.
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError) and cause.stderr:
        output = cause.stderr.decode(errors="replace") if isinstance(cause.stderr, bytes) else str(cause.stderr)
    else:
        output = ""
    text = str(error)
    # Prefect replaces placeholders before a step runs, so the message of any other step may repeat a secret.
    if name != "git_clone" and "{{" in str(inputs) and "not found" not in text:
        return f"it raised {type(error).__name__}"
    fatal = _FATAL.search(f"{output}\n{text}")
    text = fatal[1] if fatal else text.partition(". This block was")[0]
    text = " ".join(_LOGIN.sub("", text).split()) or type(error).__name__
    return text.rstrip(".;")[:_LONGEST]


def _remedy(name: str, reason: str) -> str:
    if reason.startswith("Block not found"):
        return "create the block in Prefect, or correct its name in prefect.yaml"
    if _UNREACHABLE.search(reason):
        return "check the address, and whether the stack's network.data lets flow pods connect to it"
    if name == "git_clone":
        return "check repository, branch and credentials of the step in prefect.yaml"
    return "correct the step in prefect.yaml; the log of the run's pod has more"
