"""Deletes Dask clusters whose flow run has ended: the last of four layers that keep clusters from outliving their runs.

    python -m ops.reaper --namespace=NAMESPACE --maximum-lifetime=604800

It checks every few seconds, so that a cluster is deleted at most a minute after its flow pod has ended for any reason.
A cluster whose flow pod is alive is kept, up to the maximum lifetime.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx

from ephemeral_dask.contract import dask, labels, ports
from ops.kubernetes import Kubernetes

INTERVAL: Final = 5.0
"""Seconds between two checks."""

STUCK_AFTER: Final = 30.0
"""Seconds after which the finalizers of a deleted object are removed. A working operator removes its own in two."""

LOST_AFTER: Final = 60.0
"""Seconds after its grace period at which a deleted pod counts as ended, because its node does not answer."""

_PROBE_FAILS_AFTER: Final = 60.0
"""Seconds without a successful check after which the liveness probe fails."""

_KINDS: Final = (dask.CLUSTERS, dask.AUTOSCALERS, dask.WORKER_GROUPS)
_POD_SELECTOR: Final = f"{labels.COMPONENT} in ({labels.DASK_POD},{labels.FLOW_RUN_POD})"
_FINAL: Final = {"Succeeded", "Failed"}

_log = logging.getLogger("ops.reaper")

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NamespaceState:
    """The namespace at one moment.

    Attributes:
        now: the API server's time, which the objects' timestamps use.
        pods: flow pods and Dask pods.
        jobs: name -> the Jobs that own a Dask cluster.

    """

    now: datetime
    pods: Iterable[Object] = ()
    jobs: Mapping[str, Object]


def deletion_reason(cluster: Object, state: NamespaceState, *, maximum_lifetime: float) -> str:
    """Return why a Dask cluster must be deleted, or an empty string to keep it.

    Args:
        cluster: the DaskCluster.
        state: the namespace.
        maximum_lifetime: seconds after which a cluster is deleted even if its run is active.

    """
    metadata = cluster["metadata"]
    age = _seconds(metadata["creationTimestamp"], state.now)
    if age > maximum_lifetime:
        return f"it is {age:.0f} s old, and {maximum_lifetime:.0f} s is the maximum lifetime"
    owner = next((item for item in metadata.get("ownerReferences", ()) if item["kind"] == "Job"), None)
    if owner is None:
        limit = float(metadata.get("annotations", {}).get(labels.START_TIMEOUT, maximum_lifetime))
        ready = any(_ready(pod) for pod in state.pods if _is_scheduler_of(metadata["name"], pod))
        return "" if ready or age <= limit else f"its scheduler is not ready after {age:.0f} s, and no run owns it"
    flow_pods = [pod for pod in state.pods if pod["metadata"].get("labels", {}).get(labels.JOB_UID) == owner["uid"]]
    if any(_is_alive(pod, state.now) for pod in flow_pods):
        return ""
    if flow_pods:
        return "its flow pod has ended"
    job = state.jobs.get(owner["name"])
    if job is None or job["metadata"]["uid"] != owner["uid"]:
        return "its flow run's Job was deleted"
    return "its flow run's Job has ended" if _has_ended(job) else ""


def is_stuck(item: Object, now: datetime) -> bool:
    """Return whether finalizers have kept a deleted object for too long."""
    metadata = item["metadata"]
    deleted = metadata.get("deletionTimestamp")
    return bool(deleted and metadata.get("finalizers")) and _seconds(deleted, now) > STUCK_AFTER


def reap(kubernetes: Kubernetes, *, maximum_lifetime: float) -> int:
    """Delete the Dask clusters of ended runs and return the number of clusters in the namespace."""
    objects = {kind: kubernetes.list_dask(kind, labels.COMPONENT) for kind in _KINDS}
    for kind, listing in objects.items():
        for item in listing.items:
            if is_stuck(item, listing.now):
                name = item["metadata"]["name"]
                _log.warning("%s %s was deleted and still exists: its finalizers are removed", kind, name)
                _attempt(kubernetes.drop_finalizers, kind, name)
    clusters = objects[dask.CLUSTERS].items
    live = [cluster for cluster in clusters if "deletionTimestamp" not in cluster["metadata"]]
    if not live:
        return len(clusters)
    owners = {owner["name"] for cluster in live for owner in cluster["metadata"].get("ownerReferences", ())}
    jobs = {name: job for name in owners if (job := kubernetes.job(name))}
    pods = kubernetes.list_pods(_POD_SELECTOR)
    state = NamespaceState(now=pods.now, pods=pods.items, jobs=jobs)
    for cluster in live:
        if reason := deletion_reason(cluster, state, maximum_lifetime=maximum_lifetime):
            metadata = cluster["metadata"]
            _log.warning(
                "Dask cluster %s of flow run %s is deleted: %s",
                metadata["name"],
                metadata.get("labels", {}).get(labels.FLOW_RUN, "unknown"),
                reason,
            )
            _attempt(kubernetes.delete_cluster, metadata["name"], metadata["uid"])
    return len(clusters)


def _attempt(action: Callable[[str, str], None], first: str, second: str) -> None:
    """Run an action on one object; log a refusal, so that the other objects are still handled."""
    try:
        action(first, second)
    except httpx.HTTPStatusError as error:
        _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip())


class Reaper:
    """Checks the namespace repeatedly and reports its health to the liveness probe."""

    def __init__(self, kubernetes: Kubernetes, *, maximum_lifetime: float) -> None:
        self._kubernetes = kubernetes
        self._maximum_lifetime = maximum_lifetime
        self._last_success = time.monotonic()

    @property
    def is_healthy(self) -> bool:
        return time.monotonic() - self._last_success < _PROBE_FAILS_AFTER

    def once(self) -> None:
        """Check once. Errors of the API server are logged; the next check tries again."""
        try:
            reap(self._kubernetes, maximum_lifetime=self._maximum_lifetime)
            self._last_success = time.monotonic()
        except httpx.HTTPStatusError as error:
            _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip())
        except httpx.TransportError as error:
            _log.warning("The Kubernetes API does not answer: %r", error)


def main() -> None:
    """Run until the pod is deleted."""
    parser = argparse.ArgumentParser(prog="ops.reaper")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--maximum-lifetime", type=float, required=True, help="seconds")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    reaper = Reaper(Kubernetes.in_cluster(arguments.namespace), maximum_lifetime=arguments.maximum_lifetime)
    serve_probe(reaper, ports.REAPER_HTTP)
    while True:
        reaper.once()
        time.sleep(INTERVAL)


def serve_probe(reaper: Reaper, port: int) -> ThreadingHTTPServer:
    """Serve the liveness probe on a thread: 200 while the reaper is healthy, else 503."""

    class Probe(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if reaper.is_healthy else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing: a line per probe would hide the others."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Probe)  # noqa: S104  the kubelet connects from outside the pod
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _seconds(since: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(since)).total_seconds()


def _is_alive(pod: Object, now: datetime) -> bool:
    if pod.get("status", {}).get("phase") in _FINAL:
        return False
    deleted = pod["metadata"].get("deletionTimestamp")  # when its grace period ends
    return not deleted or _seconds(deleted, now) < LOST_AFTER


def _has_ended(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(item["type"] in {"Complete", "Failed"} and item["status"] == "True" for item in conditions)


def _is_scheduler_of(cluster: str, pod: Object) -> bool:
    pod_labels = pod["metadata"].get("labels", {})
    is_scheduler = pod_labels.get("dask.org/component") == "scheduler"
    return bool(is_scheduler and pod_labels.get("dask.org/cluster-name") == cluster)


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


if __name__ == "__main__":
    main()
