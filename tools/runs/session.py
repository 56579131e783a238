"""A stack's Prefect API, as the verbs about runs reach it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.utilities.urls import url_for

from infra.settings import CloudPrefect, EmbeddedPrefect, Settings
from tools.errors import Problem
from tools.forward import prefect_api
from tools.stack import Stack
from tools.target import Target
from tools.targets import choice

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Session:
    """What the verbs know about the stack.

    Attributes:
        namespace: Kubernetes namespace of its flow runs and Dask clusters.
        kubeconfig: path of the kubeconfig file, or None for the usual places.
        options: what selects the stack on a command line of make, with a space in front; empty by default.
        embedded: whether the Prefect server is the stack's own, whose UI `make ui` opens.

    """

    namespace: str
    kubeconfig: str | None = None
    options: str = ""
    embedded: bool = False

    def command(self, verb: str, flow_run: FlowRun) -> str:
        """Return the command line of make that does something with a run."""
        return f"make {verb} RUN={shlex.quote(flow_run.name)}{self.options}"

    def link(self, flow_run: FlowRun) -> str:
        """Return where the run is shown in Prefect's UI."""
        page = url_for(flow_run) or f"flow run {flow_run.id} in Prefect's UI"
        return f"{page} (`make ui{self.options}` opens the port)" if self.embedded else page


@contextmanager
def connect(stack: Stack, target: Target, settings: Settings) -> Iterator[Session]:
    """Let Prefect's client in this process use the stack's API for as long as the block runs.

    Raises:
        Problem: the API cannot be reached.

    """
    environment = target.run_environment()
    credential = stack.credential(settings.prefect)
    prefect = settings.prefect
    options = f" STACK={shlex.quote(stack.name)}" if stack.name != "dev" else ""
    options += "" if choice.is_default(target.cluster) else f" CLUSTER={target.cluster}"
    # Prefect derives Prefect Cloud's pages from the API's address.
    pages = None if isinstance(prefect, CloudPrefect) else prefect.browser_url
    with prefect_api(settings, environment) as url, api(url, credential, pages):
        yield Session(
            namespace=settings.namespaces.runs,
            kubeconfig=environment.get("KUBECONFIG"),
            options=options,
            embedded=isinstance(prefect, EmbeddedPrefect) and prefect.ui_url is None and prefect.ingress is None,
        )


@contextmanager
def api(url: str, credential: Mapping[str, str], pages: str | None = None) -> Iterator[None]:
    """Point Prefect's client in this process at an API.

    Args:
        url: the API's address.
        credential: PREFECT_API_KEY or PREFECT_API_AUTH_STRING, where the API asks for one.
        pages: address of the UI, where it cannot be derived from that of the API.

    """
    changes: dict[Any, Any] = {
        PREFECT_API_URL: url,
        PREFECT_API_KEY: credential.get("PREFECT_API_KEY"),
        PREFECT_API_AUTH_STRING: credential.get("PREFECT_API_AUTH_STRING"),
        **({PREFECT_UI_URL: pages} if pages else {}),
    }
    with temporary_settings(changes):
        yield


def answer(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Do work with Prefect's client and return its outcome.

    Raises:
        Problem: the API does not answer, or refuses a request.

    """
    try:
        return asyncio.run(work)
    except httpx.TransportError as error:
        raise Problem(
            f"The Prefect API stopped answering ({error or type(error).__name__})",
            remedy="A run that has started goes on: `make logs` follows it again. `make doctor` tells what is down",
        ) from None
    except PrefectHTTPStatusError as error:
        raise Problem(
            "Prefect refused the request", remedy="Correct what it says below", detail=error.response.text
        ) from None
