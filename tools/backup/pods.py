"""Programs in pods that mount a volume: in one that runs anyway, or in one made for the purpose."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from ephemeral_dask.contract import security
from infra import naming
from tools.errors import Problem

_SOURCE: Final = Path(__file__).with_name("in_pod.py")
_CHUNK: Final = 1 << 20
_START: Final = 180
"""Seconds until a pod that was made for a backup runs: its volume may have to be attached."""
_END: Final = 180
"""Seconds until the pods of a server that is scaled down are gone."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """Where `in_pod.py` runs.

    Attributes:
        command: what starts Python there.
        environment: of the process that starts it.

    """

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def run(
        self, operation: str, *arguments: str, source: IO[bytes] | None = None, target: IO[bytes] | None = None
    ) -> dict[str, Any]:
        """Run one operation and return its report. Only one chunk of the data is in memory.

        Args:
            operation: as `in_pod.py` has them.
            arguments: of the operation.
            source: what it reads.
            target: takes what it writes.

        Raises:
            Problem: it failed.

        """
        command = [*self.command, "-c", _SOURCE.read_text(), operation, *arguments]
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=dict(self.environment)
            ) as process,
        ):
            stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            with contextlib.suppress(BrokenPipeError):
                _copy(source, stdin)
                stdin.close()
            _copy(stdout, target)
            status = process.wait()
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        report = _report(lines)
        if status != 0 or "error" in report:
            why = str(report.get("error") or "; ".join(lines[-2:]) or f"exit status {status}")
            raise Problem(f"{operation} failed: {why}", remedy="Nothing else was changed; repeat the command")
        return report


def _copy(source: IO[bytes] | None, target: IO[bytes] | None) -> None:
    while source is not None and (data := source.read(_CHUNK)):
        if target is not None:
            target.write(data)


def _report(lines: list[str]) -> dict[str, Any]:
    try:
        report = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """kubectl in one namespace.

    Attributes:
        namespace: of all objects.
        environment: of the target; KUBECONFIG in it names the cluster.

    """

    namespace: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command and return its output.

        Raises:
            Problem: it failed.

        """
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, env=dict(self.environment)
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:] or ["no answer"]
            raise Problem(f"kubectl {' '.join(arguments[:3])} failed: {reason[0]}", remedy="See kubectl get pods")
        return done.stdout

    def program(self, pod: str, container: str) -> Program:
        """Return Python in a container of a pod, or in one of a Deployment's pods."""
        command = ("kubectl", "--namespace", self.namespace, "exec", "--stdin", pod, "--container", container, "--")
        return Program(command=(*command, "python"), environment=self.environment)

    @contextlib.contextmanager
    def pod(self, claim: str, path: str, *, image: str, account: str, read_only: bool) -> Iterator[Program]:
        """Provide Python in a pod that mounts a claim, for as long as the block runs.

        Args:
            claim: name of the PersistentVolumeClaim.
            path: where it is mounted.
            image: with Python.
            account: ServiceAccount with the right pull secrets.
            read_only: whether the pod only reads.

        """
        name = f"backup-{secrets.token_hex(4)}"
        manifest = _pod(name, claim, path, image=image, account=account, read_only=read_only)
        self.run("create", "--filename", "-", stdin=json.dumps(manifest))
        try:
            self.run("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={_START}s")
            yield self.program(f"pod/{name}", "files")
        finally:
            self.run("delete", "pod", name, "--wait=true", "--ignore-not-found")

    @contextlib.contextmanager
    def stopped(self, deployment: str, selector: str) -> Iterator[None]:
        """Scale a Deployment to zero while the block runs, and wait until its pods are ready again after it."""
        replicas = self.run("get", f"deployment/{deployment}", "--output=jsonpath={.spec.replicas}").strip()
        self.run("scale", f"deployment/{deployment}", "--replicas=0")
        try:
            if self.run("get", "pods", f"--selector={selector}", "--output=name").strip():
                self.run("wait", "--for=delete", "pod", f"--selector={selector}", f"--timeout={_END}s")
            yield
        finally:
            self.run("scale", f"deployment/{deployment}", f"--replicas={replicas or 1}")
            self.run("rollout", "status", f"deployment/{deployment}", f"--timeout={_START}s")

    def wait_until_available(self, selector: str) -> None:
        """Wait until Deployments that lost their server are available again.

        Args:
            selector: of the Deployments.

        Raises:
            Problem: one of them is not.

        """
        self.run("wait", "--for=condition=Available", "deployment", f"--selector={selector}", f"--timeout={_START}s")


def _pod(name: str, claim: str, path: str, *, image: str, account: str, read_only: bool) -> dict[str, Any]:
    container = {
        "name": "files",
        "image": image,
        "command": ["python", "-c", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": security.container_security(),
        "volumeMounts": [{"name": "files", "mountPath": path, "readOnly": read_only}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "backup", "app.kubernetes.io/part-of": naming.PROJECT},
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {**security.pod_security(), **security.volume_security()},
            "containers": [container],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}],
        },
    }
