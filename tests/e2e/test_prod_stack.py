"""Stack prod beside stack dev on one cluster, with a real PostgreSQL, authentication and enforced network policies.

Any test can run alone. In a run of all of them, those that lift the protection of stack prod come last.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ephemeral_dask.contract import labels, ports
from ephemeral_dask.contract.secrets import CREDENTIAL_VARIABLES
from infra import naming
from infra.components import network_policies as policies
from tests.e2e import postgresql
from tests.e2e.machine import Machine
from tests.e2e.newcomer import Done, Newcomer
from tests.e2e.newcomer import newcomer as with_own_cluster
from tests.e2e.postgresql import PostgreSQL
from tests.e2e.prod import PROD, PROD_RUNS, SMALL, UP, take_back
from tests.e2e.runs import ended, restarts, running, state
from tests.support import audit
from tools.cluster import LocalCluster
from tools.cluster.wait import until

REFUSED = 4
"""Seconds without an answer after which a connection counts as refused: a policy drops, it does not reject."""


@dataclass(frozen=True)
class Marked:
    """Secrets that must not appear anywhere."""

    user: str
    password: str
    database: str
    index_password: str

    @property
    def netrc(self) -> str:
        return f"machine packages.example.com login builder password {self.index_password}"

    @property
    def auth(self) -> str:
        return f"{self.user}:{self.password}"

    @property
    def database_password(self) -> str:
        password = re.search(r"://[^:]+:([^@]+)@", self.database)
        assert password
        return password[1]


@contextlib.contextmanager
def on_cilium(clone: Path) -> Iterator[Newcomer]:
    """Start a cluster that enforces NetworkPolicies, without stack prod, which a killed test run may have left.

    Stack dev goes with the cluster: its destruction, which other tests show, takes more than a minute.
    """
    with with_own_cluster(clone, EPHEMERAL_DASK_NETWORK="cilium") as user:
        done = user.make("cluster-up")
        assert done.status == 0, done.progress
        forget(user)
        yield user
        forget(user)
        user.shell("pulumi stack rm --force --yes dev")
    LocalCluster(user.place).down(purge=True)


def forget(user: Newcomer) -> None:
    """Take stack prod back with its secrets."""
    copy = user.place.root.with_name("stacks") / "Pulumi.prod.yaml"
    if copy.exists():
        take_back(user)
    copy.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def newcomer(machine: Machine, own_clone: Path) -> Newcomer:
    user: Newcomer = machine.provide("prod", lambda: on_cilium(own_clone))
    return user


@pytest.fixture(scope="module")
def database(newcomer: Newcomer) -> Iterator[PostgreSQL]:
    with postgresql.running(newcomer.place) as server:
        yield server


@pytest.fixture(scope="module")
def marked(database: PostgreSQL) -> Marked:
    return Marked(
        user="admin",
        password=secrets.token_urlsafe(16),
        database=database.database("prefect"),
        index_password=secrets.token_urlsafe(16),
    )


@pytest.fixture(scope="module")
def dev(newcomer: Newcomer) -> Done:
    prepared = newcomer.make("preview")
    assert prepared.status == 0, prepared.progress
    done = newcomer.shell(UP)
    assert done.status == 0, done.output + done.progress
    return done


@pytest.fixture(scope="module")
def without_secrets(newcomer: Newcomer, dev: Done) -> tuple[Done, str]:
    """The first `make up` of stack prod, which has no secrets yet, and the namespaces after it."""
    assert dev.status == 0
    return newcomer.make("up", "STACK=prod"), newcomer.kubectl("get", "namespaces", "-o", "name")


@pytest.fixture(scope="module")
def prod(newcomer: Newcomer, marked: Marked, without_secrets: tuple[Done, str]) -> Done:
    assert without_secrets[0].status != 0
    script = f"""
        pulumi config set --secret prefectDatabaseUrl "$DATABASE"
        pulumi config set --secret prefectAuthString "$AUTH"
        printf %s "$NETRC" | pulumi config set --secret netrc
        pulumi config set --path 'image.buildSecrets[0]' netrc
        {UP}
    """
    # Values on standard input would be cleaner still; in the environment they are in no process list.
    done = newcomer.shell(script, stack="prod", DATABASE=marked.database, AUTH=marked.auth, NETRC=marked.netrc)
    assert done.status == 0, done.output + done.progress
    return done


def test_prod_asks_for_its_secrets_before_it_creates_anything(without_secrets: tuple[Done, str]) -> None:
    done, namespaces = without_secrets
    assert done.status != 0
    assert "pulumi config set --secret prefectDatabaseUrl" in done.output + done.progress
    assert PROD not in namespaces


@pytest.fixture(scope="module")
def run(newcomer: Newcomer, prod: Done) -> Done:
    assert prod.status == 0
    command = f".venv/bin/prefect deployment run primes/default {shlex.join(SMALL)} --watch --watch-timeout 900"
    return newcomer.shell(command, stack="prod", COLUMNS="200")


def test_a_flow_runs_on_its_own_dask_cluster_behind_authentication_and_policies(run: Done) -> None:
    assert run.status == 0, run.output + run.progress
    assert "Completed" in run.output


@pytest.mark.usefixtures("prod")
def test_the_api_refuses_requests_without_the_auth_string(newcomer: Newcomer) -> None:
    script = (
        "code() { .venv/bin/python -c 'import httpx, sys; print(httpx.get(sys.argv[1], timeout=60).status_code)'"
        ' "$PREFECT_API_URL$1"; }; code /health; code /admin/settings'
    )
    assert newcomer.shell(script, stack="prod").output.split() == ["200", "401"]


@pytest.mark.usefixtures("run")
def test_no_secret_appears_in_state_outputs_previews_objects_or_logs(newcomer: Newcomer, marked: Marked) -> None:
    kinds = "pods,jobs,configmaps,deployments,replicasets,events,daskclusters"
    # Logs first, and only of pods that are still there: those of the run are gone a minute after it.
    script = f"""
        for namespace in {PROD} {PROD_RUNS}; do
            for pod in $(kubectl --namespace $namespace get pods -o name); do
                kubectl --namespace $namespace logs --all-containers $pod ||
                    if kubectl --namespace $namespace get $pod; then exit 1; fi
            done
            kubectl --namespace $namespace get {kinds} -o yaml
        done
        pulumi stack export
        pulumi stack output --json
        pulumi preview --diff --non-interactive
        pulumi preview --json --non-interactive
        .venv/bin/prefect work-pool inspect dask
        .venv/bin/prefect deployment inspect primes/default
    """
    done = newcomer.shell(script, stack="prod", COLUMNS="200")
    assert done.status == 0, done.progress
    everything = done.output + done.progress
    assert "flows-prod" in everything
    for secret in (marked.password, marked.database_password, marked.index_password):
        assert secret not in everything, everything[max(0, everything.find(secret) - 300) :][:400]


def probe(name: str, marks: dict[str, str], image: str) -> dict[str, object]:
    """A pod with the labels of another, so that the same policies apply to it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": HOMES[name], "labels": {**marks, "probe": "true"}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "command": ["sleep", "900"],
                    "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


PROBES = {
    "stranger": {"app": "stranger"},
    "flow": {**policies.FLOW_RUN},
    "operator": dict(policies.OPERATOR),
    "reaper": dict(policies.REAPER),
    "worker": dict(policies.WORKER),
    "scheduler": dict(policies.SCHEDULER),
    "dask-worker": dict(policies.DASK_WORKER),
}
HOMES = {name: PROD if name in ("stranger", "operator", "reaper", "worker") else PROD_RUNS for name in PROBES}
LISTEN = (
    "import socket, threading, sys\n"
    "for port in map(int, sys.argv[1:]):\n"
    "    server = socket.create_server(('', port))\n"
    "    threading.Thread(target=lambda s=server: [s.accept() for _ in iter(int, 1)]).start()\n"
)
ASK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))"


@dataclass(frozen=True)
class Probes:
    """Pods with the labels of the platform's; each listens on Dask's ports.

    Attributes:
        newcomer: whose cluster it is.
        addresses: pod -> its IP address.

    """

    newcomer: Newcomer
    addresses: Mapping[str, str]

    def reaches(self, source: str, target: str, port: int) -> bool:
        address = self.addresses.get(target, target)
        command = ["exec", source, "--", "python", "-c", ASK, address, str(port), str(REFUSED)]
        return self.newcomer.try_kubectl(*command, namespace=HOMES[source]).status == 0


@pytest.fixture(scope="module")
def probes(newcomer: Newcomer, prod: Done) -> Iterator[Probes]:
    assert prod.status == 0
    image = json.loads(newcomer.shell("pulumi stack output --json", stack="prod").output)["flowImage"]
    pods = [probe(name, marks, image) for name, marks in PROBES.items()]
    schedulers = (ports.SCHEDULER_COMM, ports.SCHEDULER_HTTP, ports.SCHEDULER_METRICS)
    listened = [*schedulers, ports.WORKER_COMM, ports.NANNY_COMM, ports.WORKER_HTTP]
    for each in pods:
        container = each["spec"]["containers"][0]  # type: ignore[index]
        container["command"] = ["python", "-c", LISTEN, *map(str, listened)]
    for namespace in (PROD, PROD_RUNS):
        items = [each for each in pods if each["metadata"]["namespace"] == namespace]  # type: ignore[index]
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        newcomer.kubectl("apply", "-f", "-", namespace=namespace, stdin=manifest)
    everywhere = ("pod", "-l", "probe", "--all-namespaces")
    for namespace in (PROD, PROD_RUNS):
        newcomer.kubectl("wait", *everywhere[:3], "--for=condition=Ready", "--timeout=180s", namespace=namespace)
    running = json.loads(newcomer.kubectl("get", *everywhere, "-o", "json"))["items"]
    made = Probes(newcomer, {each["metadata"]["name"]: each["status"]["podIP"] for each in running})
    # Pods get their identity a moment after they run.
    assert until(lambda: made.reaches("flow", "scheduler", ports.SCHEDULER_COMM), seconds=60, interval=2)
    yield made
    newcomer.kubectl("delete", *everywhere, "--wait")


SERVER = f"{naming.SERVER}.{PROD}.svc.cluster.local"


OPEN = (
    ("flow", "scheduler", ports.SCHEDULER_COMM),
    ("dask-worker", "scheduler", ports.SCHEDULER_COMM),
    ("operator", "scheduler", ports.SCHEDULER_HTTP),
    ("scheduler", "dask-worker", ports.WORKER_COMM),
    ("scheduler", "dask-worker", ports.NANNY_COMM),
    ("dask-worker", "dask-worker", ports.WORKER_COMM),
    ("worker", SERVER, naming.SERVER_PORT),
    ("reaper", SERVER, naming.SERVER_PORT),
    ("flow", SERVER, naming.SERVER_PORT),
    ("dask-worker", SERVER, naming.SERVER_PORT),
    ("worker", "kubernetes.default.svc.cluster.local", 443),
    ("flow", "kubernetes.default.svc.cluster.local", 443),
    ("operator", "kubernetes.default.svc.cluster.local", 443),
    ("reaper", "kubernetes.default.svc.cluster.local", 443),
)
CLOSED = (
    # The unauthenticated API that can retire workers.
    ("stranger", "scheduler", ports.SCHEDULER_HTTP),
    ("flow", "scheduler", ports.SCHEDULER_HTTP),
    ("dask-worker", "scheduler", ports.SCHEDULER_HTTP),
    # For metricsClients, of which there are none.
    ("stranger", "scheduler", ports.SCHEDULER_METRICS),
    # Access to this port runs code.
    ("stranger", "scheduler", ports.SCHEDULER_COMM),
    ("worker", "scheduler", ports.SCHEDULER_COMM),
    ("stranger", "dask-worker", ports.WORKER_COMM),
    ("flow", "dask-worker", ports.WORKER_COMM),
    ("stranger", SERVER, naming.SERVER_PORT),
    ("operator", SERVER, naming.SERVER_PORT),
    ("reaper", "scheduler", ports.SCHEDULER_HTTP),
    ("stranger", "kubernetes.default.svc.cluster.local", 443),
    ("dask-worker", "kubernetes.default.svc.cluster.local", 443),
    ("scheduler", "kubernetes.default.svc.cluster.local", 443),
)
AT_ONCE = 4
"""Connections tried at the same time: one that is refused takes seconds, and there are many."""


@pytest.fixture(scope="module")
def connections(probes: Probes) -> Mapping[tuple[str, str, int], bool]:
    """Each connection of both lists -> whether it was possible."""

    def opens(pair: tuple[str, str, int]) -> bool:
        # A pod listens, and has its identity everywhere, a moment after it runs.
        return until(lambda: probes.reaches(*pair), seconds=60, interval=2)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        opened = dict(zip(OPEN, pool.map(opens, OPEN), strict=True))
        return opened | dict(zip(CLOSED, pool.map(lambda pair: probes.reaches(*pair), CLOSED), strict=True))


@pytest.mark.parametrize("connection", OPEN, ids=lambda pair: "-".join(map(str, pair)))
def test_a_connection_that_the_platform_needs_is_open(
    connections: Mapping[tuple[str, str, int], bool], connection: tuple[str, str, int]
) -> None:
    assert connections[connection]


@pytest.mark.parametrize("connection", CLOSED, ids=lambda pair: "-".join(map(str, pair)))
def test_a_connection_that_the_platform_does_not_need_is_closed(
    connections: Mapping[tuple[str, str, int], bool], connection: tuple[str, str, int]
) -> None:
    assert not connections[connection]


@pytest.fixture(scope="module")
def consumer(newcomer: Newcomer, dev: Done) -> Iterator[Done]:
    assert dev.status == 0
    own = "unset PULUMI_OPTION_CONFIG_FILE PULUMI_STACK; cd examples/consumer; export PULUMI_CONFIG_PASSPHRASE=consumer"
    settings = newcomer.place.root.with_name("consumer.yaml")
    stack = f"--stack e2e --config-file {settings}"
    # The salt that Pulumi writes beside the program is the new stack's, and goes with it.
    made = f"pulumi stack init e2e --no-select --non-interactive && mv Pulumi.e2e.yaml {settings}"
    left = "if pulumi stack ls --json | grep -q '\"e2e\"'; then pulumi stack rm --force --yes e2e; fi"
    yield newcomer.shell(
        f"{own}; {left}; {made}; pulumi config set platform organization/ephemeral-dask/dev {stack}; {UP} {stack}"
    )
    newcomer.shell(f"{own}; pulumi destroy --yes --skip-preview --non-interactive {stack} && pulumi stack rm --yes e2e")
    settings.unlink(missing_ok=True)


def test_another_teams_program_builds_on_the_outputs(newcomer: Newcomer, consumer: Done) -> None:
    assert consumer.status == 0, consumer.output + consumer.progress
    data = newcomer.kubectl("get", "configmap", "prefect", "-o", "jsonpath={.data}", namespace="consumer")
    assert json.loads(data)["PREFECT_API_URL"] == "http://prefect-server.flows.svc:4200/api"
    assert "consumer-reaches-prefect" in newcomer.kubectl("get", "networkpolicies", "-o", "name")


@pytest.mark.usefixtures("run", "connections")
def test_no_identity_is_refused_anything_that_it_asks_for(newcomer: Newcomer) -> None:
    log = LocalCluster(newcomer.place).info().audit_log
    ours = f"system:serviceaccount:{PROD}:"
    refused = [str(each) for each in audit.requests(log) if each.refused and each.user.startswith(ours)]
    assert refused == []


@pytest.mark.usefixtures("run")
def test_the_two_stacks_share_the_definitions_and_nothing_else(newcomer: Newcomer) -> None:
    script = "pulumi stack --show-ids --stack {} | grep -oE '[a-z0-9-]+/[a-z0-9.-]+' | sort -u"
    dev = set(newcomer.shell(script.format("dev")).output.split())
    prod = set(newcomer.shell(script.format("prod"), stack="prod").output.split())
    assert {each for each in dev & prod if each.startswith(("flows/", f"{PROD}/"))} == set()


@pytest.mark.usefixtures("run", "connections")
def test_a_changed_secret_replaces_the_pods_that_read_it_and_the_preview_says_so(newcomer: Newcomer) -> None:
    change = """printf %s "$AUTH" | pulumi config set --secret prefectAuthString"""
    shown = newcomer.shell(
        f"{change}\npulumi preview --json --non-interactive",
        stack="prod",
        AUTH=f"admin:{secrets.token_urlsafe(16)}",
    )
    assert shown.status == 0, shown.progress
    changed = {step["urn"].rpartition("::")[2] for step in json.loads(shown.output)["steps"] if step["op"] != "same"}
    readers = {"prefect-server-deployment", "prefect-worker-dask-deployment", "dask-reaper-deployment"}
    assert {"prefect-credential-secret", *readers} <= changed
    assert not any(name.startswith("dask-operator") for name in changed), changed
    # With a refresh, which asks the server before it knows the new value.
    done = newcomer.shell(f"{UP} --refresh", stack="prod")
    assert done.status == 0, done.output + done.progress
    # Only a server that asks for the new value lets this shell in.
    assert newcomer.shell(".venv/bin/prefect work-pool inspect dask", stack="prod").status == 0
    again = newcomer.shell("pulumi preview --expect-no-changes --non-interactive", stack="prod")
    assert again.status == 0, again.output + again.progress


@pytest.mark.usefixtures("prod")
def test_a_destroy_of_protected_data_is_refused_and_says_how_to_lift_that(newcomer: Newcomer) -> None:
    done = newcomer.make("down", "STACK=prod", YES="1")
    assert done.status != 0
    assert "pulumi state unprotect" in done.output + done.progress
    # Not only the data: all of it works on.
    left = newcomer.kubectl("get", "deployments", "-o", "name", namespace=PROD)
    assert {name.rpartition("/")[2] for name in left.split()} >= {naming.SERVER, naming.OPERATOR, "prefect-worker-dask"}


@pytest.fixture(scope="module")
def live_run(newcomer: Newcomer, prod: Done) -> str:
    """Start a run whose tasks take more than a minute."""
    assert prod.status == 0
    return running(newcomer, "steps/default", "--param", "count=160", stack="prod")


def test_flow_pods_and_dask_workers_hold_the_prefect_credential_and_schedulers_do_not(
    newcomer: Newcomer, live_run: str
) -> None:
    components = {
        "flow pod": f"{labels.PREFECT_FLOW_RUN}={live_run}",
        "scheduler": f"ephemeral-dask/flow-run={live_run},dask.org/component=scheduler",
        "worker": f"ephemeral-dask/flow-run={live_run},dask.org/component=worker",
    }

    def live(selector: str) -> list[str]:
        only = ("-l", selector, "--field-selector=status.phase=Running")
        return newcomer.kubectl("get", "pods", *only, "-o", "name", namespace=PROD_RUNS).split()

    assert until(lambda: all(map(live, components.values())), seconds=300, interval=1)
    script = "import os; print(*os.environ)"
    variables = {
        kind: newcomer.kubectl("exec", live(selector)[0], "--", "python", "-c", script, namespace=PROD_RUNS).split()
        for kind, selector in components.items()
    }
    holding = {kind for kind, names in variables.items() if set(CREDENTIAL_VARIABLES) & set(names)}
    assert holding == {"flow pod", "worker"}


def test_a_run_lives_through_a_database_that_is_stopped_and_the_server_is_ready_again_by_itself(
    newcomer: Newcomer, live_run: str, database: PostgreSQL
) -> None:
    def is_ready() -> bool:
        server_pods = ("pods", "-l", f"app.kubernetes.io/name={naming.SERVER}")
        field = "jsonpath={.items[*].status.containerStatuses[*].ready}"
        return newcomer.kubectl("get", *server_pods, "-o", field, namespace=PROD) == "true"

    assert state(newcomer, live_run, stack="prod")[0] == "RUNNING", "the fault came too late"
    before = restarts(newcomer, naming.SERVER, namespace=PROD)
    database.stop()
    try:
        assert until(lambda: not is_ready(), seconds=90, interval=1), "the server is ready without its database"
    finally:
        database.start()
    assert until(is_ready, seconds=120, interval=1)
    assert restarts(newcomer, naming.SERVER, namespace=PROD) == before
    assert ended(newcomer, live_run, seconds=300, stack="prod")[0] == "COMPLETED"
    # The next tests count the live runs.
    finished = f"{labels.PREFECT_FLOW_RUN}={live_run}"
    pods = ("get", "pods", "-l", finished, "--field-selector=status.phase=Running", "-o", "name")
    assert until(lambda: not newcomer.kubectl(*pods, namespace=PROD_RUNS), seconds=120, interval=1)


@pytest.mark.takes_down
@pytest.mark.usefixtures("prod")
def test_a_destroy_with_a_live_run_is_refused_and_the_run_continues(newcomer: Newcomer) -> None:
    run = newcomer.start("primes/default", "--param", "parts=500", *SMALL, stack="prod")

    def jobs() -> str:
        selector = f"{labels.PREFECT_FLOW_RUN}={run}"
        return newcomer.kubectl("get", "pods", "-l", selector, "-o", "name", namespace=PROD_RUNS)

    assert until(lambda: bool(jobs()), seconds=120, interval=1)
    lifted = newcomer.shell("pulumi state unprotect --all --yes --non-interactive", stack="prod")
    assert lifted.status == 0, lifted.progress
    done = newcomer.make("down", "STACK=prod", YES="1")
    assert done.status != 0
    assert "was not destroyed: 1 flow run(s) are live" in done.output + done.progress
    assert jobs()


@pytest.mark.takes_down
@pytest.mark.usefixtures("prod")
def test_destroying_a_drained_stack_leaves_nothing_of_it_and_does_not_touch_the_other_one(newcomer: Newcomer) -> None:
    cancel = (
        "for id in $(.venv/bin/prefect flow-run ls --state Running --state Pending | grep -oE '[0-9a-f-]{36}'); do"
        " .venv/bin/prefect flow-run cancel $id; done"
    )
    newcomer.shell(cancel, stack="prod", COLUMNS="200")
    lifted = newcomer.shell("pulumi state unprotect --all --yes --non-interactive", stack="prod")
    assert lifted.status == 0, lifted.progress
    live = ".venv/bin/prefect flow-run ls --state Running --state Pending --state Cancelling"

    def drained() -> bool:
        listed = newcomer.shell(live, stack="prod", COLUMNS="200")
        return listed.status == 0 and "primes" not in listed.output

    assert until(drained, seconds=240, interval=3)
    done = newcomer.make("down", "STACK=prod", YES="1")
    assert done.status == 0, done.output + done.progress
    namespaces = newcomer.kubectl("get", "namespaces", "-o", "name")
    assert "namespace/flows-prod" not in namespaces
    assert "namespace/flows\n" in namespaces + "\n"
