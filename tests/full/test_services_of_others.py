"""Stack prod on what other teams run: a PostgreSQL and a Redis for several Prefect servers, and a Dask operator."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.components import dask_operator, identity
from tests.e2e import postgresql
from tests.e2e.clones import clone
from tests.e2e.newcomer import Done, Newcomer
from tests.e2e.prod import PROD, PROD_RUNS, SMALL, UP, take_back
from tests.full import redis
from tools.cluster.wait import until

OPERATORS = "dask-operator"
"""Namespace and name of the operator that is not the stack's."""


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
        *({**rule, "verbs": ["*"]} for rule in identity.granted(dask_operator.RULES)),
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
def tenant(
    newcomer: Newcomer, dask_operators_team: None, tmp_path_factory: pytest.TempPathFactory
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
    with postgresql.running(newcomer.place) as database, redis.running(newcomer.place) as address:
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
