r"""Compares flow runs, Jobs, pods and Dask clusters, and ends what is over.

    python -m ops.reaper --namespace=NAMESPACE --maximum-lifetime=604800 \
        --pools='{"dask": {"pendingTimeout": 600, "crashedAfter": 300}}'

It checks every few seconds, so that a Dask cluster is deleted at most a minute after its flow pod has ended for any
reason, and a run whose pod is gone gets its final state within 20 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from ephemeral_dask.contract import ports
from ops import clusters, objects
from ops.exposition import Exposition
from ops.fields import MALFORMED, parsed
from ops.judgement import Bounds, Judge, World
from ops.kubernetes import FLOW_PODS, ChangedError, Kubernetes
from ops.metrics import Metrics
from ops.prefect import Prefect
from ops.runs import Runs

INTERVAL: Final = 5.0
"""Seconds between two checks. A check that takes longer is followed by a pause of its own length."""

_PROBE_FAILS_AFTER: Final = 60.0
"""Seconds without a successful check after which the liveness probe fails."""

_log = logging.getLogger("ops.reaper")


class Reaper:
    """Checks the namespace repeatedly and reports its health to the liveness probe.

    The Prefect API has no part in its health: a restart would not bring it back.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        runs: Runs | None = None,
        *,
        maximum_lifetime: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._kubernetes = kubernetes
        self._runs = runs
        self._metrics = metrics or Metrics({})
        self._maximum_lifetime = maximum_lifetime
        self._last_success = time.monotonic()

    @property
    def is_healthy(self) -> bool:
        return time.monotonic() - self._last_success < _PROBE_FAILS_AFTER

    def once(self) -> None:
        """Check once. Errors of the API server are logged; the next check tries again."""
        try:
            self._check()
        except httpx.HTTPStatusError as error:
            _log.warning("%s %s: %s", error.request.method, error.request.url.path, error.response.text.strip()[:500])
        except (httpx.TransportError, ChangedError) as error:
            _log.warning("The Kubernetes API does not answer: %r", error)
        except MALFORMED:
            _log.exception("A check failed")
        else:
            self._last_success = time.monotonic()
            self._metrics.checked("kubernetes", time.time())
            return
        if self._runs is not None:
            self._runs.forget()

    def _check(self) -> None:
        # Jobs before pods: a Job whose pod is not in the list yet counts as alive.
        jobs_listing = self._kubernetes.list_jobs()
        jobs = list(parsed(objects.job, "Job", jobs_listing))
        pods = list(parsed(objects.flow_pod, "Pod", self._kubernetes.list_pods(FLOW_PODS)))
        if self._runs is not None:
            self._runs.reconcile(World.of(jobs_listing.now, pods, jobs))
        self._metrics.clusters(clusters.reap(self._kubernetes, pods, jobs, maximum_lifetime=self._maximum_lifetime))


def main() -> None:
    """Run until the pod is deleted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--maximum-lifetime", type=float, required=True)
    parser.add_argument("--pools", type=json.loads, required=True)
    parser.add_argument("--pod-logs", default="")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    kubernetes = Kubernetes.in_cluster(arguments.namespace)
    judge = Judge(namespace=arguments.namespace, bounds=bounds(arguments.pools))
    metrics = Metrics(judge.bounds)
    runs = Runs(kubernetes, Prefect.of_environment(), judge, metrics=metrics, pod_logs=arguments.pod_logs)
    reaper = Reaper(kubernetes, runs, maximum_lifetime=arguments.maximum_lifetime, metrics=metrics)
    serve(reaper, Exposition(metrics, kubernetes, Prefect.of_environment()), ports.REAPER_HTTP)
    while True:
        started = time.monotonic()
        reaper.once()
        time.sleep(max(INTERVAL, time.monotonic() - started))


def bounds(pools: Mapping[str, Mapping[str, Any]]) -> dict[str, Bounds]:
    """Return the settings of each work pool."""
    return {
        name: Bounds(pending_timeout=each["pendingTimeout"], crashed_after=each["crashedAfter"])
        for name, each in pools.items()
    }


class _EveryAddress(ThreadingHTTPServer):
    """Listens on all addresses of the pod, of both families if the kernel has both: the kubelet uses one of them."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(reaper: Reaper, exposition: Exposition, port: int) -> ThreadingHTTPServer:
    """Serve on threads the liveness probe, 200 while the reaper is healthy and else 503, and `/metrics`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                # Prometheus closes a connection that takes longer than its timeout.
                with contextlib.suppress(ConnectionError):
                    self._send(exposition.page())
                return
            self.send_response(200 if reaper.is_healthy else 503)
            self.end_headers()

        def _send(self, page: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", CONTENT_TYPE_PLAIN_0_0_4)
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Log nothing: a line per probe would hide the others."""

    server = _EveryAddress(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
