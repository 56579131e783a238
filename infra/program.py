"""The whole stack: the only wiring, and the only exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from infra import deployments, job_template, naming, settings
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.components.namespace import FlowNamespace, FlowNamespaceArgs
from infra.components.prefect_credential import PrefectCredential
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.prefect_worker import PrefectWorker, PrefectWorkerArgs
from infra.outputs import StackOutputs
from infra.registration import Deployment, DeploymentArgs, WorkPool, WorkPoolArgs

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with prefect.yaml and the Dockerfile."""


def deploy() -> None:
    """Make the stack that `Pulumi.<stack>.yaml` and `prefect.yaml` describe.

    Raises:
        pulumi.RunError: when either of them is wrong; nothing has been registered then.

    """
    try:
        chosen = settings.parse(_configuration(), stack=pulumi.get_stack())
        declared = deployments.load(ROOT / "prefect.yaml", overrides=chosen.deployments)
    except (settings.SettingsError, deployments.DeploymentError) as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in _stack(chosen, declared).items().items():
        pulumi.export(name, value)
