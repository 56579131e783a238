"""A Pulumi program that registers what a file declares, run by a process of its own or by that of a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc

from infra import registration
from infra.registration import Deployment, DeploymentArgs, Url, WorkPool, WorkPoolArgs
from infra.specs.deployment import DeploymentSpec, Schedule

FILE = "declared.json"

PROGRAM = f'''
"""A program that registers what {FILE} declares."""
from pathlib import Path

from tests.engine.declared import register

register(Path("{FILE}"))
'''

COMMANDS = frozenset({"up", "preview", "refresh", "destroy"})
"""Those of Pulumi that start a program, or ask its language for its plugins."""


@contextmanager
def served(file: Path) -> Iterator[str]:
    """Run the program in this process whenever an engine asks for it, and yield the address for the option `--client`.

    It is what the Automation API does with a program that is a function. An interpreter and its imports are saved, and
    the list of its packages: half of the processor time of a command on a small stack.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageServer(lambda: register(file)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def register(file: Path) -> None:
    """Register the work pools, deployments and other objects of a file."""
    declared: dict[str, Any] = json.loads(file.read_text())
    endpoint = Url(**declared["reach"])
    pools = {
        name: WorkPool(name, WorkPoolArgs(endpoint=endpoint, **fields)) for name, fields in declared["pools"].items()
    }
    queues, deployments = {}, {}
    for name, fields in declared["objects"].pop("WorkQueue", {}).items():
        if "pool" in fields:
            fields["work_pool_name"] = pools[fields.pop("pool")].name
        queues[name] = registration.WorkQueue(name, registration.WorkQueueArgs(endpoint=endpoint, **fields))
    for name, fields in declared["deployments"].items():
        schedules = tuple(Schedule(**schedule) for schedule in fields.pop("schedules", []))
        secret = frozenset(fields.pop("secret_fields", []))
        pool = pools[fields.pop("pool")].name if "pool" in fields else "pool"
        queue = queues[fields.pop("queue")].name if "queue" in fields else None
        spec = DeploymentSpec(**fields, schedules=schedules, secret_fields=secret)
        args = DeploymentArgs(endpoint=endpoint, spec=spec, work_pool_name=pool, work_queue_name=queue)
        deployments[name] = Deployment(name, args)
        pulumi.export(name, deployments[name].deployment_id)
    for kind, declared_of_kind in declared["objects"].items():
        for name, fields in declared_of_kind.items():
            _register_object(kind, name, fields, endpoint, deployments)


def _register_object(
    kind: str, name: str, fields: dict[str, Any], endpoint: Url, deployments: dict[str, Deployment]
) -> None:
    if fields.pop("secret_value", False):
        fields["value"] = pulumi.Output.secret(fields["value"])
    if "owner" in fields:
        fields["deployment_id"] = deployments[fields["owner"]].deployment_id
        fields["deployment"] = "flow/" + fields.pop("owner")
        fields["actions"] = [{**action, "deployment_id": fields["deployment_id"]} for action in fields["actions"]]
    args = getattr(registration, f"{kind}Args")(endpoint=endpoint, **fields)
    getattr(registration, kind)(name, args)
