"""Prefect's plugin `ephemeral-dask`, which flow pods enable.

In the process that follows a run it forks the one that runs pull steps and flow (`ephemeral_dask/prepared_process.py`).

In the process of a flow it renews the run's lease through an outage of the server (`ephemeral_dask/leases.py`).

In the process that runs pull steps it reports a step that fails (`ephemeral_dask/pull_steps.py`).
"""

from __future__ import annotations

import os
import sys
from typing import Final

from prefect.plugins import HookContext, register_hook

from ephemeral_dask import leases, prepared_process
from ephemeral_dask.contract.environment import PLUGIN, PREPARED_PROCESS
from ephemeral_dask.flow_process import ENGINE, SUPERVISOR
from ephemeral_dask.pull_steps import reporting

_FLOW_PROCESSES: Final = frozenset({ENGINE, "prefect.flow_engine"})
"""The modules that run a flow."""


@register_hook
def setup_environment(*, ctx: HookContext) -> None:  # noqa: ARG001  Prefect passes it by name
    """Change what Prefect does in the process that follows a run, that of pull steps, and that of a flow."""
    if {"flow-run", "execute"} <= set(sys.orig_argv):
        # Another plugin may want to see each interpreter.
        if os.environ.get("PREFECT_PLUGINS_ALLOW") == PLUGIN and os.environ.get(PREPARED_PROCESS) != "false":
            prepared_process.install()
    elif SUPERVISOR in sys.orig_argv:
        from prefect.deployments.steps import core  # noqa: PLC0415  a second to import, which this process pays anyway

        core.run_step = reporting(core.run_step)
    elif not _FLOW_PROCESSES.isdisjoint(sys.orig_argv):
        leases.install()
