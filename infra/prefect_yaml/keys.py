"""Keys of prefect.yaml that have no effect where they are. Prefect ignores them silently; here each is a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.prefect_yaml.document import READ, Document, nearest

DEPLOYMENT: Final = (
    "name",
    "version",
    "version_type",
    "tags",
    "description",
    "schedule",
    "schedules",
    "paused",
    "concurrency_limit",
    "triggers",
    "flow_name",
    "entrypoint",
    "parameters",
    "enforce_parameter_schema",
    "build",
    "push",
    "pull",
    "work_pool",
    "sla",
)
"""Keys of a deployment, those of Prefect's `DeploymentConfig`."""

WORK_POOL: Final = ("name", "work_queue_name", "job_variables")
CONCURRENCY_LIMIT: Final = ("limit", "collision_strategy", "grace_period_seconds")
SCHEDULE: Final = (
    "cron",
    "interval",
    "rrule",
    "timezone",
    "anchor_date",
    "active",
    "parameters",
    "slug",
    "replaces",
    "day_or",
)

_CONTENT: Final = ("build", "push", "pull", "deployments", "definitions")
"""Top-level keys whose content would be lost under a misspelled name."""

_OLD: Final[Mapping[str, str]] = {
    "infra_overrides": "write work_pool.job_variables, its name in Prefect 3",
    "infrastructure": "write work_pool, its name in Prefect 3",
    "work_pool_name": "write work_pool.name",
    "work_queue": "write work_pool.work_queue_name",
    "queue": "write work_pool.work_queue_name",
    "work_queue_name": "move it below work_pool",
    "job_variables": "move it below work_pool",
    "env": "move it below work_pool.job_variables",
    "image": "move it below work_pool.job_variables",
    "cron": "move it below schedules",
    "interval": "move it below schedules",
    "rrule": "move it below schedules",
    "timezone": "move it below the schedule that it is for",
    "anchor_date": "move it below the schedule that it is for",
    "day_or": "move it below the schedule that it is for",
    "slug": "move it below the schedule that it is for",
    "active": "move it below the schedule that it is for",
    "is_schedule_active": "write `paused`, or `active` below a schedule",
    "collision_strategy": "move it below concurrency_limit",
    "grace_period_seconds": "move it below concurrency_limit",
    "limit": "move it below concurrency_limit",
    "parameter_openapi_schema": "remove it: it is read from the flow's signature",
    "path": "write set_working_directory as a step of pull",
    "storage": "write a step of pull",
    "retries": "write it in the flow's decorator, @flow(retries=...)",
    "retry_delay_seconds": "write it in the flow's decorator, @flow(retry_delay_seconds=...)",
    "timeout_seconds": "write it in the flow's decorator, @flow(timeout_seconds=...)",
}
"""Keys that people write in other places than where they work, and names of earlier versions of Prefect."""


def check_top(document: Document) -> None:
    """Warn about each top-level key without effect; one that holds what would be lost is an error."""
    for key, other in document.others.items():
        near = nearest(key, (*READ, "definitions"))
        lost = [name for name in _CONTENT if near == f"did you mean '{name}'?"]
        if key == "definitions" or key.startswith("x-") or (other.used and not lost):
            continue
        if lost and other.holds_values:
            document.error((key,), f"'{key}' has no meaning at the top of the file; {near}")
        elif key in DEPLOYMENT or key in _OLD:
            document.warning((key,), f"'{key}' has no effect at the top of the file; {_move_to_deployment(key)}")
        else:
            hint = near if near.startswith("did") else "remove it"
            document.warning((key,), f"'{key}' has no effect, because Prefect does not know it; {hint}")


def ignored(key: str, where: str) -> str:
    """Return the warning about a key that has no effect below a deployment.

    Args:
        key: the key.
        where: what it is below: `a deployment`, `work_pool` or `concurrency_limit`.

    """
    known = {"work_pool": WORK_POOL, "concurrency_limit": CONCURRENCY_LIMIT}.get(where, DEPLOYMENT)
    near = nearest(key, known)
    if near.startswith("did") and key not in DEPLOYMENT and key not in _OLD:
        remedy = near
    elif where != "a deployment" and key in DEPLOYMENT:
        remedy = "move it out to the deployment itself"
    elif where == "work_pool" and key not in _OLD:
        remedy = "move it below job_variables if it is a variable of the pool's template, or remove it"
    else:
        remedy = _OLD.get(key, "remove it")
    return f"'{key}' has no effect below {where}; {remedy}"


def _move_to_deployment(key: str) -> str:
    return "move it below a deployment" if key in DEPLOYMENT else f"in a deployment, {_OLD[key]}"
