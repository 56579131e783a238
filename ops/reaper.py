"""Ends what a flow run left behind: the last of four layers that keep Dask clusters from outliving their runs.

    python -m ops.reaper --namespace=NAMESPACE --maximum-lifetime=604800

Looks every few seconds, so that a cluster goes at most a minute after its flow pod has ended however that ended.
A cluster whose flow pod lives is kept, up to the maximum lifetime.
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

from ephemeral_dask.contract import labels, ports
from ops.kubernetes import Kubernetes

EVERY: Final = 5.0
"""Seconds between two looks."""

STUCK_AFTER: Final = 30.0
"""Seconds after which a deleted object loses its finalizers. A working operator takes its own away in two."""

LOST_AFTER: Final = 60.0
"""Seconds after the end of its grace period from which a pod counts as ended: its node does not answer."""

_DEAF_AFTER: Final = 60.0
"""Seconds without a successful look after which the probe fails."""

_KINDS: Final = ("daskclusters", "daskautoscalers", "daskworkergroups")
_OURS: Final = f"{labels.COMPONENT} in ({labels.DASK_POD},{labels.FLOW_RUN_POD})"
_FINAL: Final = {"Succeeded", "Failed"}

_log = logging.getLogger("ops.reaper")

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is in the namespace at one moment.

    Attributes:
        now: the API server's clock, by which it also dates objects.
        pods: of flow runs and of Dask.
        jobs: by name; only those that own a Dask cluster.

    """

    now: datetime
    pods: Iterable[Object] = ()
    jobs: Mapping[str, Object]


def why_end(cluster: Object, seen: Seen, *, maximum_lifetime: float) -> str:
    """Return why a Dask cluster must go, or "" to keep it.

    Args:
        cluster: the DaskCluster.
        seen: what is around it.
        maximum_lifetime: seconds; nothing lives longer, not even for a run that is under way.

    """
    metadata = cluster["metadata"]
    age = _seconds(metadata["creationTimestamp"], seen.now)
    if age > maximum_lifetime:
        return f"it is {age:.0f} s old, and {maximum_lifetime:.0f} s is the maximum lifetime"
    owner = next((one for one in metadata.get("ownerReferences", ()) if one["kind"] == "Job"), None)
    if owner is None:
        limit = float(metadata.get("annotations", {}).get(labels.START_TIMEOUT, maximum_lifetime))
        ready = any(_ready(pod) for pod in seen.pods if _is_scheduler_of(metadata["name"], pod))
        return "" if ready or age <= limit else f"its scheduler is not ready after {age:.0f} s, and no run owns it"
    mine = [pod for pod in seen.pods if pod["metadata"].get("labels", {}).get(labels.JOB_UID) == owner["uid"]]
    if any(_lives(pod, seen.now) for pod in mine):
        return ""
    if mine:
        return "its flow pod has ended"
    job = seen.jobs.get(owner["name"])
    if job is None or job["metadata"]["uid"] != owner["uid"]:
        return "its flow run's Job is gone"
    return "its flow run's Job is over" if _finished(job) else ""


def stuck(thing: Object, now: datetime) -> bool:
    """Tell whether an object that was deleted is held by finalizers that nobody takes away."""
    metadata = thing["metadata"]
    deleted = metadata.get("deletionTimestamp")
    return bool(deleted and metadata.get("finalizers")) and _seconds(deleted, now) > STUCK_AFTER


def look(kubernetes: Kubernetes, *, maximum_lifetime: float) -> int:
    """End what is over in the namespace and return the number of Dask clusters that were there."""
    found = {kind: kubernetes.list_dask(kind, labels.COMPONENT) for kind in _KINDS}
    clusters = found["daskclusters"].items
    leaving = [(kind, thing) for kind, listed in found.items() for thing in listed.items]
    for kind, thing in leaving:
        if stuck(thing, found[kind].now):
            name = thing["metadata"]["name"]
            _log.warning("%s %s was deleted and is still held: its finalizers are taken away", kind, name)
            _attempt(kubernetes.drop_finalizers, kind, name)
    staying = [one for one in clusters if "deletionTimestamp" not in one["metadata"]]
    if not staying:
        return len(clusters)
    owners = {one["name"] for each in staying for one in each["metadata"].get("ownerReferences", ())}
    jobs = {name: job for name in owners if (job := kubernetes.job(name))}
    pods = kubernetes.list_pods(_OURS)
    seen = Seen(now=pods.now, pods=pods.items, jobs=jobs)
    for cluster in staying:
        if why := why_end(cluster, seen, maximum_lifetime=maximum_lifetime):
            metadata = cluster["metadata"]
            _log.warning(
                "Dask cluster %s of flow run %s is ended: %s",
                metadata["name"],
                metadata.get("labels", {}).get(labels.FLOW_RUN, "unknown"),
                why,
            )
            _attempt(kubernetes.delete_cluster, metadata["name"], metadata["uid"])
    return len(clusters)


def _attempt(action: Callable[[str, str], None], one: str, other: str) -> None:
    """Do it; a refusal about one object must not keep the others."""
    try:
        action(one, other)
    except httpx.HTTPStatusError as error:
        _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip())


class Reaper:
    """Looks for ever; the probe asks it whether it still sees anything."""

    def __init__(self, kubernetes: Kubernetes, *, maximum_lifetime: float) -> None:
        self._kubernetes = kubernetes
        self._maximum_lifetime = maximum_lifetime
        self._looked = time.monotonic()

    @property
    def sees(self) -> bool:
        return time.monotonic() - self._looked < _DEAF_AFTER

    def once(self) -> None:
        """Look once. What the API server cannot answer now is tried again at the next look."""
        try:
            look(self._kubernetes, maximum_lifetime=self._maximum_lifetime)
            self._looked = time.monotonic()
        except httpx.HTTPStatusError as error:
            _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip())
        except httpx.TransportError as error:
            _log.warning("The Kubernetes API does not answer: %r", error)


def main() -> None:
    """Run until the pod is ended."""
    chosen = argparse.ArgumentParser(prog="ops.reaper")
    chosen.add_argument("--namespace", required=True)
    chosen.add_argument("--maximum-lifetime", type=float, required=True, help="seconds")
    arguments = chosen.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    reaper = Reaper(Kubernetes.in_cluster(arguments.namespace), maximum_lifetime=arguments.maximum_lifetime)
    serve_probe(reaper, ports.REAPER_HTTP)
    while True:
        reaper.once()
        time.sleep(EVERY)


def serve_probe(reaper: Reaper, port: int) -> ThreadingHTTPServer:
    """Answer the kubelet beside the loop: 200 as long as the reaper sees, 503 afterwards."""

    class Probe(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if reaper.sees else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: a line for every probe hides the others."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Probe)  # noqa: S104  the kubelet asks from outside the pod
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _seconds(since: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(since)).total_seconds()


def _lives(pod: Object, now: datetime) -> bool:
    if pod.get("status", {}).get("phase") in _FINAL:
        return False
    deleted = pod["metadata"].get("deletionTimestamp")  # the moment at which its grace period ends
    return not deleted or _seconds(deleted, now) < LOST_AFTER


def _finished(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)


def _is_scheduler_of(cluster: str, pod: Object) -> bool:
    found = pod["metadata"].get("labels", {})
    return bool(found.get("dask.org/cluster-name") == cluster and found.get("dask.org/component") == "scheduler")


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


if __name__ == "__main__":
    main()
