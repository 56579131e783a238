"""Runs of deployments: start one, follow it, cancel it."""

from __future__ import annotations

from tools.runs.session import text
from tools.runs.verbs import start_and_follow

__all__ = ["start_and_follow", "text"]
