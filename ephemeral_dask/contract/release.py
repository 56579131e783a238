"""The release of the program that wrote a work pool, and that of the package in the flow image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ephemeral_dask.contract import environment

RELEASE: Final = "0.1.0"
"""As in pyproject.toml."""


def skew(environ: Mapping[str, str]) -> str:
    """Return a sentence if the stack was deployed by another release than that of this package, or an empty string.

    An image that the program builds has its own release. One of another pipeline can have any.
    """
    program = environ.get(environment.RELEASE, RELEASE)
    if program == RELEASE:
        return ""
    return (
        f"The flow image has ephemeral_dask {RELEASE}, and the stack was deployed by release {program}, so settings of"
        f" the stack may have no effect: build the image with ephemeral_dask {program}, or update the program"
        " (docs/adopt.md)"
    )
