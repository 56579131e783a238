"""The stack's outputs, a stable interface for other Pulumi programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pulumi import Input

CONTRACT: Final = 2
"""Version of the outputs: raised when a field changes its meaning or is removed, not when one is added."""


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """Names and addresses, never a credential. Each field is an output, and all together are the output `platform`.

    Attributes:
        namespace: of the Prefect server and the workers.
        runs_namespace: of flow runs and their Dask clusters.
        prefect_api_url: the Prefect API as a pod reaches it.
        prefect_ui_url: address of the Prefect UI in a browser.
        prefect_server_labels: labels of an embedded server's pods, for NetworkPolicies; empty without an embedded
            server.
        prefect_server_port: port of those pods.
        work_pool: name of the first work pool, that of deployments which name none.
        work_pools: names of all of them.
        flow_image: image of flow runs, by digest.
        platform_image: image of server, worker and operator, by digest.
        deployments: `<flow>/<deployment>` -> its id in Prefect.

    """

    namespace: Input[str]
    runs_namespace: Input[str]
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
