"""The verb that runs a deployment."""

from __future__ import annotations

import argparse

from tools import runs
from tools.errors import Problem
from tools.forward import prefect_api
from tools.verbs.common import Selection, require_up, select


def run(arguments: argparse.Namespace) -> int:
    """Run a deployment, follow its logs, end with its state."""
    if not arguments.flow:
        raise Problem("FLOW is not set", remedy="Write: make run FLOW=<flow>/<deployment> PARAMS='name=value'")
    parameters = runs.parameters(arguments.parameters)
    selection = select(arguments)
    require_up(selection)
    return start_and_follow(selection, arguments.flow, parameters)


def start_and_follow(selection: Selection, deployment: str, parameters: dict[str, object]) -> int:
    """Run a deployment to its end and return the exit status."""
    environment = selection.target.run_environment()
    credential = selection.stack.credential(selection.settings.prefect)
    with prefect_api(selection.settings, environment) as url:
        worked = runs.run(
            deployment,
            parameters,
            api_url=url,
            credential=credential,
            namespace=selection.settings.namespace,
            environment=environment,
        )
    return 0 if worked else 1
