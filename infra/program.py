"""The Pulumi program: reads both files, registers the stack, exports its outputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pulumi

from infra import config, naming, validation
from infra.outputs import StackOutputs
from infra.prefect_yaml.load import DeploymentError
from infra.settings import EmbeddedPrefect, SettingsError
from infra.validation import Plan
from infra.wiring.access import exact_access
from infra.wiring.admission import admission
from infra.wiring.dask import dask_platform
from infra.wiring.drain import drain
from infra.wiring.foundation import Foundation, foundation
from infra.wiring.monitoring import monitoring
from infra.wiring.prefect import PrefectAccess, prefect_access
from infra.wiring.prefect_objects import prefect_objects
from infra.wiring.work_pools import WorkPools, work_pools

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with prefect.yaml and the Dockerfile."""

_FRAMES: Final = 8
"""Frames of the registration of a component, from Pulumi's innermost one to `__main__.py`; of other resources there are
more in between."""


def deploy() -> None:
    """Register the stack that `Pulumi.<stack>.yaml` and `prefect.yaml` describe, and export its outputs.

    Raises:
        pulumi.RunError: one of these files is wrong; nothing has been registered then.

    """
    with _short_stack_traces():
        plan, secrets = _read()
        base = foundation(plan, secrets)
        monitoring(plan.settings, base)
        prefect = prefect_access(plan.settings, secrets, base)
        dask = dask_platform(plan.settings, base, prefect)
        platform = [*base.resources, *admission(plan.settings, base), *dask.resources, *prefect.resources]
        access = exact_access(plan.settings, base, after=platform)
        pools = work_pools(plan, base, prefect, access)
        objects = prefect_objects(plan, prefect, pools)
        everything = [*platform, *access.resources, *pools.resources, *objects.resources]
        drain(plan.settings, base, prefect, pools, after=everything)
        for name, value in _outputs(plan, base, prefect, pools).items().items():
            pulumi.export(name, value)


@contextmanager
def _short_stack_traces() -> Iterator[None]:
    """Keep the frames of Pulumi and asyncio out of the state.

    Pulumi stores the stack trace of each registration with the resource: for a deployment a quarter of its state, most
    of which are paths of the machine. No option turns that off; the frames are those of `traceback.extract_stack()`.
    """
    before: int | None = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = _FRAMES
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


def _read() -> tuple[Plan, config.Secrets]:
    try:
        settings, secrets = config.read()
        return validation.load_plan(ROOT, settings, stack=pulumi.get_stack()), secrets
    except (SettingsError, DeploymentError) as error:
        raise pulumi.RunError(str(error)) from None


def _outputs(plan: Plan, base: Foundation, prefect: PrefectAccess, pools: WorkPools) -> StackOutputs:
    embedded = isinstance(plan.settings.prefect, EmbeddedPrefect)
    return StackOutputs(
        namespace=base.namespaces.platform,
        runs_namespace=base.namespaces.runs,
        prefect_api_url=prefect.api_url,
        prefect_ui_url=plan.settings.prefect.browser_url,
        prefect_server_labels=naming.selector(naming.SERVER) if embedded else {},
        prefect_server_port=naming.SERVER_PORT,
        work_pool=next(iter(pools.pools.values())).name,
        work_pools={name: pool.name for name, pool in pools.pools.items()},
        flow_image=base.image.flow,
        platform_image=base.image.platform,
        deployments={key: deployment.deployment_id for key, deployment in pools.deployments.items()},
    )
