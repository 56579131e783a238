"""What other teams may build on: the stack's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pulumi import Input

CONTRACT: Final = 1
"""Raised when a field changes its meaning or goes; new fields do not raise it."""


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """Names and addresses, never a credential. All of it is the output `platform`, and each field one of its own.

    Attributes:
        namespace: where flow runs and their Dask clusters live.
        prefect_api_url: the Prefect API as a pod sees it.
        prefect_ui_url: the Prefect UI as a browser sees it.
        prefect_server_labels: labels of the pods behind an embedded server's API, for policies; empty where
            somebody else runs it.
        prefect_server_port: the port on which those listen.
        work_pool: name of the first work pool, which takes the runs of deployments that name none.
        work_pools: names of all of them.
        flow_image: image of flow runs, by digest.
        platform_image: image of server, worker and operator, by digest.
        deployments: `<flow>/<deployment>` -> its id in Prefect.

    """

    namespace: Input[str]
    prefect_api_url: Input[str]
    prefect_ui_url: Input[str]
    prefect_server_labels: Mapping[str, str]
    prefect_server_port: int
    work_pool: Input[str]
    work_pools: Mapping[str, Input[str]]
    flow_image: Input[str]
    platform_image: Input[str]
    deployments: Mapping[str, Input[str]]

    def items(self) -> Mapping[str, Any]:
        """Return output name -> value, camelCase."""
        flat = {"contract": CONTRACT} | {_camel(field.name): getattr(self, field.name) for field in fields(self)}
        return {"platform": flat, **flat}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
