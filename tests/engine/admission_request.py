"""A request about the namespace of runs as any user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from ephemeral_dask.contract import dask
from infra import naming
from tests.engine.admission_objects import JOB, Manifest
from tests.engine.pods_namespace import NAMESPACE, PLATFORM

_ACCOUNT: Final = "system:serviceaccount"
WORKER: Final = f"{_ACCOUNT}:{PLATFORM}:{naming.WORKER}"
OPERATOR: Final = f"{_ACCOUNT}:{PLATFORM}:{naming.OPERATOR}"
REAPER: Final = f"{_ACCOUNT}:{PLATFORM}:{naming.REAPER}"
FLOW: Final = f"{_ACCOUNT}:{NAMESPACE}:{naming.FLOW_RUN}"
JOBS: Final = f"{_ACCOUNT}:kube-system:job-controller"
REPLICAS: Final = f"{_ACCOUNT}:kube-system:replicaset-controller"
ADMIN: Final = ""

_PATHS: Final = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaskCluster": f"/apis/{dask.API_VERSION}/namespaces/{{}}/{dask.CLUSTERS}",
    "DaskWorkerGroup": f"/apis/{dask.API_VERSION}/namespaces/{{}}/{dask.WORKER_GROUPS}",
    "DaskAutoscaler": f"/apis/{dask.API_VERSION}/namespaces/{{}}/{dask.AUTOSCALERS}",
}


@dataclass(frozen=True)
class Request:
    """A request about the namespace of runs.

    Attributes:
        user: who makes it; the administrator when empty.
        content: of the object, or what a merge patch says of it.
        method: `POST`, `PATCH` or `DELETE`.
        kind: of the object.
        name: of the object, unless it is created.
        pod: in which the user's token is.

    """

    user: str
    content: Manifest
    method: str = "POST"
    kind: str = ""
    name: str = ""
    pod: str = f"{JOB}-x1y2z"

    def send(self, client: httpx.Client) -> httpx.Response:
        """Let the API server decide; it stores nothing."""
        path = _PATHS[self.kind or self.content["kind"]].format(NAMESPACE)
        headers = {"Content-Type": "application/merge-patch+json" if self.method == "PATCH" else "application/json"}
        if self.user:
            headers["Impersonate-User"] = self.user
            headers["Impersonate-Extra-authentication.kubernetes.io%2fpod-name"] = self.pod
        url = f"{path}/{self.name}" if self.name else path
        content = json.dumps(self.content) if self.content else None
        return client.request(self.method, url, params={"dryRun": "All"}, content=content, headers=headers)


def secret_variable(name: str) -> Mapping[str, Any]:
    return {"name": "LEAK", "valueFrom": {"secretKeyRef": {"name": name, "key": "value"}}}
