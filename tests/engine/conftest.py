"""The real Pulumi engine on a backend of files, and a real Prefect server behind a proxy that counts.

Nothing here is skipped when something is missing: a tier that did not run has not passed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine import declared
from tests.engine.commands import Commands, Result
from tests.support import scratch_prefect
from tools.cluster.wait import until

QUIET = {"PREFECT_LOGGING_LEVEL": "WARNING"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the whole crash sweep."""
    parser.addoption("--every-step", action="store_true", help="kill an update at each of its requests, for every type")


@pytest.fixture(autouse=True, scope="module")
def event_loop_of_module() -> Iterator[asyncio.AbstractEventLoop]:
    """Set a current event loop before the other fixtures of a module: Pulumi's Outputs need one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(autouse=True)
def event_loop_of_pulumi(event_loop_of_module: asyncio.AbstractEventLoop) -> None:
    """Set the module's event loop again: `asyncio.run` of an earlier test leaves none."""
    asyncio.set_event_loop(event_loop_of_module)


@pytest.fixture(scope="session")
def pulumi_cli() -> str:
    """Find the engine."""
    for program in ("pulumi", "pulumi-language-python"):
        if shutil.which(program) is None:
            pytest.fail(f"there is no {program} on PATH: run `make engine`, which puts the toolchain there")
    return "pulumi"


@pytest.fixture(scope="session")
def shared_prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prefect server on a free port of the loopback interface, and give its API's address."""
    with scratch_prefect.running(tmp_path_factory.mktemp("prefect"), "--no-services", settings=QUIET) as address:
        yield address


@pytest.fixture(scope="module")
def prefect_server(shared_prefect_server: str) -> Iterator[str]:
    """Give the address of a Prefect server that has no objects of other modules: some tests compare all that it has."""
    yield shared_prefect_server
    delete_all(Prefect(shared_prefect_server))


@pytest.fixture
def whole_prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prefect server of its own with everything that watches events, and give its API's address."""
    with scratch_prefect.running(tmp_path_factory.mktemp("whole-prefect"), settings=QUIET) as address:
        yield address


@dataclass
class Proxy:
    """A reverse proxy before the Prefect server that records what passes.

    Attributes:
        url: address of the API behind it.
        upstream: address of the real API.
        requests: method and path of each request.
        authorization: what the header must be, when it asks for a credential.
        intercept: called for each request, `before` it is passed on and `after` it was answered; True closes the
            connection without an answer.
        version: what it reports instead of the server's own.

    """

    url: str
    upstream: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    authorization: str | None = None
    intercept: Callable[[str, tuple[str, str]], bool] = lambda _stage, _request: False
    version: str | None = None

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Requests that may change something; some questions are POSTs as well."""
        return [
            request
            for request in self.requests
            if request[0] != "GET" and not request[1].endswith(("/filter", "/count"))
        ]

    def forget(self) -> None:
        """Count from nothing again."""
        self.requests.clear()


@pytest.fixture(name="proxy")
def counting_proxy(prefect_server: str) -> Iterator[Proxy]:
    """Put a counting proxy before the server."""
    client = httpx.Client(trust_env=False, timeout=60)
    proxy = Proxy(url="", upstream=prefect_server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            proxy.requests.append((self.command, self.path))
            if proxy.authorization and self.headers.get("authorization") != proxy.authorization:
                self.reply(401, b'{"exception_message": "Unauthorized"}')
                return
            if proxy.intercept("before", (self.command, self.path)):
                self.close_connection = True
                return
            if proxy.version and self.path.endswith("/admin/version"):
                self.reply(200, json.dumps(proxy.version).encode())
                return
            url = proxy.upstream + self.path.removeprefix("/api")
            headers = {"content-type": "application/json"} if body else {}
            reply = client.request(self.command, url, content=body, headers=headers)
            if proxy.intercept("after", (self.command, self.path)):
                self.close_connection = True
                return
            self.reply(reply.status_code, reply.content)

        def reply(self, status: int, content: bytes) -> None:
            self.send_response(status)
            if status != 204:
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if status == 204 else content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}/api"
    yield proxy
    server.shutdown()
    server.server_close()
    client.close()


class Prefect:
    """The server as a user of the UI or the command line has it: past the proxy."""

    def __init__(self, url: str) -> None:
        self._client = scratch_prefect.client(url)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, again while the database is busy; None for 404 and for an empty answer."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(self._client.request(method, path, json=body))
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        until(answered, seconds=60, interval=1)
        answer = answers[-1]
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, flow: str, name: str) -> Any:
        """Return a deployment, or None."""
        return self.call("GET", f"/deployments/name/{flow}/{name}")

    def pool(self, name: str) -> Any:
        """Return a work pool, or None."""
        return self.call("GET", f"/work_pools/{name}")

    def automations(self, name: str) -> list[Any]:
        """Return the automations of a name."""
        automations: list[Any] = self.call("POST", "/automations/filter", {"automations": {"name": {"any_": [name]}}})
        return automations

    def automation(self, name: str) -> Any:
        """Return the only automation of a name, or None."""
        automations = self.automations(name)
        assert len(automations) <= 1
        return automations[0] if automations else None

    def variable(self, name: str) -> Any:
        """Return a variable, or None."""
        return self.call("GET", f"/variables/name/{name}")

    def limit(self, name: str) -> Any:
        """Return a global concurrency limit, or None."""
        return self.call("GET", f"/v2/concurrency_limits/{name}")

    def queue(self, pool: str, name: str) -> Any:
        """Return a work queue, or None."""
        return self.call("GET", f"/work_pools/{pool}/queues/{name}")

    def scheduled_runs(self, deployment_id: str) -> int:
        """Count the runs of a deployment that wait for their time."""
        body = {
            "deployments": {"id": {"any_": [deployment_id]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        count: int = self.call("POST", "/flow_runs/count", body)
        return count


def delete_all(prefect: Prefect) -> None:
    """Delete the objects that users of a server declare."""
    for kind in ("deployments", "automations", "variables", "v2/concurrency_limits"):
        while items := prefect.call("POST", f"/{kind}/filter", {}):  # at most 200 at a time
            for item in items:
                prefect.call("DELETE", f"/{kind}/{item['id']}")
    for pool in prefect.call("POST", "/work_pools/filter", {}):
        prefect.call("DELETE", f"/work_pools/{pool['name']}")


@pytest.fixture
def prefect(prefect_server: str) -> Prefect:
    """Return a client of the server, past the proxy."""
    return Prefect(prefect_server)


@pytest.fixture
def make_prefect() -> Callable[[str], Prefect]:
    """Return what makes a client of a server at an address."""
    return Prefect


class Stack(Commands):
    """A stack with a program of its own.

    Args:
        folder: a copy of the folder that `empty_project` makes.
        endpoint: the API of the Prefect server, as `declared.json` has it.

    """

    def __init__(self, folder: Path, endpoint: dict[str, Any]) -> None:
        super().__init__(folder, project=folder)
        self.environment["PULUMI_STACK"] = "test"
        self.declared: dict[str, Any] = {"reach": endpoint, "pools": {}, "deployments": {}, "objects": {}}

    def pool(self, resource: str = "pool", **fields: Any) -> None:
        """Declare a work pool."""
        template = {
            "job_configuration": {"image": "{{ image }}", "command": None},
            "variables": {
                "type": "object",
                "properties": {
                    "image": {"type": "string", "default": "image:1"},
                    "size": {"type": "integer", "default": None},
                },
            },
        }
        self.declared["pools"][resource] = {"name": resource, "base_job_template": template, **fields}

    def deployment(self, resource: str, **fields: Any) -> None:
        """Declare a deployment of flow `flow` with the resource's name."""
        defaults = {"flow_name": "flow", "name": resource, "entrypoint": "flows.x.y"}
        self.declared["deployments"][resource] = {**defaults, **fields}

    def object(self, kind: str, resource: str, **fields: Any) -> None:
        """Declare an object of a class of `infra.registration`, with the resource's name."""
        self.declared["objects"].setdefault(kind, {})[resource] = {"name": resource, **fields}

    def write(self) -> None:
        """Write what is declared now, for the program."""
        (self.folder / declared.FILE).write_text(json.dumps(self.declared))

    def attempt(self, *command: str) -> Result:
        """Run a Pulumi command on what is declared now."""
        self.write()
        if command[0] not in declared.COMMANDS:
            return super().attempt(*command)
        with declared.served(self.folder / declared.FILE) as address:
            return super().attempt(*command, f"--client={address}")


@pytest.fixture(scope="session")
def empty_project(pulumi_cli: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """Make a project with an empty stack `test`. A copy of it is as good as another `pulumi stack init`, and free."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "Pulumi.yaml").write_text("name: registration-test\nruntime: python\n")
    (folder / "__main__.py").write_text(declared.PROGRAM)
    Commands(folder, project=folder).run("stack", "init", "test", "--no-select")
    return folder


@pytest.fixture
def stack(empty_project: Path, proxy: Proxy, prefect: Prefect, tmp_path: Path) -> Iterator[Stack]:
    """Make an empty stack whose provider reaches the server through the proxy, and leave the server empty."""
    shutil.copytree(empty_project, tmp_path, dirs_exist_ok=True)
    yield Stack(tmp_path, {"url": proxy.url})
    for deployment in prefect.call("POST", "/deployments/filter", {}):
        prefect.call("DELETE", f"/deployments/{deployment['id']}")
    for pool in prefect.call("POST", "/work_pools/filter", {}):
        if not pool["name"].startswith(("default-", "prefect")):
            prefect.call("DELETE", f"/work_pools/{pool['name']}")
    for automation in prefect.call("POST", "/automations/filter", {}):
        prefect.call("DELETE", f"/automations/{automation['id']}")
    for variable in prefect.call("POST", "/variables/filter", {}):
        prefect.call("DELETE", f"/variables/{variable['id']}")
    for limit in prefect.call("POST", "/v2/concurrency_limits/filter", {}):
        prefect.call("DELETE", f"/v2/concurrency_limits/{limit['id']}")
