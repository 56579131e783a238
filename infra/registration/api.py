"""The only HTTP: Prefect's REST API, with patience for a server that starts and sentences when it refuses."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from infra.registration.deployment_cache import Listing
from infra.registration.errors import GoneError, RegistrationError, UnreachableError

if TYPE_CHECKING:
    import httpx

DEADLINE: Final = 60.0
"""Seconds within which a write succeeds or fails with a sentence, waiting for the server included."""

GLANCE: Final = 10.0
"""Seconds that a read may cost before the object counts as not comparable now."""

OLDEST_SERVER: Final = (3, 2)
"""First Prefect with everything used here: schedules with slugs, labels and concurrency limits of
deployments."""

_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})
_FAILED_TRIES: Final = 3
"""Times that a request answered with 500 is sent: SQLite says so when it is locked, a defect says so for
ever."""

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

Json = Any


class PrefectApi:
    """One Prefect API, used by the provider's threads together.

    Args:
        client: gives the HTTP client, its base URL set; called once, at the first request.
        address: the API as it is named to a person; credentials and query are cut off.
        credentials: where a credential is set, named when one is refused.
        complaint: says what the way to the API has to say about a connection that failed.
        clock: monotonic seconds.
        pause: waits that many seconds.

    """

    def __init__(
        self,
        client: Callable[[], httpx.Client],
        address: str,
        *,
        credentials: str = "none are declared for it",
        complaint: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = without_credentials(address)
        self._open = client
        self._client: httpx.Client | None = None
        self._credentials = credentials
        self._complaint = complaint
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._write = threading.Lock()
        self._one_by_one = True
        self._flows: dict[str, str] = {}
        self._flow_locks: dict[str, threading.Lock] = {}
        self._ready = False
        self._silence: tuple[float, float, UnreachableError] | None = None
        self.deployments = Listing(self, clock)

    def wait_ready(self, deadline: float = DEADLINE) -> None:
        """Wait until the API answers and is one that this program can speak to; once is enough.

        Args:
            deadline: seconds.

        Raises:
            UnreachableError: nobody answered in time. Who asks again within a minute, with no more patience,
                hears the same at once: fifty deployments do not wait fifty times.
            RegistrationError: the server is too old or refuses the credentials.

        """
        with self._lock:
            if self._ready:
                return
            if self._silence:
                since, patience, error = self._silence
                if deadline <= patience and self._clock() - since < DEADLINE:
                    raise error
            operation = "reach the Prefect API"
            end = self._clock() + deadline
            try:
                self._send("GET", "/health", None, operation, end)
                answer = self._send("GET", "/admin/version", None, operation, end)
            except UnreachableError as failure:
                self._silence = (self._clock(), deadline, failure)
                raise
            # Prefect Cloud has no such page, is always new enough, and takes many writes at a time.
            if answer.status_code == 404:
                self._one_by_one = False
            else:
                self._check_version(str(self._accept(answer, operation, {})))
            self._ready = True

    def get(self, path: str, *, operation: str, deadline: float = DEADLINE) -> Json | None:
        """Return what stands at `path`, or None when nothing does (404)."""
        answer = self._request("GET", path, None, operation, deadline)
        return None if answer.status_code == 404 else self._accept(answer, operation, {})

    def post(self, path: str, body: Json, *, operation: str, deadline: float = DEADLINE) -> Json:
        """Send `body` and return the answer."""
        return self._accept(self._request("POST", path, body, operation, deadline), operation, body)

    def patch(self, path: str, body: Json, *, operation: str) -> None:
        """Change the object at `path`."""
        self._accept(self._request("PATCH", path, body, operation, DEADLINE), operation, body)

    def put(self, path: str, body: Json, *, operation: str) -> None:
        """Write the whole object at `path`."""
        self._accept(self._request("PUT", path, body, operation, DEADLINE), operation, body)

    def delete(self, path: str, *, operation: str) -> None:
        """Delete the object at `path`; one that is gone already is a success."""
        answer = self._request("DELETE", path, None, operation, DEADLINE)
        if answer.status_code != 404:
            self._accept(answer, operation, {})

    def flow_id(self, name: str, *, operation: str) -> str:
        """Return the id of a flow, which is made if there is none; asked for once."""
        # The deployments of a flow come on several threads at once, and each of them would write.
        with self._flow_locks.setdefault(name, threading.Lock()):
            found = self._flows.get(name)
            if found is None:
                found = self._flows[name] = self.post("/flows/", {"name": name}, operation=operation)["id"]
            return found

    def _request(self, method: str, path: str, body: Json, operation: str, deadline: float) -> httpx.Response:
        end = self._clock() + deadline
        self.wait_ready(deadline)
        answer = self._send(method, path, body, operation, end)
        if answer.status_code == 403 and "CSRF" in answer.text:
            self._take_csrf_token(operation, end)
            answer = self._send(method, path, body, operation, end)
        return answer

    def _take_csrf_token(self, operation: str, end: float) -> None:
        """Get what a server with protection against forged requests wants to see in every one that writes."""
        client = str(uuid.uuid4())
        answer = self._send("GET", f"/csrf-token?client={client}", None, operation, end)
        if answer.is_success and self._client is not None:
            token = answer.json()["token"]
            self._client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client})

    def _send(self, method: str, path: str, body: Json, operation: str, end: float) -> httpx.Response:
        import httpx  # noqa: PLC0415  a no-op preview needs no HTTP

        pause, tries = _FIRST_PAUSE, 0
        while True:
            tries += 1
            left = max(end - self._clock(), 0.1)
            failure, why, asked = None, "", None
            try:
                if self._client is None:
                    self._client = self._open()
                # Made ready before its turn: the server rests between two turns.
                request = self._client.build_request(method, path, json=body, timeout=min(30.0, left))
                with self._turn(method):
                    answer = self._client.send(request)
            except GoneError:
                raise
            except UnreachableError as error:
                failure = error
            except httpx.TransportError as error:
                why = self._complaint() or f"no answer ({error or type(error).__name__})"
            else:
                if answer.status_code in _TRANSIENT or (
                    answer.status_code >= 500 and tries < _FAILED_TRIES and self._clock() < end
                ):
                    why = f"the server answered {answer.status_code} {_sentence(answer, {})}"
                    asked = _retry_after(answer)
                    self._one_by_one = True
                else:
                    return answer
            wait = asked if asked is not None else pause * random.uniform(0.7, 1.3)  # noqa: S311  jitter
            if self._clock() + wait >= end:
                raise failure or UnreachableError(
                    f"Could not {operation} at {self.address}",
                    why=why,
                    remedy="see that the server runs and answers this machine, then run it again",
                )
            self._pause(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _turn(self, method: str) -> AbstractContextManager[Any]:
        """Let writes to a server of one's own through one by one, and to any once it has had too many.

        Such a server computes on one core, and SQLite refuses a second writer: fifty deployments at a time cost it
        half as much again as one after another.
        """
        return self._write if self._one_by_one and method != "GET" else nullcontext()

    def _accept(self, answer: httpx.Response, operation: str, body: Json) -> Json:
        if answer.is_success:
            return answer.json() if answer.content else None
        raise RegistrationError(
            f"Could not {operation} at {self.address}",
            why=f"the server answered {answer.status_code} {_sentence(answer, body)}",
            remedy=self._remedy(answer.status_code),
            status=answer.status_code,
        )

    def _remedy(self, status: int) -> str:
        if status in (401, 403):
            return f"check the credentials ({self._credentials}) and what they may do"
        if status == 404:
            return "register what it refers to first"
        if status < 500:
            return "correct what is declared and run it again"
        return "look into the Prefect server's log"

    def _check_version(self, text: str) -> None:
        parts = [int(part) for part in text.split(".")[:2] if part.isdigit()]
        version = (*parts, 0, 0)[:2]
        if version[0] != OLDEST_SERVER[0] or version < OLDEST_SERVER:
            raise RegistrationError(
                f"The Prefect server at {self.address} cannot be used",
                why=f"its version is {text}, and {'.'.join(map(str, OLDEST_SERVER))} or later of 3.x is needed",
                remedy="upgrade the server",
            )


def path(*parts: str) -> str:
    """Join names into a path, each escaped: a deployment's name may hold a space or a question mark."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def without_credentials(url: str) -> str:
    """Return the address without user, password, query and fragment."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}" if split.scheme else url


def _retry_after(answer: httpx.Response) -> float | None:
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdigit() else None


def _sentence(answer: httpx.Response, body: Json) -> str:
    """Return the server's own words, never its whole answer: that repeats what it was sent, secrets as well."""
    try:
        said = answer.json()
    except ValueError:
        return answer.reason_phrase
    said = said if isinstance(said, Mapping) else {}
    details = said.get("exception_detail")
    if isinstance(details, list) and details:
        text = ", ".join(dict.fromkeys(_complaint(item) for item in details if isinstance(item, Mapping)))
    else:
        text = str(said.get("detail") or said.get("exception_message") or answer.reason_phrase)
    return f"«{_without_values(text, body).rstrip('.')}»"


def _complaint(item: Mapping[str, Any]) -> str:
    # A location such as body.schedules.0.schedule.function-after[...].cron: what brackets is pydantic's own.
    where = ".".join(str(part) for part in item.get("loc", ())[1:] if "[" not in str(part))
    message = str(item.get("msg", "")).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _without_values(text: str, body: Json) -> str:
    """Cut parameters' values out: they may be secret, and the server quotes them."""
    if isinstance(body, Mapping):
        for field in ("parameters", "job_variables"):
            for value in _strings(body.get(field)):
                text = text.replace(value, "…")
    return text


def _strings(value: Json) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) and len(value) >= 4 else []
