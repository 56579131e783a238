"""The platform as another team uses it: the output `platform` of its stack, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

CONTRACT: Final = 2
"""The version of the contract that this program was written for."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The outputs of the platform that this team uses."""

    namespace: str
    prefect_api_url: str
    prefect_server_labels: Mapping[str, str]
    prefect_server_port: int
    deployments: Mapping[str, str]

    @classmethod
    def of(cls, stack: str) -> pulumi.Output[Platform]:
        """Read the outputs of a stack.

        Raises (once the outputs are known):
            pulumi.RunError: the stack is not a platform, or has another contract.

        """
        return pulumi.StackReference(stack).require_output("platform").apply(cls._from_output)

    @classmethod
    def _from_output(cls, output: Any) -> Platform:
        if not isinstance(output, dict) or output.get("contract") != CONTRACT:
            theirs = output.get("contract") if isinstance(output, dict) else None
            raise pulumi.RunError(
                f"the platform's outputs follow contract {theirs}, and this program was written for {CONTRACT}: read "
                "the platform's CHANGELOG for what changed, and adapt this file"
            )
        return cls(
            namespace=output["namespace"],
            prefect_api_url=output["prefectApiUrl"],
            prefect_server_labels=output["prefectServerLabels"],
            prefect_server_port=int(output["prefectServerPort"]),
            deployments=output["deployments"],
        )
