"""Stack prod with several Prefect servers, which share a real PostgreSQL and a real Redis."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e import postgresql
from tests.e2e.newcomer import Done, Newcomer
from tests.full import redis
from tests.full.clones import clone
from tools.cluster.wait import until

PROD = "flows-prod"
SMALL = "--job-variable dask_worker_cpu=100m --job-variable dask_worker_memory=512Mi --job-variable dask_maximum=2"
"""The stack's own workers are larger than a test machine."""
UP = "pulumi up --yes --skip-preview --non-interactive"


@pytest.fixture(scope="module")
def operator(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Somebody with a clone of their own, in which stack prod has two servers and its services apart."""
    someone = replace(newcomer, clone=clone(tmp_path_factory.mktemp("several") / "clone"))
    stack = someone.clone / "Pulumi.prod.yaml"
    several = "    replicas: 2\n    backgroundServices: apart\n    redis: {}\n"
    stack.write_text(stack.read_text().replace("    mode: embedded\n", f"    mode: embedded\n{several}"))
    with postgresql.running(newcomer.place) as database, redis.running(newcomer.place) as address:
        script = f"""
            pulumi config set --secret prefectDatabaseUrl "$DATABASE"
            pulumi config set --secret prefectRedisUrl "$REDIS"
            pulumi config set --secret prefectAuthString "$AUTH"
            {UP}
        """
        given = {"DATABASE": database.database("prefect"), "REDIS": address, "AUTH": f"admin:{secrets.token_hex(8)}"}
        done = someone.shell(script, stack="prod", **given)
        assert done.status == 0, done.output + done.told
        yield someone
        gone = someone.shell(
            "pulumi state unprotect --all --yes; pulumi destroy --yes --skip-preview && pulumi stack rm --yes prod",
            stack="prod",
        )
        assert gone.status == 0, gone.told


@pytest.fixture(scope="module")
def run(operator: Newcomer) -> Done:
    command = f".venv/bin/prefect deployment run digits/search --param folds=2 {SMALL} --watch --watch-timeout 500"
    return operator.shell(command, stack="prod", COLUMNS="200")


def test_the_servers_the_services_and_the_workers_are_all_ready(operator: Newcomer) -> None:
    found = json.loads(operator.kubectl("get", "deployments", "-o", "json", namespace=PROD))["items"]
    ready = {each["metadata"]["name"]: each["status"].get("readyReplicas", 0) for each in found}
    assert {name: ready[name] for name in ("prefect-server", "prefect-services", "prefect-worker-dask")} == {
        "prefect-server": 2,
        "prefect-services": 1,
        "prefect-worker-dask": 2,
    }


def test_a_run_ends_well_whichever_server_is_asked(run: Done) -> None:
    assert run.status == 0, run.output + run.told
    assert "Completed" in run.output


@pytest.mark.usefixtures("run")
def test_events_that_a_server_saw_reach_the_services_in_another_process(operator: Newcomer) -> None:
    script = (
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client:\n"
        "    asked = {'filter': {'event': {'name': ['prefect.flow-run.Completed']}}}\n"
        "    print(client._client.post('/events/filter', json=asked).json()['total'])\n"
    )

    def recorded() -> int:
        done = operator.shell(f".venv/bin/python - <<'END'\n{script}END", stack="prod")
        assert done.status == 0, done.told
        return int(done.output.split()[-1])

    # The services write what the servers publish.
    assert until(lambda: recorded() >= 1, seconds=60, interval=2)
