"""Stack prod on what other teams run: a PostgreSQL and a Redis for several Prefect servers, and a Dask operator."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.components import dask_operator
from tests.e2e import postgresql
from tests.e2e.clones import clone
from tests.e2e.newcomer import Done, Newcomer
from tests.e2e.postgresql import PostgreSQL
from tests.e2e.prod import PROD, PROD_RUNS, SMALL, UP, take_back
from tests.e2e.runs import ended, running, state
from tests.full import redis
from tools.cluster.wait import until

OPERATORS = "dask-operator"
"""Namespace and name of the operator that is not the stack's."""

WITHOUT_DATABASE = 60.0
"""Seconds for which the database is stopped."""


@pytest.fixture(scope="module")
def dask_operators_team(newcomer: Newcomer) -> Iterator[None]:
    """dask-kubernetes' own operator with rights in the whole cluster, as its Helm chart installs it."""
    image = newcomer.shell("pulumi stack output platformImage").output.strip()
    newcomer.kubectl("apply", "--filename", "-", stdin=json.dumps(operator_of_others(image)), namespace=OPERATORS)
    newcomer.kubectl("rollout", "status", "deployment/dask-operator", "--timeout=180s", namespace=OPERATORS)
    yield
    newcomer.kubectl("delete", f"namespace/{OPERATORS}", f"clusterrole/{OPERATORS}", f"clusterrolebinding/{OPERATORS}")


def operator_of_others(image: str) -> dict[str, Any]:
    metadata = {"name": OPERATORS, "namespace": OPERATORS}
    rbac = "rbac.authorization.k8s.io"
    rules = [
        *(
            {"apiGroups": list(rule.groups), "resources": list(rule.resources), "verbs": ["*"]}
            for rule in dask_operator.RULES
        ),
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
    ]
    marks = {"app": OPERATORS}
    container = {
        "name": "operator",
        "image": image,
        "command": ["kopf", "run", "-m", "dask_kubernetes.operator.controller", f"--namespace={PROD_RUNS}"],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "serviceAccountName": OPERATORS,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATORS}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": OPERATORS},
                "subjects": [{"kind": "ServiceAccount", **metadata}],
            },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "selector": {"matchLabels": marks},
                    "template": {"metadata": {"labels": marks}, "spec": pod},
                },
            },
        ],
    }


@pytest.fixture(scope="module")
def database(newcomer: Newcomer) -> Iterator[PostgreSQL]:
    """Start the database server of another team."""
    with postgresql.running(newcomer.place) as server:
        yield server


@pytest.fixture(scope="module")
def tenant(
    newcomer: Newcomer, database: PostgreSQL, dask_operators_team: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Newcomer]:
    """A user with a clone of their own, in which stack prod has two servers, separate services and no operator."""
    assert dask_operators_team is None
    someone = replace(newcomer, clone=clone(tmp_path_factory.mktemp("several") / "clone", newcomer.clone))
    stack = someone.clone / "Pulumi.prod.yaml"
    several = "    replicas: 2\n    backgroundServices: apart\n    redis: {}\n"
    existing = f"    operator: {{mode: existing, namespace: {OPERATORS}}}\n"
    stack.write_text(
        stack.read_text()
        .replace("    mode: embedded\n", f"    mode: embedded\n{several}")
        .replace("  ephemeral-dask:dask:\n", f"  ephemeral-dask:dask:\n{existing}")
    )
    # Creates the stack, and ends because its secrets are missing.
    asked = someone.make("up", "STACK=prod")
    assert "pulumi config set --secret prefectDatabaseUrl" in asked.output + asked.progress
    with redis.running(newcomer.place) as address:
        script = f"""
            pulumi config set --secret prefectDatabaseUrl "$DATABASE"
            pulumi config set --secret prefectRedisUrl "$REDIS"
            pulumi config set --secret prefectAuthString "$AUTH"
            {UP}
        """
        values = {"DATABASE": database.database("prefect"), "REDIS": address, "AUTH": f"admin:{secrets.token_hex(8)}"}
        done = someone.shell(script, stack="prod", **values)
        assert done.status == 0, done.output + done.progress
        yield someone
        gone = take_back(someone)
        assert gone.status == 0, gone.progress


@pytest.fixture(scope="module")
def run(tenant: Newcomer) -> Done:
    small = shlex.join(SMALL)
    command = f".venv/bin/prefect deployment run primes/default --param parts=24 {small} --watch --watch-timeout 500"
    return tenant.shell(command, stack="prod", COLUMNS="200")


def test_the_servers_the_services_and_the_workers_are_all_ready(tenant: Newcomer) -> None:
    deployments = json.loads(tenant.kubectl("get", "deployments", "-o", "json", namespace=PROD))["items"]
    ready = {each["metadata"]["name"]: each["status"].get("readyReplicas", 0) for each in deployments}
    assert "dask-operator" not in ready
    assert {name: ready[name] for name in ("prefect-server", "prefect-services", "prefect-worker-dask")} == {
        "prefect-server": 2,
        "prefect-services": 1,
        "prefect-worker-dask": 2,
    }


def test_a_run_completes_with_two_servers_and_an_operator_that_is_not_the_stacks(run: Done) -> None:
    assert run.status == 0, run.output + run.progress
    assert "Completed" in run.output


@pytest.mark.usefixtures("run")
def test_events_of_a_server_reach_the_services_in_another_process(tenant: Newcomer) -> None:
    script = (
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client:\n"
        "    asked = {'filter': {'event': {'name': ['prefect.flow-run.Completed']}}}\n"
        "    print(client._client.post('/events/filter', json=asked).json()['total'])\n"
    )

    def recorded() -> int:
        done = tenant.shell(f".venv/bin/python - <<'END'\n{script}END", stack="prod")
        assert done.status == 0, done.progress
        return int(done.output.split()[-1])

    # The services write what the servers publish.
    assert until(lambda: recorded() >= 1, seconds=60, interval=2)


@pytest.mark.usefixtures("run")
def test_a_run_lives_through_a_database_that_is_stopped_and_the_servers_are_ready_again_by_themselves(
    tenant: Newcomer, database: PostgreSQL
) -> None:
    def ready() -> int:
        field = "jsonpath={.status.readyReplicas}"
        return int(tenant.kubectl("get", "deployment/prefect-server", "-o", field, namespace=PROD) or 0)

    run = running(tenant, "patient/one", "--param", "seconds=180", stack="prod")
    database.stop()
    stopped = time.monotonic()
    try:
        assert until(lambda: ready() == 0, seconds=60, interval=1), "the servers are ready without their database"
        assert until(lambda: time.monotonic() - stopped > WITHOUT_DATABASE, seconds=120, interval=1)
    finally:
        database.start()
    assert until(lambda: ready() == 2, seconds=120, interval=1)
    assert state(tenant, run, stack="prod")[0] == "RUNNING"
    assert ended(tenant, run, seconds=300, stack="prod")[0] == "COMPLETED"
    following = tenant.start("patient/one", "--param", "seconds=1", stack="prod")
    assert ended(tenant, following, seconds=120, stack="prod")[0] == "COMPLETED", "its slot is still taken"
