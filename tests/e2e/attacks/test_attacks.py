"""A flow author attacks the platform and other runs from inside a flow pod, with all that the pod has.

Each attack is refused, and succeeds when its defence is taken away, so it is that defence that refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from ephemeral_dask.contract import labels, results
from tests.e2e.attacks.attack import Target
from tests.e2e.attacks.attacker import NOTICED, Answer, Attacker, flow_pod, of_run
from tests.e2e.attacks.table import ATTACKS, OWN, by_defence
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.results import LIST, on_results
from tests.e2e.runs import ask, jobs, left
from tools.cluster.wait import until

BY_DEFENCE = by_defence()


@dataclass(frozen=True)
class Scene:
    """A flow pod that attacks, and what it attacks."""

    attacker: Attacker
    target: Target


@pytest.fixture(scope="module")
def scene(newcomer: Newcomer) -> Iterator[Scene]:
    """Provide the living pods of two flow runs, the second of which has a Dask cluster."""
    runs = (
        newcomer.start("patient/several", "--param", "seconds=1200"),
        newcomer.start("steps/default", "--param", "count=1000"),
    )
    try:
        yield _scene(newcomer, *runs)
    finally:
        cancel = f"[await client.set_flow_run_state(one, states.Cancelling()) for one in {runs}]"
        ask(newcomer, f"len({cancel})")
        assert until(lambda: not any(_live(newcomer, run) for run in runs), seconds=120, interval=1), runs


def _live(newcomer: Newcomer, run: str) -> str:
    running = ("-l", f"{labels.PREFECT_FLOW_RUN}={run}", "--field-selector=status.phase=Running")
    return newcomer.kubectl("get", "pods", *running, "-o", "name", namespace=RUNS) + left(newcomer, run)


def _scene(newcomer: Newcomer, run: str, victim: str) -> Scene:
    assert until(lambda: "daskworkergroup" in left(newcomer, victim), seconds=180, interval=1), (
        "no Dask cluster to attack"
    )
    assert until(lambda: "pod/" in jobs(newcomer, run), seconds=180, interval=1), "no pod to attack from"
    pod, victim_pod = (flow_pod(newcomer, each) for each in (run, victim))
    newcomer.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=180s", namespace=RUNS)
    attacker = of_run(newcomer, run)
    own, beyond = attacker.clusters()
    selector = f"{labels.FLOW_RUN}={victim}"
    [other] = json.loads(newcomer.kubectl("get", "daskclusters", "-l", selector, "-o", "json", namespace=RUNS))["items"]
    target = Target(
        cluster=own,
        raised=beyond,
        pod=pod,
        victim=other["metadata"]["name"],
        victim_job=other["metadata"]["labels"][labels.JOB],
        victim_pod=victim_pod,
        deployment=attacker.of_prefect(f"flow_runs/{run}")["deployment_id"],
    )
    return Scene(attacker, target)


@pytest.fixture(scope="module")
def answers(scene: Scene) -> Mapping[str, Answer]:
    """Try everything once."""
    return scene.attacker.tries(ATTACKS, scene.target)


def test_a_run_creates_its_own_dask_cluster(scene: Scene) -> None:
    answers = scene.attacker.tries({"own": OWN}, scene.target)
    assert answers["own"].accepted, answers


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str, answers: Mapping[str, Answer]) -> None:
    attack, answer = ATTACKS[name], answers[name]
    assert answer.status == attack.status, answer
    assert attack.words in answer.message, answer


@pytest.mark.parametrize("kind", BY_DEFENCE)
def test_an_attack_succeeds_without_its_defence_alone(kind: str, scene: Scene, newcomer: Newcomer) -> None:
    attacks, defence = BY_DEFENCE[kind]
    with defence.off(newcomer):
        answers = scene.attacker.tries(attacks, scene.target, accepted=True, seconds=NOTICED)
        failed = {name: answer for name, answer in answers.items() if not answer.accepted}
        assert not failed
    answers = scene.attacker.tries(attacks, scene.target, accepted=False, seconds=NOTICED)
    restored = {name: answer.status for name, answer in answers.items()}
    assert restored == {name: attack.status for name, attack in attacks.items()}


def test_a_flow_pod_sees_no_task_result_of_another_deployment(scene: Scene, newcomer: Newcomer) -> None:
    own = results.folder(scene.target.deployment)

    def on_volume() -> set[str]:
        return {file for file in on_results(newcomer, LIST).split() if not file.startswith(f"{own}/")}

    assert until(lambda: bool(on_volume()), seconds=180, interval=5), "the volume has no results of others"
    files = {file.removeprefix("/results/") for file in scene.attacker.files("/results")}
    others = on_volume()
    assert not files & (others | {file.rpartition("/")[2] for file in others})
