from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.errors import GoneError, RegistrationError, UnreachableError

Handler = Callable[[httpx.Request], httpx.Response]


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def time(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _api(handler: Handler, clock: Clock, *, cloud: bool = False, **options: Any) -> PrefectApi:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/health":
            return httpx.Response(200, json=True)
        if request.url.path == "/api/admin/version":
            return httpx.Response(404) if cloud else httpx.Response(200, json="3.8.8")
        return handler(request)

    return _bare_api(answer, clock, **options)


def _healthy(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=True if request.url.path.endswith("/health") else "3.8.8")


def _bare_api(handler: Handler, clock: Clock, **options: Any) -> PrefectApi:
    transport = httpx.MockTransport(handler)
    return PrefectApi(
        lambda: httpx.Client(base_url="http://prefect.test/api", transport=transport),
        "http://user:secret@prefect.test/api?key=secret",
        clock=clock.time,
        pause=clock.wait,
        **options,
    )


def _in_turn(*answers: httpx.Response | Exception) -> Handler:
    left = list(answers)

    def handler(_: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_status_is_retried(status: int, clock: Clock) -> None:
    api = _api(_in_turn(httpx.Response(status), httpx.Response(200, json={"id": 1})), clock)
    assert api.post("/flows/", {}, operation="register") == {"id": 1}


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.ReadTimeout("")])
def test_a_broken_connection_is_retried(error: Exception, clock: Clock) -> None:
    api = _api(_in_turn(error, error, httpx.Response(200, json=[])), clock)
    assert api.get("/x", operation="look") == []


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
def test_a_refusal_is_not_retried(status: int, clock: Clock) -> None:
    with pytest.raises(RegistrationError):
        _api(_in_turn(httpx.Response(status)), clock).post("/x", {}, operation="register")
    assert clock.waits == []


def test_waits_grow_and_end_before_the_deadline(clock: Clock) -> None:
    def dead(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(UnreachableError, match=r"no answer \(refused\)"):
        _bare_api(dead, clock).get("/x", operation="look")
    assert DEADLINE - 7 < clock.now < DEADLINE
    assert clock.waits[0] < 0.3
    assert max(clock.waits) > 3


def test_many_callers_of_an_unreachable_server_wait_only_once(clock: Clock) -> None:
    def dead(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api = _bare_api(dead, clock)
    for _ in range(50):
        with pytest.raises(UnreachableError):
            api.get("/x", operation="look")
    assert clock.now < DEADLINE


def test_a_caller_with_a_longer_deadline_tries_again(clock: Clock) -> None:
    answers: list[Any] = []

    def starting(request: httpx.Request) -> httpx.Response:
        if clock.now < 15:
            raise httpx.ConnectError("refused")
        answers.append(1)
        return _healthy(request)

    api = _bare_api(starting, clock)
    with pytest.raises(UnreachableError):
        api.get("/x", operation="look", deadline=10.0)
    assert api.get("/x", operation="look") == "3.8.8"


def test_health_and_version_are_requested_once(clock: Clock) -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return _healthy(request)

    api = _bare_api(handler, clock)
    for _ in range(3):
        api.get("/x", operation="look")
    assert asked == ["/api/health", "/api/admin/version", "/api/x", "/api/x", "/api/x"]


@pytest.mark.parametrize("version", ["2.20.4", "3.1.9", "4.0.0"])
def test_an_unsupported_server_version_is_refused(version: str, clock: Clock) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=True if request.url.path.endswith("/health") else version)

    api = _bare_api(handler, clock)
    remedy = "use a server of Prefect 3" if version.startswith("4") else "upgrade the server"
    with pytest.raises(RegistrationError, match=f"its version is {version}.*{remedy}"):
        api.get("/x", operation="look")


def test_prefect_cloud_without_a_version_is_accepted(clock: Clock) -> None:
    def cloud(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.url.path.endswith("/version") else 200, json=True)

    assert _bare_api(cloud, clock).get("/x", operation="look") is True


def test_the_servers_retry_after_is_respected(clock: Clock) -> None:
    busy = httpx.Response(429, headers={"retry-after": "7"})
    _api(_in_turn(busy, httpx.Response(200, json=1)), clock).get("/x", operation="look")
    assert clock.waits == [7.0]


def test_an_error_names_object_address_reason_and_remedy(clock: Clock) -> None:
    answer = httpx.Response(409, json={"detail": "Error creating deployment: no.\nReally."})
    with pytest.raises(RegistrationError) as caught:
        _api(_in_turn(answer), clock).post("/x", {}, operation="register deployment 'a/b'")
    assert str(caught.value) == (
        "Could not register deployment 'a/b' at http://prefect.test/api: the server answered 409 "
        "«Error creating deployment: no. Really»; correct the declaration and run the command again."
    )


def test_a_validation_error_names_fields_without_their_values(clock: Clock) -> None:
    message = "Value error, Validation failed for field 'x'. Failure reason: 'topsecret' is not of type 'integer'"
    answer = httpx.Response(
        422,
        json={
            "exception_message": "Invalid request received.",
            "exception_detail": [
                {"loc": ["body", "schedules", 0, "function-after[f(), Cron]", "cron"], "msg": "Bad", "input": "i"},
                {"loc": ["body"], "msg": message, "input": {"parameters": {"x": "topsecret"}}},
            ],
            "request_body": {"parameters": {"x": "topsecret"}},
        },
    )
    with pytest.raises(RegistrationError) as caught:
        _api(_in_turn(answer), clock).post("/x", {"parameters": {"x": ["topsecret"]}}, operation="register")
    assert "schedules.0.cron: Bad" in str(caught.value)
    assert "field 'x'" in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_an_error_names_the_address_without_credentials(clock: Clock) -> None:
    with pytest.raises(RegistrationError) as caught:
        _api(_in_turn(httpx.Response(403)), clock, credentials="A_VARIABLE").get("/x", operation="look")
    assert "http://prefect.test/api" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "check the credentials (A_VARIABLE)" in str(caught.value)


def test_a_missing_object_reads_as_none_and_its_deletion_succeeds(clock: Clock) -> None:
    api = _api(lambda _: httpx.Response(404, json={"detail": "not ids"}), clock)
    assert api.get("/x", operation="look") is None
    api.delete("/x", operation="delete")


def test_a_csrf_token_is_requested_once_and_sent_with_every_write(clock: Clock) -> None:
    asked: list[str] = []

    def protected(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/csrf-token":
            asked.append(request.url.params["client"])
            return httpx.Response(200, json={"token": "t"})
        sent = request.headers.get("prefect-csrf-token"), request.headers.get("prefect-csrf-client")
        if not asked or sent != ("t", asked[-1]):
            return httpx.Response(403, json={"detail": "Missing CSRF token."})
        return httpx.Response(200, json=1)

    api = _api(protected, clock)
    assert [api.post("/x", {}, operation="register") for _ in range(2)] == [1, 1]
    assert len(asked) == 1


def test_writes_to_a_self_hosted_server_are_serialized(clock: Clock) -> None:
    under_way = threading.Lock()

    def server(_: httpx.Request) -> httpx.Response:
        if not under_way.acquire(blocking=False):
            return httpx.Response(400)
        time.sleep(0.01)  # as long as a write takes, so that a second one would meet it
        under_way.release()
        return httpx.Response(200, json=1)

    api = _api(server, clock)
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(api.post, "/x", {}, operation="register") for _ in range(8)]
    assert [each.result() for each in done] == [1] * 8


def test_writes_to_prefect_cloud_are_concurrent_until_it_rejects_one(clock: Clock) -> None:
    together = threading.Barrier(2, timeout=20)
    under_way = threading.Lock()
    most: list[int] = []

    def cloud(_: httpx.Request) -> httpx.Response:
        if not most:
            together.wait()
            most.append(0)
            return httpx.Response(503)
        free = under_way.acquire(blocking=False)
        most.append(1 if free else 2)
        if not free:
            return httpx.Response(503)
        time.sleep(0.01)  # as long as a write takes, so that a second one would meet it
        under_way.release()
        return httpx.Response(200, json=1)

    api = _api(cloud, clock, cloud=True)
    api.wait_ready()
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(api.post, "/x", {}, operation="register") for _ in range(20)]
    assert [each.result() for each in done] == [1] * 20
    assert max(most) == 1


def test_the_error_of_a_port_forward_is_the_reason(clock: Clock) -> None:
    def dead(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    api = _bare_api(dead, clock, connection_error=lambda: "no pod of service 'x' is ready")
    with pytest.raises(UnreachableError, match="no pod of service 'x' is ready"):
        api.get("/x", operation="look")


def test_a_late_port_forward_is_retried_and_a_missing_service_is_not(clock: Clock) -> None:
    tries: list[int] = []

    def late() -> httpx.Client:
        tries.append(1)
        if len(tries) < 3:
            raise UnreachableError("No", why="starting", remedy="wait")
        transport = httpx.MockTransport(_healthy)
        return httpx.Client(base_url="http://prefect.test/api", transport=transport)

    assert PrefectApi(late, "x", clock=clock.time, pause=clock.wait).get("/x", operation="look") == "3.8.8"

    def gone() -> httpx.Client:
        raise GoneError("No", why="gone", remedy="none")

    waited = clock.now
    with pytest.raises(GoneError):
        PrefectApi(gone, "x", clock=clock.time, pause=clock.wait).get("/x", operation="look")
    assert clock.now == waited


def test_names_are_escaped_in_paths() -> None:
    assert path("deployments", "name", "a b", "c?d/e") == "/deployments/name/a%20b/c%3Fd%2Fe"


@pytest.mark.parametrize("name", [".", "..", "日本 🙂", "a::b", "50 percent?#;"])
def test_a_name_is_one_part_of_a_requests_address(name: str) -> None:
    request = httpx.Client(base_url="http://test/api").build_request("GET", path("deployments", "name", "f", name))
    parts = request.url.raw_path.decode().split("/")
    assert [unquote(part) for part in parts] == ["", "api", "deployments", "name", "f", name]


def test_concurrent_deployments_of_a_flow_create_it_once(clock: Clock) -> None:
    second = threading.Barrier(2)
    posted: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        posted.append(request.url.path)
        with contextlib.suppress(threading.BrokenBarrierError):
            second.wait(timeout=0.5)
        return httpx.Response(201, json={"id": "an-id"})

    api = _api(handler, clock)
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: api.flow_id("report", operation="register"), range(4)))
    assert ids == ["an-id"] * 4
    assert posted == ["/api/flows/"]


@pytest.mark.parametrize(
    ("answer", "address", "sentence"),
    [
        (
            httpx.Response(200, html="<html>"),
            "http://prefect.example.com",
            (
                "this is not a Prefect API: http://prefect.example.com/health answers with a web page; write"
                " http://prefect.example.com/api as apiUrl, if a Prefect server is there"
            ),
        ),
        (
            httpx.Response(404, json={}),
            "http://p.example.com/",
            "answers with 404 Not Found; write http://p.example.com/api",
        ),
        (httpx.Response(200, text="ok"), "http://p.example.com/api", "something else than JSON; check the address"),
        (httpx.Response(200, json={"status": "up"}), "http://p.example.com", "answers with 200 OK; write"),
        (
            httpx.Response(302, headers={"location": "https://login.example.com/in?token=secret"}),
            "http://p.example.com/api",
            "the server answered 302 and sends to https://login.example.com/in; write the address that it leads to",
        ),
        (httpx.Response(407), "http://p.example.com/api", "answers with 407 Proxy Authentication Required"),
    ],
)
def test_an_address_without_a_prefect_api_is_one_sentence(
    answer: httpx.Response, address: str, sentence: str, clock: Clock
) -> None:
    client = httpx.Client(base_url=address, transport=httpx.MockTransport(lambda _: answer))
    api = PrefectApi(lambda: client, address, clock=clock.time, pause=clock.wait)
    with pytest.raises(RegistrationError) as caught:
        api.wait_ready()
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_answer_that_cannot_be_decoded_is_one_sentence(clock: Clock) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip"))

    with pytest.raises(UnreachableError, match=r"no answer .*incorrect header check"):
        _api(answer, clock).get("/x", operation="look")


def test_a_web_page_in_place_of_a_later_answer_is_one_sentence(clock: Clock) -> None:
    api = _api(lambda _: httpx.Response(200, html="<html>Log in</html>"), clock)
    with pytest.raises(RegistrationError, match="a web page answered 200 in place of the Prefect API"):
        api.post("/deployments/", {}, operation="register")
    api = _api(lambda _: httpx.Response(303, headers={"location": "https://login.example.com"}), clock)
    with pytest.raises(RegistrationError, match=r"sends to https://login\.example\.com"):
        api.post("/deployments/", {}, operation="register")
