"""The work pools of a stack: each with its worker, its queues and its deployments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi import Resource

from infra import capacity, job_template, naming
from infra.components.prefect_worker import PrefectWorker, PrefectWorkerArgs
from infra.job_template import JobTemplateArgs
from infra.registration.deployment import Deployment, DeploymentArgs
from infra.registration.work_pool import WorkPool, WorkPoolArgs
from infra.registration.work_queue import WorkQueue, WorkQueueArgs
from infra.settings import layers
from infra.validation import Plan
from infra.wiring.access import Access
from infra.wiring.foundation import Foundation
from infra.wiring.prefect import PrefectAccess


@dataclass(frozen=True, kw_only=True)
class WorkPools:
    """The registered work pools and what belongs to them.

    Attributes:
        pools: by name.
        queues: by `<pool>/<queue>`.
        deployments: by `<flow>/<deployment>`.
        resources: all of them, and the workers.

    """

    pools: Mapping[str, WorkPool]
    queues: Mapping[str, WorkQueue]
    deployments: Mapping[str, Deployment]
    resources: tuple[Resource, ...]


def work_pools(plan: Plan, base: Foundation, prefect: PrefectAccess, access: Access) -> WorkPools:
    """Register every work pool of the settings, and the deployments of prefect.yaml in them."""
    limits = capacity.concurrency(plan.settings)
    pools: dict[str, WorkPool] = {}
    workers: list[PrefectWorker] = []
    queues: dict[str, WorkQueue] = {}
    deployments: dict[str, Deployment] = {}
    keys = [spec.key for specs in plan.deployments.values() for spec in specs]
    names = naming.distinct({key: key.replace("/", "-") for key in keys})
    queue_names = naming.distinct(
        {f"{pool}/{queue}": f"queue-{pool}-{queue}" for pool in plan.deployments for queue in plan.queues(pool)}
    )
    for name, specs in plan.deployments.items():
        pools[name] = pool = _pool(plan, name, base, prefect, limits[name])
        workers.append(_worker(plan, name, pool, base=base, prefect=prefect, access=access))
        own_queues = _queues(plan, name, pool, prefect, queue_names)
        queues |= {f"{name}/{queue}": resource for queue, resource in own_queues.items()}
        for spec in specs:
            queue = own_queues.get(spec.work_queue_name)
            deployments[spec.key] = Deployment(
                names[spec.key],
                DeploymentArgs(
                    endpoint=prefect.endpoint,
                    spec=spec,
                    work_pool_name=pool.name,
                    work_queue_name=queue.name if queue else None,
                ),
            )
    return WorkPools(
        pools=pools,
        queues=queues,
        deployments=deployments,
        resources=(*pools.values(), *workers, *queues.values(), *deployments.values()),
    )


def _pool(plan: Plan, name: str, base: Foundation, prefect: PrefectAccess, limit: int | None) -> WorkPool:
    image = base.image.of(plan.settings.work_pools[name].image)
    return WorkPool(
        f"work-pool-{name}",
        WorkPoolArgs(
            endpoint=prefect.endpoint,
            name=name,
            base_job_template=image.apply(_template(plan, name, prefect)),
            concurrency_limit=limit,
        ),
    )


def _template(plan: Plan, pool: str, prefect: PrefectAccess) -> Callable[[str], dict[str, Any]]:
    """Return what turns the image's digest into the pool's base job template."""
    return lambda image: job_template.build(
        JobTemplateArgs.of(plan.settings, pool, image=image, credential=prefect.credential)
    )


def _worker(
    plan: Plan, name: str, pool: WorkPool, *, base: Foundation, prefect: PrefectAccess, access: Access
) -> PrefectWorker:
    return PrefectWorker(
        f"prefect-worker-{name}",
        PrefectWorkerArgs(
            namespaces=base.namespaces,
            account=access.worker_account,
            image=base.image.platform,
            api_url=prefect.api_url,
            pool=name,
            work_pool=pool.name,
            settings=plan.settings.work_pools[name].worker or plan.settings.worker,
            credential=prefect.created_credential,
            versions=prefect.versions,
            ca=layers.ca_extras(plan.settings.ca_bundle),
            ip_family=plan.settings.network.ip_family,
        ),
    )


def _queues(
    plan: Plan, pool_name: str, pool: WorkPool, prefect: PrefectAccess, names: Mapping[str, str]
) -> dict[str, WorkQueue]:
    return {
        name: WorkQueue(
            names[f"{pool_name}/{name}"],
            WorkQueueArgs(
                endpoint=prefect.endpoint,
                work_pool_name=pool.name,
                name=name,
                description=queue.description,
                concurrency_limit=queue.concurrency_limit,
                priority=queue.priority,
                is_paused=queue.paused,
            ),
        )
        for name, queue in plan.queues(pool_name).items()
    }
