"""Run a Python script in a pod of the stack, with the image, the namespace and the permissions of a flow pod."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import admission
from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import labels, security
from ephemeral_dask.contract.dask import GROUP
from infra import naming
from infra.components import pods

CPU: Final = "100m"
"""The CPU request of the pod."""

_START: Final = 180
"""Seconds for the pod to start, including the pull of its image."""


def lines(script: Path, *arguments: str, admitted: bool = True) -> Iterator[dict[str, Any]]:
    """Run a script, yield every JSON object that it prints as a line, and delete all its objects.

    This needs the environment of `eval "$(make -s env)"`, in which `pulumi` and `kubectl` use the stack.

    Args:
        script: the file; it may import everything in the flow image.
        arguments: the arguments of the script.
        admitted: whether the script makes only what the stack's admission policies take.

    Raises:
        RuntimeError: the script failed; the message has the last line of its output.

    """
    platform = platform_output()
    name, namespace = f"benchmark-{secrets.token_hex(3)}", platform["runsNamespace"]
    objects = _objects(name, script, arguments, platform)
    with contextlib.nullcontext() if admitted else admission.unbound(namespace):
        _kubectl(
            namespace,
            "apply",
            "--filename",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )
        try:
            _kubectl(namespace, "wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={_START}s")
            last = ""
            command = ["kubectl", "--namespace", namespace, "logs", "--follow", f"pod/{name}"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as log:
                for line in log.stdout or ():
                    if line.startswith("{"):
                        yield json.loads(line)
                    last = line.strip() or last
            phase = f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s"
            if _kubectl(namespace, "wait", *phase, check=False):
                raise RuntimeError(f"{script.name} failed in pod {name}: {last}")
        finally:
            kinds = ",".join(sorted({one["kind"].lower() for one in objects}))
            _kubectl(namespace, "delete", kinds, "--selector", f"app.kubernetes.io/name={name}", "--wait=true")


def platform_output() -> dict[str, Any]:
    """Return the stack's output `platform`, in the environment of `eval "$(make -s env)"`."""
    command = ["pulumi", "stack", "output", "platform", "--json", "--stack", os.environ["EPHEMERAL_DASK_STACK"]]
    output: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return output


def _kubectl(namespace: str, *arguments: str, stdin: str | None = None, check: bool = True) -> int:
    command = ["kubectl", "--namespace", namespace, *arguments]
    return subprocess.run(command, input=stdin, text=True, check=check, stdout=subprocess.DEVNULL).returncode


def _objects(name: str, script: Path, arguments: tuple[str, ...], platform: Mapping[str, Any]) -> list[dict[str, Any]]:
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": name}}
    account = {"kind": "ServiceAccount", "name": name, "namespace": platform["runsNamespace"]}
    roles = {"": naming.FLOW_RUN, "-autoscaler": name}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"script.py": script.read_text()}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            # In addition to a flow run's permissions: the peer is the operator's own autoscaler.
            "rules": [{"apiGroups": [GROUP], "resources": ["daskautoscalers"], "verbs": ["create"]}],
        },
        *(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": metadata | {"name": f"{name}{suffix}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
                "subjects": [account],
            }
            for suffix, role in roles.items()
        ),
        {"apiVersion": "v1", "kind": "Pod", "metadata": _labelled(metadata), "spec": _pod(name, arguments, platform)},
    ]


def _labelled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    # The NetworkPolicies select flow pods by this label.
    return {**metadata, "labels": metadata["labels"] | {labels.COMPONENT: labels.FLOW_RUN_POD}}


def _pod(name: str, arguments: tuple[str, ...], platform: Mapping[str, Any]) -> dict[str, Any]:
    place = {
        env.NAMESPACE: platform["runsNamespace"],
        env.IMAGE: platform["flowImage"],
        env.SERVICE_ACCOUNT: naming.DASK,
    }
    container = {
        "name": "benchmark",
        "image": platform["flowImage"],
        "command": ["python", "/benchmark/script.py", *arguments],
        "env": pods.environment(place),
        "resources": {"requests": {"cpu": CPU, "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": security.container_security(),
        "volumeMounts": [{"name": "script", "mountPath": "/benchmark"}, pods.writable_mount()],
    }
    pod = pods.pod(name, container)
    script = {"name": "script", "configMap": {"name": name}}
    return {**pod, "restartPolicy": "Never", "terminationGracePeriodSeconds": 15, "volumes": [*pod["volumes"], script]}
