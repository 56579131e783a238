"""Names, numbers and places of the local cluster: what every other module agrees on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tools import paths

POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
NODE_IP = "10.244.255.1"
"""An address of our own on `lo`: it stays when the machine changes its network, and no other machine can reach it."""
NODE_NAME = "local"
"""Fixed, because volumes are tied to a node by name and a machine may be renamed."""
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Port:
    """A port that one component listens on."""

    number: int
    owner: str
    address: str = "127.0.0.1"
    udp: bool = False


# The API server's is the usual one, for people type it; pods ask for names on 53. The others are free choices,
# away from the usual numbers, so that an etcd or a registry that runs already is no obstacle.
API_PORT = Port(6443, "kube-apiserver", "0.0.0.0")  # noqa: S104  closed to other machines by our own chain
DNS_PORT = Port(53, "coredns", NODE_IP)
REGISTRY_PORT = Port(5001, "registry")
ETCD_PORT = Port(12379, "etcd")
KUBELET_PORT = Port(11250, "kubelet", NODE_IP)
KUBELET_HEALTH_PORT = Port(11248, "kubelet")
PROXY_METRICS_PORT = Port(11249, "kube-proxy")
PROXY_HEALTH_PORT = Port(11256, "kube-proxy")
CONTROLLER_PORT = Port(11257, "kube-controller-manager")
SCHEDULER_PORT = Port(11259, "kube-scheduler")
DNS_READY_PORT = Port(11053, "coredns")
ETCD_PEER_PORT = Port(12380, "etcd")

PORTS = (
    API_PORT,
    DNS_PORT,
    Port(53, "coredns", NODE_IP, udp=True),
    REGISTRY_PORT,
    ETCD_PORT,
    ETCD_PEER_PORT,
    KUBELET_PORT,
    KUBELET_HEALTH_PORT,
    PROXY_METRICS_PORT,
    PROXY_HEALTH_PORT,
    CONTROLLER_PORT,
    SCHEDULER_PORT,
    DNS_READY_PORT,
)

REGISTRY = f"localhost:{REGISTRY_PORT.number}"
"""How images name our registry, on the machine and in the cluster alike."""


@dataclass(frozen=True)
class Ports:
    """Where a control plane listens; the local cluster's always here, for a machine has but one."""

    api: Port = API_PORT
    etcd: Port = ETCD_PORT
    etcd_peer: Port = ETCD_PEER_PORT
    controllers: Port = CONTROLLER_PORT
    scheduler: Port = SCHEDULER_PORT


@dataclass(frozen=True)
class Layout:
    """Where one local cluster keeps its things. `Layout()` is the one of `state_dir()`."""

    root: Path = field(default_factory=lambda: paths.state_dir() / "cluster")
    images: Path = field(default_factory=lambda: paths.cache_dir() / "images")
    ports: Ports = Ports()

    @property
    def id(self) -> str:
        """Eight characters that stand for this folder in names that the whole machine sees."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def tag(self) -> str:
        """The name of our CNI network, root cgroup and (upper case) iptables chain."""
        return f"ephemeral-dask-{self.id}"

    @property
    def chain(self) -> str:
        """Our iptables chain; iptables allows 28 characters."""
        return self.tag.upper()

    @property
    def lock(self) -> Path:
        """Outside `root`, so that a purge does not remove the lock it holds."""
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def network(self) -> Path:
        """The name of the network that the last cluster was started with."""
        return self.root / "network"

    @property
    def network_config(self) -> Path:
        """What the runtime reads about it; a node without it is not ready."""
        return self.config / "cni" / "10-local.conflist"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        """Pid files."""
        return self.root / "run"

    @property
    def started(self) -> Path:
        """What the running cluster was told; there only while it is up."""
        return self.run / "started"

    def pid_file(self, component: str) -> Path:
        """Name the file that says which process a component is."""
        return self.run / f"{component}.pid"

    def log(self, component: str) -> Path:
        """Name the log of a component's present or last run."""
        return self.logs / f"{component}.log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def imprint(self) -> Path:
        """The record of how the machine was before."""
        return self.root / "imprint.json"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def containerd_root(self) -> Path:
        """Images and container records: kept."""
        return self.root / "containerd"

    @property
    def containerd_state(self) -> Path:
        """What containerd believes to be running: like /run, nothing in it is true after the processes are gone."""
        return self.root / "containerd-state"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    @property
    def cilium(self) -> Path:
        """What Cilium's agent believes to be running; nothing in it is true after the pods are gone."""
        return self.root / "cilium"

    @property
    def cilium_socket(self) -> Path:
        return self.root / "cilium.sock"

    @property
    def plugins(self) -> Path:
        """CNI plugins, where not all are Debian's."""
        return self.root / "plugins"

    @property
    def bpf(self) -> Path:
        """A file system of the kernel: what is pinned in it lasts as long as it is mounted."""
        return self.root / "bpf"

    @property
    def buildkit_root(self) -> Path:
        return self.root / "buildkit"

    @property
    def buildkit_socket(self) -> Path:
        return self.root / "buildkit.sock"

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def docker_config(self) -> Path:
        return self.root / "docker"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.root / "kubeconfig"

    def component_kubeconfig(self, component: str) -> Path:
        return self.config / f"{component}.kubeconfig"

    @property
    def buildkit_address(self) -> str:
        return f"unix://{self.buildkit_socket}"
