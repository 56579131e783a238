"""A way to a server that is not exposed: a port-forward of the Kubernetes API, one for the whole process.

A listener on the loopback interface; each connection to it becomes a WebSocket to a pod of the Service that
is ready at that moment, so the tunnel outlives the pod. It lives on a thread of its own and dies with the
process: nothing is left behind, as a `kubectl port-forward` would be.
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

from infra.registration.endpoint import PortForward
from infra.registration.errors import GoneError, RegistrationError, UnreachableError

_START: Final = 30.0
"""Seconds for kubeconfig, login helpers and the first look at the Service."""

_CHUNK: Final = 65536
_DATA, _ERROR = 0, 1
"""Channels of Kubernetes' port-forward protocol for a single port."""


class Tunnel:
    """A port-forward; `port` is open on the loopback interface from the start to the end of the process.

    Args:
        reach: the Service.
        port: local port; a free one by default.
        kubeconfig: path of the file to use; what KUBECONFIG names when unset.

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
        self._complaint = ""
        threading.Thread(target=self._loop.run_forever, name="tunnel", daemon=True).start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            self.port = started.result(_START)
        except concurrent.futures.TimeoutError:
            raise self._unreachable(f"no answer within {_START:.0f} s") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            raise self._translated(error) from None
        except (kr8s.ServerError, kr8s.APITimeoutError, httpx.HTTPError) as error:
            raise self._translated(error) from None
        except ValueError as error:
            raise RegistrationError(
                f"Could not reach {self._where}",
                why=str(error) or "no kubeconfig was found",
                remedy="let KUBECONFIG name the cluster, and the endpoint a Service with pods",
            ) from None

    def complaint(self) -> str:
        """Return why the last connection failed, or nothing."""
        return self._complaint

    async def _start(self) -> int:
        self._api = await kr8s.asyncio.api(context=self._endpoint.context, kubeconfig=self._kubeconfig)
        await self._pod()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._local_port)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _pod(self) -> tuple[str, int] | None:
        """Return name and port of a ready pod behind the Service, if there is one."""
        service = await self._get(f"services/{self._endpoint.service}")
        labels = service["spec"].get("selector")
        if not labels:
            # Without one, the list below would be of every pod in the namespace.
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
                self._complaint = f"no pod of {self._where} is ready"
                return
            name, port = pod
            async with self._api.open_websocket(
                url=f"pods/{name}/portforward",
                namespace=str(self._endpoint.namespace),
                params={"ports": str(port)},
            ) as socket:
                self._complaint = ""
                await self._pump(socket, reader, writer)
        except (kr8s.ServerError, kr8s.APITimeoutError) as error:
            self._complaint = str(error)
        except (httpx.HTTPError, httpx_ws.HTTPXWSException, OSError) as error:
            self._complaint = f"the port-forward broke ({type(error).__name__})"
        finally:
            writer.close()

    async def _pump(self, socket: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def upward() -> None:
            while data := await reader.read(_CHUNK):
                await socket.send_bytes(bytes([_DATA]) + data)

        async def downward() -> None:
            # The first message of each channel is the port's number.
            greeted: set[int] = set()
            while True:
                message = await socket.receive_bytes()
                channel, data = message[0], message[1:]
                if channel not in greeted:
                    greeted.add(channel)
                elif channel == _ERROR:
                    self._complaint = data.decode(errors="replace")
                    return
                else:
                    writer.write(data)
                    await writer.drain()

        ways = [asyncio.ensure_future(upward()), asyncio.ensure_future(downward())]
        _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in pending:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    def _translated(self, error: Exception) -> RegistrationError:
        response = getattr(error, "response", None)
        status = response.status_code if response is not None else 0
        if status == 404:
            return GoneError(
                f"Could not reach {self._where}",
                why="Kubernetes says that it does not exist",
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
            why=f"the Kubernetes API did not help ({why})",
            remedy="see that the cluster runs and that KUBECONFIG names it",
        )


def _number(target: Any, pod: Any) -> int:
    """Return the port of a pod that a Service's target port means: a number or a container port's name."""
    if isinstance(target, str):
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                if port.get("name") == target:
                    return int(port["containerPort"])
    return int(target)
