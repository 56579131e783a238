"""The flow with which `make verify` tests a stack: names that the command and the flow image share."""

from __future__ import annotations

from typing import Final

FLOW: Final = "ephemeral-dask-verification"
"""Name of the flow in Prefect while a verification runs."""

ENTRYPOINT: Final = "ephemeral_dask.verification.verify_stack"
"""What the flow pod loads: the module is part of the package in every flow image."""

NUMBERS: Final = 4
"""Tasks of one run."""

RESULT: Final = sum(number * number for number in range(NUMBERS))
"""What a run returns whose tasks have all been computed."""
