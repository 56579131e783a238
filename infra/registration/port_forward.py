"""A port-forward of the Kubernetes API to a Service, for servers that are not exposed.

It listens on the loopback interface. Each connection becomes a WebSocket to a pod of the Service that is ready at that
moment, so the port-forward survives a restart of the pod. It runs on its own thread and ends with the process, so no
`kubectl port-forward` is left behind.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import threading
from typing import Any, Final

import httpx
import httpx_ws
import kr8s
import kr8s.asyncio

from infra.registration import cluster_access
from infra.registration.endpoint import PortForward
from infra.registration.errors import GoneError, RegistrationError, UnreachableError

_START: Final = 30.0
"""Seconds for the kubeconfig, its login helpers and the first request."""

_CHUNK: Final = 65536
_DATA, _ERROR = 0, 1
"""Channels of Kubernetes' port-forward protocol for a single port."""


class Tunnel:
    """A port-forward. Its `port` on the loopback interface is open until the process ends.

    Args:
        endpoint: the Service.
        port: local port; a free one if 0.
        kubeconfig: path of the kubeconfig; kr8s' default if None.

    Raises:
        GoneError: the Service does not exist.
        UnreachableError: the Kubernetes API does not answer.
        RegistrationError: it refuses.
        OSError: the local port is taken.

    """

    def __init__(self, endpoint: PortForward, *, port: int = 0, kubeconfig: str | None = None) -> None:
        self._endpoint = endpoint
        self._local_port = port
        self._kubeconfig = kubeconfig
        self._where = f"service '{endpoint.service}' in namespace '{endpoint.namespace}'"
        self._loop = asyncio.new_event_loop()
        self.last_error = ""
        """Why the last connection failed; empty if it did not."""
        threading.Thread(target=self._loop.run_forever, name="tunnel", daemon=True).start()
        start = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            self.port = start.result(_START)
        except concurrent.futures.TimeoutError:
            raise self._unreachable(f"no answer within {_START:.0f} s") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            raise self._registration_error(error) from None
        except (kr8s.ServerError, kr8s.APITimeoutError, httpx.HTTPError) as error:
            raise self._registration_error(error) from None
        except ValueError as error:
            raise RegistrationError(
                f"Could not reach {self._where}",
                why=str(error) or "no kubeconfig was found",
                remedy="check that KUBECONFIG names the cluster and that the Service has pods",
            ) from None

    async def _start(self) -> int:
        self._api = await kr8s.asyncio.api(
            context=cluster_access.context(self._endpoint.context),
            kubeconfig=cluster_access.kubeconfig(self._kubeconfig),
        )
        await self._pod()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._local_port)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _pod(self) -> tuple[str, int] | None:
        """Return name and port of a ready pod of the Service, or None."""
        service = await self._get(f"services/{self._endpoint.service}")
        labels = service["spec"].get("selector")
        if not labels:
            # An empty selector would list every pod of the namespace.
            message = f"{self._where} selects no pods"
            raise ValueError(message)
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        pods = await self._get("pods", labelSelector=selector)
        target = next(
            (port.get("targetPort") for port in service["spec"]["ports"] if port["port"] == self._endpoint.port),
            self._endpoint.port,
        )
        for pod in pods["items"]:
            conditions = pod.get("status", {}).get("conditions", [])
            ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
            if ready and "deletionTimestamp" not in pod["metadata"]:
                return pod["metadata"]["name"], _number(target, pod)
        return None

    async def _get(self, url: str, **params: str) -> Any:
        async with self._api.call_api("GET", url=url, namespace=str(self._endpoint.namespace), params=params) as answer:
            return answer.json()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pod = await self._pod()
            if pod is None:
                self.last_error = f"no pod of {self._where} is ready"
                return
            name, port = pod
            async with self._api.open_websocket(
                url=f"pods/{name}/portforward",
                namespace=str(self._endpoint.namespace),
                params={"ports": str(port)},
            ) as socket:
                self.last_error = ""
                await self._pump(socket, reader, writer)
        except (kr8s.ServerError, kr8s.APITimeoutError) as error:
            self.last_error = str(error)
        except (httpx.HTTPError, httpx_ws.HTTPXWSException, OSError) as error:
            self.last_error = f"the port-forward broke ({type(error).__name__})"
        finally:
            writer.close()

    async def _pump(self, socket: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send() -> None:
            while data := await reader.read(_CHUNK):
                await socket.send_bytes(bytes([_DATA]) + data)

        async def receive() -> None:
            # The first message of each channel is the port's number.
            opened: set[int] = set()
            while True:
                message = await socket.receive_bytes()
                channel, data = message[0], message[1:]
                if channel not in opened:
                    opened.add(channel)
                elif channel == _ERROR:
                    self.last_error = data.decode(errors="replace")
                    return
                else:
                    writer.write(data)
                    await writer.drain()

        directions = [asyncio.ensure_future(send()), asyncio.ensure_future(receive())]
        _, pending = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in pending:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)

    def _registration_error(self, error: Exception) -> RegistrationError:
        response = getattr(error, "response", None)
        status = response.status_code if response is not None else 0
        if status == 404:
            return GoneError(
                f"Could not reach {self._where}",
                why="it does not exist in Kubernetes",
                remedy="deploy the server first",
            )
        if status in (401, 403):
            return RegistrationError(
                f"Could not reach {self._where}",
                why=str(error),
                remedy="use a kubeconfig that may get services and pods and create pods/portforward there",
            )
        return self._unreachable(f"{error or type(error).__name__}")

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"Could not reach {self._where}",
            why=f"the Kubernetes API did not answer ({why})",
            remedy="check that the cluster runs and that KUBECONFIG names it",
        )


def _number(target: Any, pod: Any) -> int:
    """Return the pod's port for a Service's target port, which is a number or the name of a container port."""
    if isinstance(target, str):
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                if port.get("name") == target:
                    return int(port["containerPort"])
    return int(target)
