"""Ways from this machine into a stack: to its Prefect API, and to any Service."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra import naming
from infra.registration.endpoint import PortForward
from infra.registration.errors import GoneError, RegistrationError
from infra.settings import EmbeddedPrefect, Settings
from tools.errors import Problem


@contextmanager
def prefect_api(settings: Settings, environment: Mapping[str, str], *, port: int = 0) -> Iterator[str]:
    """Provide the address of the stack's Prefect API for as long as the block runs.

    Args:
        settings: of the stack. A server inside the cluster is reached by a port-forward through the Kubernetes API,
            any other at its own address.
        environment: of the target; KUBECONFIG in it says which cluster.
        port: local port of the forward; a free one by default.

    Raises:
        Problem: the port cannot be opened.

    """
    if not isinstance(settings.prefect, EmbeddedPrefect):
        yield settings.prefect.api_url
        return
    with port_forward(
        f"service/{naming.SERVER}",
        naming.SERVER_PORT,
        namespace=settings.namespaces.platform,
        environment=environment,
        port=port,
    ) as local:
        yield f"http://127.0.0.1:{local}/api"


@contextmanager
def port_forward(
    target: str, remote: int, *, namespace: str, environment: Mapping[str, str], port: int = 0
) -> Iterator[int]:
    """Open a way through the Kubernetes API and provide the local port.

    Every connection goes to a pod that is ready at that moment, so the forward survives a pod that is replaced. It
    stays open until this process ends.

    Args:
        target: `service/<name>`.
        remote: its port.
        namespace: where it is.
        environment: of the target; KUBECONFIG in it says which cluster.
        port: local port; a free one by default.

    Raises:
        Problem: the Service does not exist or has no ready pod, the port is taken, or Kubernetes does not answer.

    """
    from infra.registration.port_forward import Tunnel  # noqa: PLC0415  half a second, and few verbs forward a port

    service = target.removeprefix("service/")
    endpoint = PortForward(namespace=namespace, service=service, port=remote)
    kubeconfig = environment.get("KUBECONFIG") or os.environ.get("KUBECONFIG")
    try:
        tunnel = Tunnel(endpoint, port=port, kubeconfig=kubeconfig)
    except GoneError:
        raise Problem(
            f"There is no Service '{service}' in namespace '{namespace}'",
            remedy="Bring the stack up: make up, with STACK= if it is not dev",
        ) from None
    except RegistrationError as error:
        raise Problem(str(error).rstrip("."), remedy="`make doctor` says what is down") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Problem(
            f"Port {port} of this machine is in use",
            remedy="End the program that listens there; another `make ui` or `make dashboard` is one",
        ) from None
    yield tunnel.port
