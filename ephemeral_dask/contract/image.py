"""What the stack and its flows know of the images."""

from __future__ import annotations

from typing import Final

GROUP: Final = 10001
"""Group of the images' user. A new volume belongs to nobody else: pods that mount one ask for this group."""
