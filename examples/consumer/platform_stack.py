"""The platform as another team sees it: its stack's output `platform`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

CONTRACT: Final = 1
"""The version of the contract that this program was written for."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What this team uses of the platform."""

    namespace: str
    prefect_api_url: str
    prefect_server_labels: Mapping[str, str]
    prefect_server_port: int
    deployments: Mapping[str, str]

    @classmethod
    def of(cls, stack: str) -> pulumi.Output[Platform]:
        """Read the stack's outputs.

        Raises (when they are known):
            pulumi.RunError: the stack is no platform, or its contract is another one.

        """
        return pulumi.StackReference(stack).require_output("platform").apply(cls._checked)

    @classmethod
    def _checked(cls, found: Any) -> Platform:
        if not isinstance(found, dict) or found.get("contract") != CONTRACT:
            theirs = found.get("contract") if isinstance(found, dict) else None
            raise pulumi.RunError(
                f"the platform's outputs follow contract {theirs}, and this program knows {CONTRACT}: read the "
                "platform's CHANGELOG for what changed, and adapt this file"
            )
        return cls(
            namespace=found["namespace"],
            prefect_api_url=found["prefectApiUrl"],
            prefect_server_labels=found["prefectServerLabels"],
            prefect_server_port=int(found["prefectServerPort"]),
            deployments=found["deployments"],
        )
