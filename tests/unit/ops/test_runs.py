"""What becomes of a flow run, by comparing fakes of both APIs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from ephemeral_dask.contract.causes import Cause
from ops import objects, runs
from ops.fields import parsed
from ops.judgement import Bounds, Judge, World
from ops.kubernetes import FLOW_PODS
from ops.runs import Runs
from tests.unit.ops.fakes import RUN, FakeKubernetes, FakePrefect, at, flow_pod, job, terminated, waiting

INTERVAL = 5.0
PENDING, SILENT = 600.0, 300.0


@dataclass
class Platform:
    """Both APIs and the loop between them."""

    kubernetes: FakeKubernetes = field(default_factory=FakeKubernetes)
    prefect: FakePrefect = field(default_factory=FakePrefect)
    time: float = 0.0
    pod_logs: str = ""

    def __post_init__(self) -> None:
        judge = Judge(namespace="flows", bounds={"dask": Bounds(pending_timeout=PENDING, crashed_after=SILENT)})
        self.runs = Runs(
            self.kubernetes.client, self.prefect.client, judge, pod_logs=self.pod_logs, clock=lambda: self.time
        )

    def objects(self, *pods: dict[str, Any], jobs: tuple[dict[str, Any], ...] = (job(),)) -> Platform:
        self.kubernetes.objects |= {"pods": list(pods), "jobs": list(jobs)}
        return self

    def check(self, times: int = 1, *, every: float = INTERVAL) -> None:
        for _ in range(times):
            client = self.kubernetes.client
            listing = client.list_jobs()
            jobs = list(parsed(objects.job, "Job", listing))
            pods = list(parsed(objects.flow_pod, "Pod", client.list_pods(FLOW_PODS)))
            self.runs.reconcile(World.of(listing.now, pods, jobs))
            self.time += every

    def proposal(self) -> tuple[str, str]:
        """Check twice and return the one state that was proposed."""
        self.check(2)
        [(_, type_, message, forced)] = self.prefect.proposals
        assert not forced
        return type_, message


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (terminated(137, "OOMKilled"), "exit code 137 (OOMKilled): it needed more memory than its limit"),
        (terminated(137), "exit code 137: it was killed"),
        (terminated(1), "exit code 1"),
        (terminated(0, "Completed"), "exit code 0"),
        ({"reason": "Evicted", "message": "The node was low on resource: memory."}, "Evicted: The node was low"),
        (
            {**terminated(143), "conditions": [{"type": "DisruptionTarget", "message": "node drained"}]},
            "node drained; exit code 143",
        ),
    ],
)
def test_a_running_run_whose_pod_has_ended_is_crashed_with_how_it_ended_and_its_last_lines(
    platform: Platform, status: Any, words: str
) -> None:
    platform.objects(flow_pod("Failed", status=status), jobs=(job("Failed"),))
    platform.kubernetes.log = "loading\nbye"
    platform.prefect.add("RUNNING")
    type_, message = platform.proposal()
    assert type_ == "CRASHED"
    assert f"Its pod ended: {words}" in message
    assert message.endswith("loading\nbye")


def test_the_message_has_the_address_of_the_whole_log_where_the_cluster_keeps_logs() -> None:
    template = 'https://logs.example.com/explore?query={"pod":"{pod}","ns":"{namespace}"}'
    platform = Platform(pod_logs=template)
    platform.objects(flow_pod("Failed", status=terminated(1)), jobs=(job("Failed"),))
    platform.kubernetes.log = "bye"
    platform.prefect.add("RUNNING")
    lines = platform.proposal()[1].splitlines()
    assert lines[0] == "Its pod ended: exit code 1"
    assert lines[1] == 'Its log: https://logs.example.com/explore?query={"pod":"flow-u1","ns":"flows"}'
    assert lines[2] == "The last lines of its log:"


def beside_a_sidecar(status: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a pod with a container that never ends, as a service mesh adds one."""
    sidecar = {"name": "istio-proxy", "state": {"running": {"startedAt": at(90)}}}
    return {"containerStatuses": [sidecar, *status["containerStatuses"]]}


def test_a_run_whose_process_ended_beside_a_sidecar_is_crashed_and_its_job_deleted(platform: Platform) -> None:
    platform.objects(flow_pod("Running", status=beside_a_sidecar(terminated(137))))
    platform.kubernetes.log = "bye"
    platform.prefect.add("RUNNING")
    type_, message = platform.proposal()
    assert type_ == "CRASHED"
    assert "Its pod ended: exit code 137: it was killed" in message
    assert message.endswith("bye")
    platform.check(int(runs.ENDS_WITHIN / INTERVAL) + 2)
    assert set(platform.kubernetes.deleted()) == {"jobs/job"}


def test_a_run_that_completes_beside_a_sidecar_keeps_its_state_and_its_job_is_deleted(platform: Platform) -> None:
    platform.objects(flow_pod("Running", status=beside_a_sidecar(terminated(0, "Completed"))))
    platform.prefect.add("COMPLETED")
    platform.check(int(runs.ENDS_WITHIN / INTERVAL) + 2)
    assert platform.prefect.proposals == []
    assert set(platform.kubernetes.deleted()) == {"jobs/job"}


def test_a_sidecar_that_ends_first_ends_no_run(platform: Platform) -> None:
    running = {"containerStatuses": [{"name": "prefect-job", "state": {"running": {}}}]}
    status = beside_a_sidecar(running)
    status["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 1}}
    platform.objects(flow_pod("Running", status=status))
    platform.prefect.add("RUNNING")
    platform.check(4)
    assert platform.prefect.proposals == []


def test_a_pending_run_whose_process_ended_beside_a_sidecar_is_crashed_with_how_it_ended(platform: Platform) -> None:
    platform.objects(flow_pod("Running", status=beside_a_sidecar(terminated(1))))
    platform.prefect.add("PENDING")
    platform.check(int(30 / INTERVAL) + 3)
    [(_, type_, message, _)] = platform.prefect.proposals
    assert type_ == "CRASHED"
    assert "Its pod ended before the run started: exit code 1" in message


def test_a_pod_that_is_gone_at_the_second_comparison_is_described_all_the_same(platform: Platform) -> None:
    platform.objects(flow_pod("Failed", status=terminated(1)), jobs=(job("Failed"),))
    platform.kubernetes.log = "bye"
    platform.prefect.add("RUNNING")
    platform.check()
    platform.kubernetes.log = ""
    assert "bye" in platform.proposal()[1]


def test_a_running_run_whose_job_was_deleted_is_crashed(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING")
    assert platform.proposal() == ("CRASHED", "Its Job was deleted.")


def test_a_job_that_exceeded_its_deadline_says_so(platform: Platform) -> None:
    deadline = job("Failed", reason="DeadlineExceeded", message="Job was active longer than specified deadline")
    platform.objects(jobs=(deadline,))
    platform.prefect.add("RUNNING")
    assert "DeadlineExceeded: Job was active longer" in platform.proposal()[1]


def test_a_pod_on_a_lost_node_counts_as_ended(platform: Platform) -> None:
    platform.objects(flow_pod("Running", deletionTimestamp=at(90)))
    platform.prefect.add("RUNNING")
    assert platform.proposal() == ("CRASHED", "Its pod ended: its node does not answer")


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_a_run_with_a_live_pod_stays_running(platform: Platform, phase: str) -> None:
    platform.objects(flow_pod(phase))
    platform.prefect.add("RUNNING")
    platform.check(5)
    assert platform.prefect.proposals == []


def test_a_run_whose_pod_is_about_to_be_created_stays_running(platform: Platform) -> None:
    platform.objects()
    platform.prefect.add("RUNNING")
    platform.check(5)
    assert platform.prefect.proposals == []


def test_a_rescheduled_run_is_judged_by_its_newest_job(platform: Platform) -> None:
    ended, live = flow_pod("Failed", uid="old", status=terminated(143)), flow_pod("Running", uid="new")
    platform.objects(ended, live, jobs=(job("Failed", uid="old", name="old", age=500), job(uid="new", name="new")))
    platform.prefect.add("RUNNING")
    platform.check(5)
    assert platform.prefect.proposals == []


def test_one_comparison_judges_nothing(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING")
    platform.check()
    assert platform.prefect.proposals == []
    platform.objects(flow_pod("Running"))
    platform.check()
    platform.objects(jobs=())
    platform.check()
    assert platform.prefect.proposals == []


def test_a_run_that_changes_its_state_between_two_comparisons_is_compared_again(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING")
    platform.check()
    platform.prefect.state(RUN, type="RUNNING", name="Retrying")
    platform.check()
    assert platform.prefect.proposals == []
    platform.check()
    assert len(platform.prefect.proposals) == 1


def test_a_run_that_changes_its_state_after_the_comparison_is_left_alone(platform: Platform) -> None:
    platform.objects(flow_pod("Pending"), jobs=(job(age=PENDING + 1),))
    platform.prefect.add("PENDING")
    platform.prefect.changes_when_read_again = "RUNNING"
    platform.check(2)
    assert platform.prefect.proposals == []
    assert platform.kubernetes.deleted() == []


@pytest.mark.parametrize("side", ["prefect", "kubernetes"])
def test_after_an_outage_of_either_side_nothing_is_judged_by_what_was_seen_before(
    platform: Platform, side: str
) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING")
    platform.check()
    if side == "prefect":
        platform.prefect.is_up = False
        platform.check(60)
        platform.prefect.is_up = True
    else:
        platform.runs.forget()
        platform.time += 300
    platform.check()
    assert platform.prefect.proposals == []
    assert platform.proposal()[0] == "CRASHED"


def test_a_run_that_lives_through_an_outage_of_the_server_stays_running(platform: Platform) -> None:
    platform.objects(flow_pod("Running"))
    platform.prefect.add("RUNNING", age=4000)
    platform.prefect.heartbeats[RUN] = at(3600)
    platform.prefect.is_up = False
    platform.check(60)
    platform.prefect.is_up = True
    platform.check(100)
    assert platform.prefect.proposals == []


UNSCHEDULABLE = {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}]}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (waiting("ImagePullBackOff", "not found"), f"{Cause.IMAGE_PULL}: image registry/flow@sha256:0: not found"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), f"{Cause.CONTAINER}: secret"),
        (UNSCHEDULABLE, f"{Cause.UNSCHEDULABLE}: 0/1 nodes: cpu"),
    ],
)
def test_a_run_that_is_pending_for_too_long_is_crashed_with_the_cause_and_its_job_deleted(
    platform: Platform, status: Any, words: str
) -> None:
    platform.objects(flow_pod("Pending", status=status), jobs=(job(age=PENDING + 1),))
    platform.prefect.add("PENDING")
    type_, message = platform.proposal()
    assert type_ == "CRASHED"
    assert message.startswith(f"Its pod did not start within 600 s: {words}")
    assert platform.kubernetes.deleted() == ["jobs/job"]


EVENTS = (
    ("FailedCreate", 'pods "x" is forbidden: exceeded quota: all, requested: cpu=2, used: cpu=9', Cause.QUOTA),
    ("FailedCreate", 'violates PodSecurity "restricted"', Cause.POD_SECURITY),
    ("FailedCreate", 'error looking up service account flows/flow-run: "flow-run" not found', Cause.RBAC),
    ("FailedCreate", "admission webhook denied the request", Cause.REFUSED),
    ("FailedMount", "MountVolume.SetUp failed", Cause.POD_SETUP),
    ("FailedScheduling", "pod has unbound immediate PersistentVolumeClaims", Cause.UNSCHEDULABLE),
)


@pytest.mark.parametrize(("reason", "message", "cause"), EVENTS)
@pytest.mark.parametrize("has_pod", [True, False])
def test_events_name_the_cause_where_the_pod_does_not(
    platform: Platform, reason: str, message: str, cause: Cause, *, has_pod: bool
) -> None:
    pods = [flow_pod("Pending")] if has_pod else []
    platform.objects(*pods, jobs=(job(age=PENDING + 1),))
    old = {"reason": "FailedMount", "message": "earlier", "lastTimestamp": at(500)}
    event = {"reason": reason, "message": message, "lastTimestamp": at(10)}
    about = {"involvedObject": {"uid": "pod-u1" if has_pod else "u1"}}
    platform.kubernetes.objects["events"] = [old | about, event | about]
    platform.prefect.add("PENDING")
    assert platform.proposal()[1] == f"Its pod did not start within 600 s: {cause.value}: {message}"


def test_a_pending_run_is_left_alone_within_its_time(platform: Platform) -> None:
    platform.objects(flow_pod("Pending", status=UNSCHEDULABLE), jobs=(job(age=PENDING - 60),))
    platform.prefect.add("PENDING", age=PENDING + 500)
    platform.check(5)
    assert platform.prefect.proposals == []


def test_a_pending_run_without_any_job_is_crashed_at_its_bound(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("PENDING", pid="", age=0)
    before = int(PENDING // INTERVAL)
    for _ in range(before):
        platform.check()
        platform.prefect.now += timedelta(seconds=INTERVAL)
    assert platform.prefect.proposals == []
    for _ in range(3):
        platform.check()
        platform.prefect.now += timedelta(seconds=INTERVAL)
    [(_, type_, message, _)] = platform.prefect.proposals
    assert (type_, message) == ("CRASHED", "It has had no Job for 600 s: its worker did not create one.")


def test_after_an_outage_a_worker_has_a_minute_to_create_the_job_of_a_pending_run(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("PENDING", pid="", age=PENDING + 500)
    platform.check(10)
    assert platform.prefect.proposals == []
    platform.check(3)
    assert [each[1] for each in platform.prefect.proposals] == ["CRASHED"]


def test_a_pod_that_runs_without_a_report_is_given_its_time_after_an_outage_too(platform: Platform) -> None:
    platform.objects(flow_pod("Running"), jobs=(job(age=4000),))
    platform.prefect.add("PENDING", age=4000)
    platform.check(100)
    assert platform.prefect.proposals == []
    platform.check(30)
    assert "without reporting that the run has started" in platform.prefect.proposals[0][2]


def test_a_run_whose_pod_ended_before_it_started_is_crashed_unless_a_new_job_comes(platform: Platform) -> None:
    platform.objects(flow_pod("Failed", status=terminated(137, "OOMKilled")), jobs=(job("Failed"),))
    platform.prefect.add("PENDING")
    platform.check(5)
    assert platform.prefect.proposals == []
    platform.check(3)
    [(_, type_, message, _)] = platform.prefect.proposals
    assert (type_, "OOMKilled" in message) == ("CRASHED", True)


@pytest.mark.parametrize(
    ("jobs", "state", "message"),
    [
        pytest.param(
            (job("Failed", reason="BackoffLimitExceeded", message="the limit is reached"),),
            "Pending",
            "Its pod was deleted (BackoffLimitExceeded: the limit is reached) before the run started.",
            id="its Job is still there",
        ),
        pytest.param((), "InfrastructurePending", "Its pod was deleted before the run started.", id="its Job is gone"),
    ],
)
def test_a_pending_run_whose_pod_was_deleted_is_crashed_within_its_bound(
    platform: Platform, jobs: Any, state: str, message: str
) -> None:
    platform.objects(jobs=jobs)
    platform.prefect.add("PENDING", name=state, age=5)
    platform.check(6)
    assert platform.prefect.proposals == []
    platform.check(2)
    assert [each[1:3] for each in platform.prefect.proposals] == [("CRASHED", message)]


def test_a_pending_run_whose_pod_was_deleted_is_left_alone_if_it_gets_another_job(platform: Platform) -> None:
    platform.objects(jobs=(job("Failed"),))
    platform.prefect.add("PENDING", name="InfrastructurePending", age=5)
    platform.check(4)
    platform.objects(jobs=(job("Failed"), job(uid="u2", name="next", age=1)))
    platform.check(20)
    assert platform.prefect.proposals == []


@pytest.mark.parametrize("pods", [(flow_pod("Pending"),), ()])
def test_a_cancelled_run_whose_pod_is_pending_is_cancelled_and_its_job_deleted(
    platform: Platform, pods: tuple[Any, ...]
) -> None:
    platform.objects(*pods)
    platform.prefect.add("CANCELLING")
    assert platform.proposal() == ("CANCELLED", "Cancelled before its pod started.")
    assert platform.kubernetes.deleted() == ["jobs/job"]
    assert platform.time <= 15


def test_a_cancelled_run_whose_pod_runs_ends_by_itself(platform: Platform) -> None:
    platform.objects(flow_pod("Running"))
    platform.prefect.add("CANCELLING")
    platform.check(5)
    assert platform.prefect.proposals == []


def test_a_cancelled_run_whose_pod_is_gone_is_cancelled(platform: Platform) -> None:
    platform.objects(flow_pod("Failed"), jobs=(job("Failed"),))
    platform.prefect.add("CANCELLING")
    assert platform.proposal()[0] == "CANCELLED"


def test_the_state_stays_while_the_job_cannot_be_deleted(platform: Platform) -> None:
    """A final state frees the slot, and its pod could still start."""
    platform.objects(flow_pod("Pending"))
    platform.kubernetes.refuse = "job"
    platform.prefect.add("CANCELLING")
    platform.check(4)
    assert platform.prefect.proposals == []


def test_a_run_whose_pod_is_lost_during_a_retry_delay_ends(platform: Platform) -> None:
    platform.objects(flow_pod("Failed", status=terminated(137)), jobs=(job("Failed"),))
    platform.prefect.add("RUNNING", lease="first", age=200, retry_type="in_process")
    platform.prefect.state(RUN, type="SCHEDULED", name="AwaitingRetry", age=100)
    assert platform.proposal() == ("CRASHED", "Its pod ended during a retry delay: exit code 137: it was killed")
    assert platform.prefect.released == ["first"]


def test_a_run_that_a_worker_will_submit_again_is_left_alone(platform: Platform) -> None:
    platform.objects(flow_pod("Succeeded"), jobs=(job("Complete"),))
    platform.prefect.add("SCHEDULED", name="AwaitingRetry", retry_type="reschedule")
    platform.check(5)
    assert platform.prefect.proposals == []


@pytest.mark.parametrize("type_", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_a_pod_that_lives_on_after_its_runs_end_is_ended(platform: Platform, type_: str) -> None:
    platform.objects(flow_pod("Running"))
    platform.prefect.add(type_)
    platform.check(int(runs.ENDS_WITHIN / INTERVAL))
    assert platform.kubernetes.deleted() == []
    platform.check()
    assert platform.kubernetes.deleted() == ["jobs/job"]
    assert platform.prefect.proposals == []


@pytest.mark.parametrize(("message", "restored"), [(None, True), ("", True), ("Retry from the UI", False)])
def test_a_final_state_stays_final_unless_a_person_retries_the_run(
    platform: Platform, message: str | None, *, restored: bool
) -> None:
    platform.objects(flow_pod("Running"))
    platform.prefect.add("CRASHED", message="why")
    platform.check()
    platform.prefect.state(RUN, type="SCHEDULED", name="AwaitingRetry", message=message)
    platform.prefect.state(RUN, type="PENDING")
    platform.check()
    assert platform.prefect.proposals == ([(RUN, "CRASHED", "why", True)] if restored else [])
    assert platform.kubernetes.deleted() == (["jobs/job"] if restored else [])


def test_a_run_without_a_job_is_judged_by_its_heartbeats(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING", pid="", age=1000)
    platform.check(70)
    assert platform.prefect.proposals == [], "it has never sent a heartbeat"
    platform.prefect.heartbeats[RUN] = at(SILENT - 10)
    platform.check(5)
    assert platform.prefect.proposals == []
    platform.prefect.heartbeats[RUN] = at(SILENT + 10)
    platform.check()
    assert platform.prefect.proposals == [(RUN, "CRASHED", "No heartbeat for 300 s.", False)]


def test_heartbeats_that_an_outage_has_swallowed_are_waited_for(platform: Platform) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING", pid="", age=1000)
    platform.prefect.heartbeats[RUN] = at(900)
    platform.check(10)
    platform.prefect.is_up = False
    platform.check(60)
    platform.prefect.is_up = True
    platform.check(59)
    assert platform.prefect.proposals == []


@pytest.mark.parametrize("more", [{"pool": "of-others"}, {"pid": "elsewhere:job"}])
def test_runs_of_others_are_left_alone(platform: Platform, more: dict[str, Any]) -> None:
    platform.objects(jobs=())
    platform.prefect.add("RUNNING", **more)
    platform.check(5)
    assert platform.prefect.proposals == []


def test_an_error_of_one_run_does_not_stop_the_others(platform: Platform) -> None:
    other = RUN.replace("1", "2")
    platform.objects(jobs=(job(run="not-an-id", uid="u7", name="odd"),))
    platform.prefect.add("RUNNING", id=other)
    platform.prefect.add("RUNNING")
    del platform.prefect.runs[other]["state"]["id"]
    platform.check(2)
    assert RUN in [run for run, *_ in platform.prefect.proposals]


def test_more_runs_than_fit_into_one_response_are_judged(platform: Platform) -> None:
    platform.objects(jobs=())
    for number in range(450):
        platform.prefect.add("RUNNING", id=f"00000000-0000-4000-8000-{number:012}")
    platform.check(2)
    assert len(platform.prefect.proposals) == 450


def test_a_server_that_goes_away_between_two_requests_is_not_asked_once_for_every_run(platform: Platform) -> None:
    """Each request without an answer takes its timeout, and the liveness probe allows a minute for all."""
    platform.objects(jobs=())
    for number in range(50):
        platform.prefect.add("RUNNING", id=f"00000000-0000-4000-8000-{number:012}")
    platform.check()
    platform.prefect.goes_away_at = "set_state"
    platform.check()
    assert platform.prefect.unanswered == 1
    platform.prefect.goes_away_at = ""
    platform.check(2)
    assert len(platform.prefect.proposals) == 50


def test_an_outage_is_logged_once(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    platform.prefect.is_up = False
    platform.check(5)
    assert caplog.text.count("The Prefect API does not answer") == 1
