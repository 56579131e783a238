"""Prefect REST client: retries until a deadline, and reports each failure as one actionable error."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from infra.registration.deployment_cache import DeploymentCache
from infra.registration.errors import GoneError, RegistrationError, UnreachableError
from infra.registration.retry import RetryPolicy
from infra.registration.server_message import redirect, retry_after, server_message, wrong_address

if TYPE_CHECKING:
    import httpx

DEADLINE: Final = 60.0
"""Seconds within which a write succeeds or fails, including the wait for a server that starts."""

READ_DEADLINE: Final = 10.0
"""Seconds that a refresh waits for an object before it leaves the state as it is."""

OLDEST_SERVER: Final = (3, 2)
"""First version of Prefect with schedule slugs, and with labels and concurrency limits of deployments."""

_DOTS: Final = {".": "%2E", "..": "%2E%2E"}
"""Names that an HTTP client would take for steps in a path."""

Json = Any


class PrefectApi:
    """One Prefect API, shared by the provider's threads.

    Args:
        client: creates the HTTP client with its base URL; called once, at the first request.
        address: the API's address for messages; credentials and query are removed.
        credentials: where the credential is set, for the message when it is refused.
        connection_error: returns why the last connection through a port-forward failed, or an empty string.
        clock: returns monotonic seconds.
        pause: waits for a number of seconds.

    """

    def __init__(
        self,
        client: Callable[[], httpx.Client],
        address: str,
        *,
        credentials: str = "none are declared for it",
        connection_error: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = without_credentials(address)
        self._open = client
        self._client: httpx.Client | None = None
        self._credentials = credentials
        self._connection_error = connection_error
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._write = threading.Lock()
        self._one_by_one = True
        self._flows: dict[str, str] = {}
        self._flow_locks: dict[str, threading.Lock] = {}
        self._ready = False
        self._unreachable_since: tuple[float, float, UnreachableError] | None = None
        self.deployments = DeploymentCache(self, clock)

    def wait_ready(self, deadline: float = DEADLINE) -> None:
        """Wait until the API answers, and check its version. Later calls return at once.

        Args:
            deadline: seconds.

        Raises:
            UnreachableError: the API did not answer in time. A call within the next minute and with the same or a
                shorter deadline raises the same error at once, so that fifty deployments do not wait fifty times.
            RegistrationError: the server is too old or refuses the credentials.

        """
        with self._lock:
            if self._ready:
                return
            if self._unreachable_since:
                since, waited, error = self._unreachable_since
                if deadline <= waited and self._clock() - since < DEADLINE:
                    raise error
            operation = "reach the Prefect API"
            end = self._clock() + deadline
            try:
                health = self._send("GET", "/health", None, operation, end)
                if problem := wrong_address(health, self.address):
                    why, remedy = problem
                    raise RegistrationError(f"Could not {operation} at {self.address}", why=why, remedy=remedy)
                answer = self._send("GET", "/admin/version", None, operation, end)
            except UnreachableError as failure:
                self._unreachable_since = (self._clock(), deadline, failure)
                raise
            # Prefect Cloud has no such path, is always new enough, and accepts concurrent writes.
            if answer.status_code == 404:
                self._one_by_one = False
            else:
                self._check_version(str(self._accept(answer, operation, {})))
            self._ready = True

    def get(self, path: str, *, operation: str, deadline: float = DEADLINE) -> Json | None:
        """Return the object at `path`, or None if there is none (404)."""
        answer = self._request("GET", path, None, operation, deadline)
        return None if answer.status_code == 404 else self._accept(answer, operation, {})

    def post(self, path: str, body: Json, *, operation: str, deadline: float = DEADLINE) -> Json:
        """Send `body` and return the response."""
        return self._accept(self._request("POST", path, body, operation, deadline), operation, body)

    def patch(self, path: str, body: Json, *, operation: str) -> None:
        """Change the object at `path`."""
        self._accept(self._request("PATCH", path, body, operation, DEADLINE), operation, body)

    def put(self, path: str, body: Json, *, operation: str) -> None:
        """Replace the object at `path`."""
        self._accept(self._request("PUT", path, body, operation, DEADLINE), operation, body)

    def delete(self, path: str, *, operation: str) -> None:
        """Delete the object at `path`; an object that does not exist is a success."""
        answer = self._request("DELETE", path, None, operation, DEADLINE)
        if answer.status_code != 404:
            self._accept(answer, operation, {})

    def flow_id(self, name: str, *, operation: str) -> str:
        """Return the id of a flow, which is created if it does not exist. The id is cached."""
        # Several threads register deployments of one flow, and each of them would send a write.
        with self._flow_locks.setdefault(name, threading.Lock()):
            if name not in self._flows:
                self._flows[name] = self.post("/flows/", {"name": name}, operation=operation)["id"]
            return self._flows[name]

    def _request(self, method: str, path: str, body: Json, operation: str, deadline: float) -> httpx.Response:
        end = self._clock() + deadline
        self.wait_ready(deadline)
        answer = self._send(method, path, body, operation, end)
        if answer.status_code == 403 and "CSRF" in answer.text:
            self._take_csrf_token(operation, end)
            answer = self._send(method, path, body, operation, end)
        return answer

    def _take_csrf_token(self, operation: str, end: float) -> None:
        """Get the token that a server with CSRF protection requires in every write."""
        client = str(uuid.uuid4())
        answer = self._send("GET", f"/csrf-token?client={client}", None, operation, end)
        if answer.is_success and self._client is not None:
            token = answer.json()["token"]
            self._client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client})

    def _send(self, method: str, path: str, body: Json, operation: str, end: float) -> httpx.Response:
        """Send a request until the server answers it, within the deadline."""
        import httpx  # noqa: PLC0415  a no-op preview needs no HTTP

        retries = RetryPolicy(end, clock=self._clock, pause=self._pause)
        while True:
            try:
                response = self._send_once(method, path, body, retries.timeout)
            except GoneError:
                raise
            except UnreachableError as error:
                failure = error
            except httpx.RequestError as error:
                failure = self._unreachable(
                    operation, self._connection_error() or f"no answer ({error or type(error).__name__})"
                )
            else:
                if not retries.should_retry(response.status_code):
                    return response
                self._one_by_one = True
                message = f"the server answered {response.status_code} {server_message(response, {})}"
                failure = self._unreachable(operation, message)
                retries.wait_at_least(retry_after(response))
            if not retries.wait():
                raise failure

    def _send_once(self, method: str, path: str, body: Json, timeout: float) -> httpx.Response:
        if self._client is None:
            self._client = self._open()
        # Built before its turn: the server waits idly between two turns.
        request = self._client.build_request(method, path, json=body, timeout=timeout)
        with self._turn(method):
            return self._client.send(request)

    def _unreachable(self, operation: str, why: str) -> UnreachableError:
        return UnreachableError(
            f"Could not {operation} at {self.address}",
            why=why,
            remedy="check that the server runs and that this machine can reach it, then run the command again",
        )

    def _turn(self, method: str) -> AbstractContextManager[Any]:
        """Serialize writes to a self-hosted server, and to Prefect Cloud after its first retry.

        A self-hosted server computes on one core, and SQLite refuses a second writer: fifty concurrent deployments take
        half as long again as fifty sequential ones.
        """
        return self._write if self._one_by_one and method != "GET" else nullcontext()

    def _accept(self, answer: httpx.Response, operation: str, body: Json) -> Json:
        if answer.is_success:
            try:
                return answer.json() if answer.content else None
            except ValueError:
                raise RegistrationError(
                    f"Could not {operation} at {self.address}",
                    why=f"a web page answered {answer.status_code} in place of the Prefect API",
                    remedy="check the address of the API, and whether a proxy before it asks for a login",
                ) from None
        if answer.is_redirect:
            why, remedy = redirect(answer)
            raise RegistrationError(f"Could not {operation} at {self.address}", why=why, remedy=remedy)
        raise RegistrationError(
            f"Could not {operation} at {self.address}",
            why=f"the server answered {answer.status_code} {server_message(answer, body)}",
            remedy=self._remedy(answer.status_code),
            status=answer.status_code,
        )

    def _remedy(self, status: int) -> str:
        if status in (401, 403):
            return f"check the credentials ({self._credentials}) and their permissions"
        if status == 404:
            return "register the objects that it refers to first"
        if status < 500:
            return "correct the declaration and run the command again"
        return "read the Prefect server's log"

    def _check_version(self, text: str) -> None:
        parts = [int(part) for part in text.split(".")[:2] if part.isdigit()]
        version = (*parts, 0, 0)[:2]
        if version[0] != OLDEST_SERVER[0] or version < OLDEST_SERVER:
            raise RegistrationError(
                f"The Prefect server at {self.address} cannot be used",
                why=f"its version is {text[:40]}, and {'.'.join(map(str, OLDEST_SERVER))} or later of 3.x is needed",
                remedy="upgrade the server" if version < OLDEST_SERVER else "use a server of Prefect 3",
            )


def path(*parts: str) -> str:
    """Join names into a path and escape each: a deployment's name may contain a space or a question mark."""
    return "/" + "/".join(_DOTS.get(part) or quote(part, safe="") for part in parts)


def without_credentials(url: str) -> str:
    """Return the address without user, password, query and fragment."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}" if split.scheme else url
