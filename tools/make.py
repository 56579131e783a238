"""What was typed on the command line of `make`."""

from __future__ import annotations

import os
from typing import Final

_VARIABLES: Final = "EPHEMERAL_DASK_"
"""Beginning of the names under which make exports text that a person typed, such as FLOW."""

_NO: Final = ("", "0", "no", "false")


def text(name: str) -> str:
    """Return the text of a variable such as FLOW, exactly as it was typed; empty when it was not."""
    return os.environ.get(_VARIABLES + name, "")


def is_set(name: str) -> bool:
    """Tell whether a switch such as YES, DIFF or VERBOSE is on."""
    return os.environ.get(name, "").lower() not in _NO
