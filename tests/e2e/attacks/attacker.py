"""A flow pod whose code attacks the platform."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import labels
from tests.e2e.attacks.attack import Attack, Request, Target
from tests.e2e.attacks.table import WORKERS
from tests.e2e.newcomer import RUNS, Newcomer

AGENT: Final = "attack"
"""The user agent of its requests: their refusals are not those of a Role that lacks a rule."""

ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod has the files of its account."""

NOTICED: Final = 120
"""Seconds in which a busy API server notices that a defence is gone, or there again."""

SCRIPT: Final = Path(__file__).with_name("in_flow_pod.py").read_text()

Run = Callable[[str, str], str]
"""Runs a Python program with some standard input in the pod, and returns what it prints."""


@dataclass(frozen=True)
class Answer:
    """What an API answered."""

    status: int
    text: str

    @property
    def accepted(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        """Return why the request was refused: Kubernetes has a message, Prefect a detail."""
        content = json.loads(self.text)
        return str(content.get("message") or content.get("detail"))


def of_run(newcomer: Newcomer, run: str) -> Attacker:
    """Return the pod of a flow run that is Running."""
    command = ("exec", "--stdin", flow_pod(newcomer, run), f"--container={labels.FLOW_CONTAINER}", "--", "python", "-c")
    return Attacker(lambda program, stdin: newcomer.kubectl(*command, program, namespace=RUNS, stdin=stdin))


def flow_pod(newcomer: Newcomer, run: str) -> str:
    """Return the name of a run's flow pod."""
    selector = f"{labels.PREFECT_FLOW_RUN}={run}"
    return newcomer.kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[0].metadata.name}", namespace=RUNS)


@dataclass(frozen=True)
class Attacker:
    """A flow pod.

    Attributes:
        run: runs a program in it.
        account: folder of its account's files.

    """

    run: Run
    account: str = ACCOUNT

    def clusters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the Dask cluster that its run would create, and the one that its code would with a raised ceiling."""
        raised = {"variables": {env.CEILING: str(WORKERS)}, "workers": WORKERS}
        own, beyond = self._obey(clusters=[{"variables": {}, "workers": 1}, raised])["clusters"]
        return own, beyond

    def of_prefect(self, path: str) -> dict[str, Any]:
        """Return an object of the Prefect API, which the pod can read."""
        request = Request(method="GET", path=path, parameters={}, api="prefect")
        [answer] = self._obey(requests=[asdict(request)])["answers"]
        content: dict[str, Any] = json.loads(answer["text"])
        return content

    def files(self, folder: str) -> list[str]:
        """Return the files in a folder whose content the pod can read."""
        files: list[str] = self._obey(folders=[folder])["files"]
        return files

    def connects(self, host: str, port: int, *, expected: bool | None = None, seconds: float = 0) -> bool:
        """Return whether the pod can connect to an address.

        Args:
            host: name or address.
            port: of TCP.
            expected: try until this is the answer; once if None.
            seconds: for all of that.

        """
        [connected] = self._obey(addresses=[(host, port)], expected=expected, seconds=seconds)["connected"]
        return bool(connected)

    def tries(
        self, attacks: Mapping[str, Attack], target: Target, *, accepted: bool | None = None, seconds: float = 0
    ) -> dict[str, Answer]:
        """Make attacks one after another and return the answers by their names.

        Args:
            attacks: what it tries, by names.
            target: what it knows.
            accepted: try until each is accepted, or until each is refused; once if None.
            seconds: for all of that.

        """
        requests = [asdict(each.request(target)) for each in attacks.values()]
        answers = self._obey(requests=requests, expected=accepted, seconds=seconds)["answers"]
        return {name: Answer(**each) for name, each in zip(attacks, answers, strict=True)}

    def _obey(self, *, expected: bool | None = None, seconds: float = 0, **lists: Any) -> dict[str, Any]:
        order = {"agent": AGENT, "account": self.account, "expected": expected, "seconds": seconds}
        nothing: dict[str, Any] = {"clusters": [], "requests": [], "folders": [], "addresses": []}
        output = self.run(SCRIPT, json.dumps({**order, **nothing, **lists}))
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
        return report
