"""When a volume is nearly full: server, flow pods and commands agree on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NEARLY_FULL: Final = 0.85
"""Share of a volume in use from which it is reported."""

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How full a volume is, in bytes as a user without privileges has them."""

    total: int
    free: int

    @classmethod
    def of(cls, folder: Path) -> Usage:
        """Ask the file system of a folder.

        Raises:
            OSError: it does not answer.

        """
        status = os.statvfs(folder)
        # Blocks that are reserved for root are neither used nor free, as `df` has it.
        used = status.f_blocks - status.f_bfree
        return cls(total=(used + status.f_bavail) * status.f_frsize, free=status.f_bavail * status.f_frsize)

    @property
    def share(self) -> float:
        """The share in use, from 0 to 1."""
        return 1 - self.free / self.total if self.total else 0.0

    @property
    def is_nearly_full(self) -> bool:
        return self.share >= NEARLY_FULL

    def __str__(self) -> str:
        return f"{self.share:.0%} full ({self.free // _MEBIBYTE} MiB of {self.total // _MEBIBYTE} MiB are free)"
