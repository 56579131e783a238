"""Names, addresses, ports and paths of the local cluster, which all other modules share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tools import paths

POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
NODE_IP = "10.244.255.1"
"""The node's address, on `lo`: it stays when the machine changes its network, and no other machine can reach it."""
NODE_NAME = "local"
"""Constant, because volumes are bound to a node by its name and a machine may be renamed."""
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Port:
    """A port that one component listens on."""

    number: int
    owner: str
    address: str = "127.0.0.1"
    udp: bool = False


# The API server has the usual port, because people type it, and pods send DNS queries to 53. The others differ from
# the usual ports, so that an etcd or a registry that already runs on the machine does not conflict.
API_PORT = Port(6443, "kube-apiserver", "0.0.0.0")  # noqa: S104  our iptables chain closes it to other machines
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
"""The cluster's registry in image names, on the machine and in the cluster alike."""


@dataclass(frozen=True)
class Ports:
    """The ports of a control plane. The defaults are the local cluster's: a machine has only one."""

    api: Port = API_PORT
    etcd: Port = ETCD_PORT
    etcd_peer: Port = ETCD_PEER_PORT
    controllers: Port = CONTROLLER_PORT
    scheduler: Port = SCHEDULER_PORT


TAG = "ephemeral-dask-"
"""How the tag of each local cluster begins."""


@dataclass(frozen=True)
class Layout:
    """The paths of one local cluster. `Layout()` is that of `state_dir()`.

    Attributes:
        root: the folder with everything that the cluster keeps.
        images: the cache of the images that are built on this machine.
        ports: the ports of its control plane.

    """

    root: Path = field(default_factory=lambda: paths.state_dir() / "cluster")
    images: Path = field(default_factory=lambda: paths.cache_dir() / "images")
    ports: Ports = Ports()

    @property
    def id(self) -> str:
        """Return eight characters that identify this folder in names that the whole machine shares."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def tag(self) -> str:
        """Return the name of the CNI network, of the root control group and, in upper case, of the iptables chain."""
        return f"{TAG}{self.id}"

    @property
    def chain(self) -> str:
        """Return the name of the iptables chain; iptables allows 28 characters."""
        return self.tag.upper()

    @property
    def lock(self) -> Path:
        """Return the lock file, which is outside `root` so that a purge does not remove the lock it holds."""
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def network(self) -> Path:
        """Return the file with the name of the network that the last cluster was started with."""
        return self.root / "network"

    @property
    def network_config(self) -> Path:
        """Return the CNI configuration; a node without it is not ready."""
        return self.config / "cni" / "10-local.conflist"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def etcd_pki(self) -> Path:
        """Return the folder of etcd's own authority: a certificate of the cluster does not open its database."""
        return self.pki / "etcd"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        """Return the folder of pid files."""
        return self.root / "run"

    @property
    def started(self) -> Path:
        """Return the file with a digest of the running cluster's configuration; it exists while the cluster is up."""
        return self.run / "started"

    def pid_file(self, component: str) -> Path:
        """Return the pid file of a component."""
        return self.run / f"{component}.pid"

    def log(self, component: str) -> Path:
        """Return the log of a component's present or last run."""
        return self.logs / f"{component}.log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def host_state(self) -> Path:
        """Return the record of the machine's state before the cluster started."""
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
        """Return the folder of images and container records; it survives the end of the cluster."""
        return self.root / "containerd"

    @property
    def containerd_state(self) -> Path:
        """Return containerd's folder of running containers; like /run, it is obsolete once the processes have ended."""
        return self.root / "containerd-state"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    @property
    def cilium(self) -> Path:
        """Return the folder of Cilium's agent; it is obsolete once the pods have ended."""
        return self.root / "cilium"

    @property
    def cilium_socket(self) -> Path:
        return self.root / "cilium.sock"

    @property
    def plugins(self) -> Path:
        """Return the folder of CNI plugins for a network whose plugins are not all Debian's."""
        return self.root / "plugins"

    @property
    def bpf(self) -> Path:
        """Return the mount point of the BPF file system: what is pinned in it lasts as long as the mount."""
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
        """Return the administrator's kubeconfig."""
        return self.root / "kubeconfig"

    def component_kubeconfig(self, component: str) -> Path:
        return self.config / f"{component}.kubeconfig"

    @property
    def buildkit_address(self) -> str:
        return f"unix://{self.buildkit_socket}"
