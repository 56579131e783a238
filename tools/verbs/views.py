"""Verbs that open a page of the stack on a port of this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Final

from infra import naming
from infra.settings import EmbeddedPrefect
from tools import browser
from tools import dashboard as dashboards
from tools.forward import prefect_api
from tools.kubernetes import Kubernetes, Object, is_ready
from tools.make import text
from tools.progress import say
from tools.verbs.common import require_up, select

_INTERVAL: Final = 2.0
"""Seconds between two looks at the pods behind an open port."""


def ui(arguments: argparse.Namespace) -> int:
    """Open the Prefect UI's port until Ctrl-C."""
    selection = select(arguments)
    settings = selection.settings
    if not isinstance(settings.prefect, EmbeddedPrefect):
        say(f"    this stack's Prefect UI needs no port here: {settings.prefect.browser_url}")
        browser.show(settings.prefect.browser_url)
        return 0
    require_up(selection)
    cluster = Kubernetes(selection.environment)
    labels = ",".join(f"{key}={value}" for key, value in naming.selector(naming.SERVER).items())
    with prefect_api(settings, selection.environment, port=naming.SERVER_PORT):
        page = f"http://127.0.0.1:{naming.SERVER_PORT}"
        say(f"    Prefect UI: {page} (Ctrl-C closes it)")
        browser.show(page)
        watch = Watch()
        try:
            while True:
                pods = cluster.list("pods", namespace=settings.namespaces.platform, selector=labels)
                if line := watch.look(pods):
                    say(f"    {line}")
                time.sleep(_INTERVAL)
        except KeyboardInterrupt:
            return 0


def dashboard(arguments: argparse.Namespace) -> int:
    """Open a run's live Dask dashboard until Ctrl-C."""
    selection = select(arguments)
    require_up(selection)
    namespace = selection.settings.namespaces.runs
    dashboards.show(text("RUN"), namespace=namespace, environment=selection.target.run_environment())
    return 0


class Watch:
    """What to say about the pods behind an open port.

    The port itself stays open: each connection goes to a pod that is ready at that moment.
    """

    def __init__(self) -> None:
        self._ready: frozenset[str] | None = None

    def look(self, pods: Iterable[Object]) -> str:
        """Return a line when the pods that are ready have changed, and nothing otherwise."""
        before, ready = self._ready, frozenset(str(pod["metadata"]["name"]) for pod in pods if is_ready(pod))
        self._ready = ready
        if before is None or before == ready:
            return ""
        if not ready:
            return "the Prefect server has no pod that is ready: the page does not answer until there is one"
        if not before:
            return f"the Prefect server is ready again ({', '.join(sorted(ready))}): reload the page"
        if not before & ready:
            return f"the Prefect server's pod was replaced by {', '.join(sorted(ready))}: reload the page"
        return ""
