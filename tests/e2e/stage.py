"""A local cluster under test: how the machine was before it, what runs on it, and the pods that tests make."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools import paths
from tools.cluster import Access, Layout, LocalCluster, cilium, firewall, host_state
from tools.cluster.api import Api
from tools.cluster.layout import REGISTRY
from tools.cluster.wait import until

NAMESPACE = "tests"
SETTINGS = (
    *(*host_state.SETTINGS, *cilium.SETTINGS),
    # Cilium would change these as well, the first one for good.
    *("kernel/unprivileged_bpf_disabled", "kernel/timer_migration"),
)

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOCKED_DOWN = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True)
class MachineState:
    """What a cluster could leave behind."""

    links: frozenset[str]
    addresses: frozenset[str]
    namespaces: str
    mounts: tuple[str, ...]
    rules: Mapping[str, Mapping[str, Any]]
    groups: frozenset[str]
    settings: Mapping[str, str]
    folders: frozenset[str]
    routes: tuple[str, ...]
    filters: str

    @classmethod
    def now(cls) -> MachineState:
        def output(*words: str) -> str:
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout

        def ip(*words: str) -> str:
            return output("ip", *words)

        rules = {}
        for family in firewall.FAMILIES:
            # iptables-nft shows its built-in chains once somebody has used a table: only rules and own chains count.
            for table, (chains, lines) in firewall.tables(firewall.save(family)).items():
                own = sorted(chain for chain in chains if not chain.isupper() or "-" in chain)
                if own or lines:
                    rules[f"{family} {table}"] = {"chains": own, "rules": [line.line for line in lines]}
        links = json.loads(ip("-json", "link"))
        return cls(
            links=frozenset(link["ifname"] for link in links),
            addresses=frozenset(re.findall(r"inet6? (\S+)", ip("address"))),
            namespaces=ip("netns"),
            mounts=tuple(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
            rules=rules,
            groups=frozenset(str(folder) for folder in Path("/sys/fs/cgroup").glob("*/ephemeral-dask-*"))
            | frozenset(str(folder) for folder in Path("/sys/fs/cgroup").glob("ephemeral-dask-*")),
            settings={name: Path("/proc/sys", name).read_text() for name in SETTINGS},
            folders=frozenset(str(folder) for folder in (*host_state.FOLDERS, cilium.RUNTIME) if folder.exists()),
            routes=(ip("rule"), ip("-4", "route", "show", "table", "all")),
            filters=output("tc", "qdisc", "show"),
        )


@dataclass
class Stage:
    """The cluster under test, and how the machine was before it."""

    cluster: LocalCluster
    before: MachineState
    access: Access

    def kubectl(self, *words: str, stdin: Any = None) -> str:
        result = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.access.kubeconfig), *words],
            input=json.dumps(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def apply(self, *manifests: Any) -> None:
        self.kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(manifests)})

    def logs(self, pod: str) -> str:
        return self.kubectl("logs", "-n", NAMESPACE, pod)

    def wait_for(self, pod: str, *, phase: str, seconds: int = 120) -> None:
        self.kubectl(
            "wait", "-n", NAMESPACE, f"pod/{pod}", f"--for=jsonpath={{.status.phase}}={phase}", f"--timeout={seconds}s"
        )

    def restart_with(self, access: Access) -> None:
        self.access = access

    def silent(self) -> list[str]:
        """Return the components that have ended, or do not answer; one that runs may answer late on a busy machine."""
        return [one.name for one in self.cluster._status_once_ready() if not one.alive]

    def pids(self) -> dict[str, int | None]:
        return {one.name: one.pid for one in self.cluster.status()}


def pod(name: str, script: str, *, image: str = "busybox", claim: str | None = None) -> dict[str, Any]:
    """A pod as the strictest profile wants it."""
    mounts = [{"name": "data", "mountPath": "/data"}] if claim else []
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    container = {
        "name": "main",
        "image": f"{REGISTRY}/{image}:latest" if "/" not in image else image,
        "command": ["/bin/sh", "-c", script],
        "securityContext": LOCKED_DOWN,
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Always" if claim else "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": RESTRICTED,
            "containers": [container],
            "volumes": volumes,
        },
    }


def private_place() -> Layout:
    """Return the folder of clusters that tests may kill and purge: always the same one, and used by nothing else."""
    return Layout(root=paths.state_dir().with_name(f"{paths.state_dir().name}-to-destroy") / "cluster")


@contextlib.contextmanager
def up(cluster: LocalCluster) -> Iterator[Stage]:
    """A cluster with an empty namespace of the strictest profile; purged in the end."""
    if problems := cluster.preflight():
        pytest.fail("these tests need the machine for a cluster of their own:\n" + "\n".join(map(str, problems)))
    cluster.down(purge=True)
    before = MachineState.now()
    access = cluster.up()
    try:
        stage = Stage(cluster, before, access)
        profile = {"pod-security.kubernetes.io/enforce": "restricted"}
        stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": profile}})
        # No pod is admitted before its account is there.
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        assert until(lambda: bool(Api(cluster.place.pki).get(account)), seconds=60, interval=0.2)
        yield stage
    finally:
        cluster.down(purge=True)
