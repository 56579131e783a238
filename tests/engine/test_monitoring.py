"""The alerts by promtool, and the dashboard by a Prometheus that has scraped a reaper and a Dask cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import pytest
import yaml
from distributed import Client, LocalCluster

from infra.monitoring import alerts
from infra.monitoring.dashboard import dashboard
from infra.settings import Settings
from ops import reaper
from ops.exposition import Exposition
from ops.judgement import Bounds
from ops.metrics import Metrics
from tests.support import prometheus
from tests.unit.ops.fakes import FakeKubernetes, FakePrefect, at
from tools.cluster.wait import until

pytestmark = pytest.mark.xdist_group("monitoring")

SETTINGS: Final = Settings.model_validate(
    {
        "image": {"builder": "docker-build", "registry": "r"},
        "results": {"store": "volume"},
        "monitoring": {"monitors": True, "alerts": True, "dashboard": True, "runbooks": "https://docs.example.com/o"},
    },
    by_alias=True,
)
POOL: Final = 'namespace="flows",work_pool="dask"'
BEATS: Final = "ephemeral_dask_worker_heartbeat_timestamp_seconds"
CHECKS: Final = "ephemeral_dask_last_check_timestamp_seconds"
VOLUME: Final = 'namespace="flows-runs",persistentvolumeclaim="results"'


@dataclass(frozen=True, kw_only=True)
class Case:
    """What happens, by minute, and what an alert says about it.

    Attributes:
        series: name with labels -> values in promtool's notation, one a minute.
        quiet: minute at which it says nothing.
        fires: minute at which it is firing.
        labels: of the alert, beside its name and severity.
        summary: of the alert.

    """

    series: dict[str, str]
    quiet: int
    fires: int
    labels: dict[str, str]
    summary: str


ON_POOL: Final = {"namespace": "flows", "work_pool": "dask"}
CASES: Final = {
    "RunStuckPending": Case(
        series={
            f"ephemeral_dask_oldest_pending_flow_run_seconds{{{POOL}}}": "0+60x20",
            f"ephemeral_dask_pending_timeout_seconds{{{POOL}}}": "600x20",
        },
        quiet=6,
        fires=7,
        labels=ON_POOL,
        summary="A flow run of work pool dask has been Pending for 7m 0s",
    ),
    "RunsCrash": Case(
        series={
            f'ephemeral_dask_flow_runs_ended_total{{{POOL},state="crashed"}}': "0x60 0+1x60",
            f'ephemeral_dask_flow_runs_ended_total{{{POOL},state="completed"}}': "0x60 0+3x60",
        },
        quiet=60,
        fires=120,
        labels=ON_POOL,
        summary="25% of the flow runs of work pool dask crashed in the last hour",
    ),
    "ClusterOutlivesRun": Case(
        series={'ephemeral_dask_clusters{namespace="flows",state="over"}': "1x3 0x10 2x30"},
        quiet=20,
        fires=26,
        labels={"namespace": "flows", "state": "over"},
        summary="2 Dask cluster(s) still exist after the end of their runs",
    ),
    "OperatorSilent": Case(
        series={'ephemeral_dask_clusters{namespace="flows",state="unhandled"}': "0x5 1x10"},
        quiet=7,
        fires=9,
        labels={"namespace": "flows", "state": "unhandled"},
        summary="1 Dask cluster(s) are ignored by the Dask operator",
    ),
    "RunsQueue": Case(
        series={
            f"ephemeral_dask_oldest_due_flow_run_seconds{{{POOL}}}": "0+60x20",
            'ephemeral_dask_oldest_due_flow_run_seconds{namespace="flows",work_pool="idle"}': "0+60x20",
            f"ephemeral_dask_work_pool_paused{{{POOL}}}": "0x20",
            'ephemeral_dask_work_pool_paused{namespace="flows",work_pool="idle"}': "1x20",
        },
        quiet=10,
        fires=11,
        labels=ON_POOL,
        summary="A flow run of work pool dask has been due for 11m 0s",
    ),
    "WorkerSilent": Case(
        series={f"{BEATS}{{{POOL}}}": "0+60x5 300x20"},
        quiet=9,
        fires=11,
        labels=ON_POOL,
        summary="No worker of work pool dask has sent a heartbeat for 3 minutes",
    ),
    "VolumeFilling": Case(
        series={
            f"kubelet_volume_stats_available_bytes{{{VOLUME}}}": "20x5 10x30",
            f"kubelet_volume_stats_capacity_bytes{{{VOLUME}}}": "100x35",
        },
        quiet=20,
        fires=22,
        labels={"namespace": "flows-runs", "persistentvolumeclaim": "results"},
        summary="10% of volume results is free",
    ),
    "ReaperBlind": Case(
        series={
            f'{CHECKS}{{namespace="flows",api="kubernetes"}}': "0+60x30",
            f'{CHECKS}{{namespace="flows",api="prefect"}}': "0+60x5 300x25",
        },
        quiet=12,
        fires=13,
        labels={"namespace": "flows", "api": "prefect"},
        summary="The reaper has not compared runs with the prefect API for 5 minutes",
    ),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(alerts.prometheus_rule(SETTINGS)))
    return path


def promtool(*arguments: str, cwd: Path) -> str:
    command = [prometheus.program("promtool"), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_every_rule(rules: Path) -> None:
    assert f"SUCCESS: {len(CASES)} rules found" in promtool("check", "rules", str(rules), cwd=rules.parent)


def test_each_alert_fires_when_its_state_has_lasted_and_not_before(rules: Path) -> None:
    declared = {rule["alert"].removeprefix("EphemeralDask"): rule for rule in _rules(rules)}
    assert set(declared) == set(CASES)
    tests = {
        "rule_files": [rules.name],
        "evaluation_interval": "1m",
        "tests": [_test(case, declared[name]) for name, case in CASES.items()],
    }
    (rules.parent / "tests.yaml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", "tests.yaml", cwd=rules.parent)


def test_a_reaper_that_is_gone_is_blind_on_both_sides(rules: Path) -> None:
    [blind] = [rule for rule in _rules(rules) if rule["alert"] == "EphemeralDaskReaperBlind"]
    expected = [_alert(blind, {"namespace": "flows", "api": api}, _blind(api)) for api in ("kubernetes", "prefect")]
    check = {"eval_time": "10m", "alertname": blind["alert"], "exp_alerts": expected}
    tests = {"rule_files": [rules.name], "tests": [{"interval": "1m", "alert_rule_test": [check]}]}
    (rules.parent / "absent.yaml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", "absent.yaml", cwd=rules.parent)


def _blind(api: str) -> str:
    return f"The reaper has not compared runs with the {api} API for 5 minutes"


def _rules(path: Path) -> list[dict[str, Any]]:
    [group] = yaml.safe_load(path.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def _test(case: Case, rule: dict[str, Any]) -> dict[str, Any]:
    checks = [
        {"eval_time": f"{case.quiet}m", "alertname": rule["alert"], "exp_alerts": []},
        {
            "eval_time": f"{case.fires}m",
            "alertname": rule["alert"],
            "exp_alerts": [_alert(rule, case.labels, case.summary)],
        },
    ]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {"interval": "1m", "input_series": series, "alert_rule_test": checks}


def _alert(rule: dict[str, Any], labels: dict[str, str], summary: str) -> dict[str, Any]:
    annotations = {**rule["annotations"], "summary": summary}
    return {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": annotations}


KUBELET: Final = "".join(
    f'kubelet_volume_stats_{what}_bytes{{namespace="{namespace}",persistentvolumeclaim="{claim}"}} {number}\n'
    for namespace, claim in (("flows", "prefect-server"), ("flows-runs", "results"))
    for what, number in (("available", 40), ("capacity", 100))
)
"""What a kubelet says about volumes: no kubelet runs here."""


def served(text: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def target(port: int, namespace: str, **more: Any) -> dict[str, Any]:
    """Return a job whose series have the labels that the Prometheus operator sets."""
    labels = {"namespace": namespace, "pod": f"pod-{port}"}
    return {"static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}], "honor_labels": True, **more}


class Time:
    """A clock of the page that lets each scrape ask."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus that has read a reaper between fakes while runs end, a Dask cluster with data, and a kubelet."""
    kubernetes, prefect = FakeKubernetes(), FakePrefect()
    prefect.worker_heartbeats = [at(5)]
    metrics = Metrics({"dask": Bounds(pending_timeout=600, crashed_after=None)})
    page = Exposition(metrics, kubernetes.client, prefect.client, clock=Time())
    for api in ("kubernetes", "prefect"):
        metrics.checked(api, 1000)
    with ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0")
        )
        client = stack.enter_context(Client(cluster))
        kept = client.submit(bytes, 1000)
        kept.result()
        [worker] = cluster.workers.values()
        reaping = reaper.serve(reaper.Reaper(kubernetes.client, maximum_lifetime=60), page, 0)
        kubelet = served(KUBELET)
        for server in (reaping, kubelet):
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        targets = {
            "reaper": target(reaping.server_address[1], "flows"),
            "scheduler": target(cluster.scheduler.http_server.port, "flows-runs"),
            "worker": target(worker.http_server.port, "flows-runs"),
            "kubelet": target(kubelet.server_address[1], "kube-system"),
        }
        api = stack.enter_context(prometheus.running(tmp_path_factory.mktemp("prometheus"), targets))
        ended = 'ephemeral_dask_flow_runs_ended_total{state="crashed"}'
        assert until(lambda: bool(query(api, ended)), seconds=120, interval=0.2)
        prefect.add("CRASHED", end_time=at(0), start_time=at(9), expected_start_time=at(20))
        metrics.crashed("dask", "Its pod ended: exit code 1")
        assert until(lambda: bool(query(api, f"increase({ended}[1m]) > 0")), seconds=120, interval=0.2)
        yield api


def query(api: httpx.Client, expression: str) -> list[Any]:
    answer = api.get("/query", params={"query": expression})
    assert answer.status_code == httpx.codes.OK, f"{expression}: {answer.text}"
    result: list[Any] = answer.json()["data"]["result"]
    return result


def test_every_query_of_the_dashboard_has_an_answer(scraped: httpx.Client) -> None:
    empty = []
    for panel in dashboard(SETTINGS)["panels"]:
        for each in panel.get("targets", ()):
            expression = each["expr"].replace("$__rate_interval", "1m").replace("$work_pool", ".*")
            # A rate needs two scrapes of a target, of which one may be late.
            if not until(lambda expression=expression: bool(query(scraped, expression)), seconds=30, interval=0.5):
                empty.append(f"{panel['title']}: {expression}")
    assert empty == []


def test_the_legends_of_the_dashboard_name_labels_that_the_answers_have(scraped: httpx.Client) -> None:
    for panel in dashboard(SETTINGS)["panels"]:
        for each in panel.get("targets", ()):
            expression = each["expr"].replace("$__rate_interval", "1m").replace("$work_pool", ".*")
            names = [part.partition("}}")[0] for part in each["legendFormat"].split("{{")[1:]]
            for series in query(scraped, expression):
                assert set(names) <= set(series["metric"]), f"{panel['title']}: {series['metric']}"


def test_no_alert_is_caused_by_a_stack_that_is_well(scraped: httpx.Client) -> None:
    quiet = ("RunStuckPending", "ClusterOutlivesRun", "OperatorSilent", "RunsQueue", "VolumeFilling", "RunsCrash")
    for alert in alerts.alerts(SETTINGS):
        if alert.name in quiet:
            assert query(scraped, alert.expr) == [], alert.name
