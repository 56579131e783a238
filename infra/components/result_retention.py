"""The CronJob that deletes old task results from their volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, ResourceOptions

from ephemeral_dask.contract import security
from infra import naming
from infra.components import pods
from infra.naming import PROJECT

NAME: Final = "result-retention"

_RESULTS: Final = "/results"
_DEADLINE: Final = 3600
"""Seconds that one deletion may take; the next day's continues."""


@dataclass(frozen=True, kw_only=True)
class ResultRetentionArgs:
    """What is deleted when.

    Attributes:
        namespace: of the claim.
        image: the platform image.
        claim: name of the PersistentVolumeClaim.
        days: age of files that are deleted.
        account: ServiceAccount with the Secrets for pulling the image; it needs no permission.

    """

    namespace: Input[str]
    image: Input[str]
    claim: str
    days: int
    account: str


class ResultRetention(ComponentResource):
    """A pod once a day.

    Not the reaper: it would have to mount the volume, and a storage that does not answer would keep it from starting.
    """

    def __init__(self, name: str, args: ResultRetentionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:ResultRetention", name, {}, opts)
        k8s.batch.v1.CronJob(
            f"{name}-cronjob",
            metadata=naming.metadata(NAME, args.namespace),
            spec={
                "schedule": "17 3 * * *",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": _DEADLINE,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 1,
                "jobTemplate": {
                    "spec": {
                        "backoffLimit": 0,
                        "activeDeadlineSeconds": _DEADLINE,
                        "template": {"metadata": {"labels": dict(naming.labels(NAME))}, "spec": _pod(args)},
                    }
                },
            },
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _pod(args: ResultRetentionArgs) -> dict[str, Any]:
    container = {
        "name": "retention",
        "image": args.image,
        "command": ["python", "-S", "-m", "ops.result_retention", _RESULTS, f"--days={args.days}"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": security.container_security(),
        "volumeMounts": [pods.writable_mount(), {"name": "results", "mountPath": _RESULTS}],
    }
    pod = pods.pod(args.account, container)
    pod["volumes"].append({"name": "results", "persistentVolumeClaim": {"claimName": args.claim}})
    return {
        **pod,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {**security.pod_security(), **security.volume_security()},
    }
