"""Cilium: the network that enforces NetworkPolicies, as two processes and a CNI plugin.

It leaves the machine's interfaces alone: it attaches programs only to its own interfaces and to those of pods, and the
cluster's own iptables rule masquerades traffic that leaves the cluster. This module lists what Cilium makes outside the
cluster's folder, and removes it.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from tools.cluster import cni, machine
from tools.cluster.api import Api
from tools.cluster.component import Component, http_ok
from tools.cluster.layout import NODE_NAME, POD_CIDR, Layout, Port
from tools.cluster.programs import run, search_path
from tools.errors import Problem

AGENT_PORT = Port(11879, "cilium-agent")
OPERATOR_PORT = Port(11234, "cilium-operator")
PORTS = (AGENT_PORT, OPERATOR_PORT)

LLVM = Path("/usr/lib/llvm-19/bin")
"""The folder of Debian's clang-19: the agent compiles its BPF programs for the running kernel."""
RUNTIME = Path("/run/cilium")
"""The agent's sockets and pid file; the agent has no option for this folder."""
SETTINGS = (
    "net/core/bpf_jit_enable",
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/fib_multipath_use_neigh",
)
"""Kernel settings that the agent changes, as paths below /proc/sys."""
HOST_LINKS = ("cilium_host", "cilium_net")
"""The agent's own pair of interfaces."""
KERNEL = (5, 10)
"""The oldest Linux that this Cilium supports."""
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cilium-operator-resource-lock"
"""The operator's leader election lock, an object that outlives an operator that was killed."""
USERS = ("cilium-agent", "cilium-operator")

_NO_DEVICE = "no-device-of-this-machine"
"""Longer than any interface's name, so it matches none: the agent must not attach programs to the machine's devices."""
_POD_LINK = re.compile(r"lxc[0-9a-f]+")
_READ_ONLY_SYSCTLS = (
    # The agent would set kernel.unprivileged_bpf_disabled to a value that only a restart of the machine undoes, so it
    # gets a read-only /proc/sys/kernel. Other mounts still propagate to it, and it keeps none of them busy.
    *("unshare", "--mount", "--propagation", "slave", "sh", "-euc"),
    'mount --bind /proc/sys/kernel /proc/sys/kernel; mount -o remount,bind,ro /proc/sys/kernel; exec "$@"',
    "sh",
)


def components(place: Layout) -> list[Component]:
    """Return the two processes: the operator, which serves the cluster, and the agent, which serves the node."""
    common = (
        "--enable-ipv4=true",
        "--enable-ipv6=false",
        "--ipam=kubernetes",
        "--identity-allocation-mode=crd",
        "--enable-gops=false",
    )
    return [
        Component(
            "cilium-operator",
            (
                "cilium-operator",
                f"--k8s-kubeconfig-path={place.component_kubeconfig('cilium-operator')}",
                "--k8s-namespace=kube-system",
                *common,
                f"--operator-api-serve-addr=127.0.0.1:{OPERATOR_PORT.number}",
                # It is the only candidate, and a busy machine must not make it give up leadership.
                "--leader-election-lease-duration=120s",
                "--leader-election-renew-deadline=100s",
                # It would restart CoreDNS pods, and here CoreDNS is not a pod.
                "--unmanaged-pod-watcher-interval=0",
            ),
            lambda: http_ok(OPERATOR_PORT.number, "/healthz"),
            after=("kube-apiserver",),
        ),
        Component(
            "cilium-agent",
            (
                "cilium-agent",
                f"--k8s-kubeconfig-path={place.component_kubeconfig('cilium-agent')}",
                *common,
                f"--agent-health-port={AGENT_PORT.number}",
                f"--state-dir={place.cilium}",
                f"--lib-dir={place.cilium}",
                f"--socket-path={place.cilium_socket}",
                f"--bpf-root={place.bpf}",
                f"--cgroup-root={place.cilium / 'cgroup'}",
                f"--cni-log-file={place.logs / 'cilium-cni.log'}",
                "--cni-exclusive=false",
                f"--devices={_NO_DEVICE}",
                # As on the other network. The agent would detect that of the node's address, which is on `lo`.
                "--mtu=1500",
                "--routing-mode=native",
                f"--ipv4-native-routing-cidr={POD_CIDR}",
                "--enable-ipv4-masquerade=false",
                "--kube-proxy-replacement=false",
                # The API server, DNS and other servers on the node are not pods, so an ipBlock has to match them.
                "--policy-cidr-match-mode=nodes",
                "--enable-l7-proxy=false",
                "--enable-hubble=false",
                "--enable-health-checking=false",
                "--enable-endpoint-health-checking=false",
                # The kernel reserves these tables as a whole: for a node of a hundred pods, not of a thousand.
                "--bpf-ct-global-tcp-max=65536",
                "--bpf-ct-global-any-max=32768",
            ),
            lambda: http_ok(AGENT_PORT.number, "/healthz"),
            after=("kube-apiserver", "cilium-operator"),
            environment={"K8S_NODE_NAME": NODE_NAME, "PATH": f"{LLVM}:{search_path()}"},
            wrapper=_READ_ONLY_SYSCTLS,
        ),
    ]


def prepare(place: Layout, binaries: Mapping[str, Path], api: Api) -> None:
    """Prepare what the agent and the CNI plugin require.

    Args:
        place: the cluster.
        binaries: path of each built program; the folder `bpf` is beside the `bin` folder of the agent.
        api: the running API server.

    Raises:
        Problem: the kernel's BPF file system cannot be mounted.

    """
    install_files(place, binaries)
    place.bpf.mkdir(exist_ok=True)
    result = run("mount", "-t", "bpf", "bpffs", str(place.bpf))
    if result.returncode != 0:
        raise Problem(
            f"The kernel's BPF file system cannot be mounted at {place.bpf}",
            remedy="Read the output of `mount` below, or unset EPHEMERAL_DASK_NETWORK to run without Cilium",
            detail=result.stderr,
        )
    # A new operator would wait for the lease of one that was killed to expire.
    api.call("DELETE", LEASE)


def install_files(place: Layout, binaries: Mapping[str, Path]) -> None:
    """Put the sources of the agent's BPF programs, and the CNI plugins, into the configured folders."""
    # The agent writes the properties of the kernel into this folder, so it needs a copy.
    shutil.copytree(binaries["cilium-agent"].parents[1] / "bpf", place.cilium / "bpf")
    place.plugins.mkdir(exist_ok=True)
    plugins = {"cilium-cni": binaries["cilium-cni"]}
    for name in ("loopback", "portmap"):
        plugins[name] = cni.PLUGINS / name
    for name, program in plugins.items():
        (place.plugins / name).unlink(missing_ok=True)
        (place.plugins / name).symlink_to(program)


def problems(*, ours: bool) -> Iterator[Problem]:
    """Yield the reasons why Cilium cannot run on this machine.

    Args:
        ours: whether existing interfaces of Cilium are this cluster's.

    """
    remedy = "Use another machine, or unset EPHEMERAL_DASK_NETWORK to run without Cilium"
    release = platform.release()
    if (version := re.match(r"(\d+)\.(\d+)", release)) and (int(version[1]), int(version[2])) < KERNEL:
        needed = ".".join(map(str, KERNEL))
        yield Problem(f"This machine runs Linux {release}, and Cilium needs {needed} or newer", remedy=remedy)
    if not Path("/sys/fs/bpf").is_dir():
        yield Problem("This kernel does not run BPF programs, which Cilium is made of", remedy=remedy)
    if not ours and (foreign := [name for name in HOST_LINKS if name in machine.links()]):
        yield Problem(
            f"The interface {foreign[0]} of another Cilium is on this machine, and ours would take it over",
            remedy=f"If that Cilium is no longer in use: ip link delete {foreign[0]}",
        )


def created_links(before: Collection[str], now: Collection[str]) -> list[str]:
    """Return the interfaces that this cluster's Cilium created.

    Args:
        before: names of the interfaces before the cluster started.
        now: names of the present interfaces.

    """
    of_cilium = [name for name in now if name in HOST_LINKS or _POD_LINK.fullmatch(name)]
    return [name for name in of_cilium if name not in before]


def remove_links(names: Iterable[str]) -> None:
    """Remove interfaces of the agent and of pods, with the programs attached to them and the routes through them."""
    for name in names:
        # Deleting one end of a pair deletes the other, so the second command of two fails.
        run("ip", "link", "delete", name, "type", "veth")
