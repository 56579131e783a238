"""Cilium: the network that enforces NetworkPolicies, as two processes and a CNI plugin.

It touches no interface of the machine: what it attaches programs to are its own interfaces and those of pods, and
leaving the cluster is masqueraded by our own rule. What it makes outside our folder is listed here, and taken back.
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
"""Where Debian's clang-19 is: the agent compiles its programs for the kernel that it finds."""
RUNTIME = Path("/run/cilium")
"""Sockets and a pid file, whose place the agent does not let anybody choose."""
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
"""Who is the operator: an object, which outlives the one that was killed."""
USERS = ("cilium-agent", "cilium-operator")

_NO_DEVICE = "no-device-of-this-machine"
"""Longer than the name of an interface can be: there is nothing to guard on them, so nothing is attached there."""
_POD_LINK = re.compile(r"lxc[0-9a-f]+")
_SHIELD = (
    # The agent would set kernel.unprivileged_bpf_disabled to a value that the kernel takes back only when it starts
    # anew, so it sees /proc/sys/kernel read-only. What others mount still reaches it, and it holds nothing mounted.
    *("unshare", "--mount", "--propagation", "slave", "sh", "-euc"),
    'mount --bind /proc/sys/kernel /proc/sys/kernel; mount -o remount,bind,ro /proc/sys/kernel; exec "$@"',
    "sh",
)


def components(place: Layout) -> list[Component]:
    """List the two processes: what serves the whole cluster, and what serves the node."""
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
                # It is the only one, and a busy machine is no reason to give up.
                "--leader-election-lease-duration=120s",
                "--leader-election-renew-deadline=100s",
                # CoreDNS is no pod here.
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
                # As on the other network; found out by itself, it would be that of the node's address, on `lo`.
                "--mtu=1500",
                "--routing-mode=native",
                f"--ipv4-native-routing-cidr={POD_CIDR}",
                "--enable-ipv4-masquerade=false",
                "--kube-proxy-replacement=false",
                # API server, DNS and what else a pod calls on the node are no pods: an ipBlock must match them.
                "--policy-cidr-match-mode=nodes",
                "--enable-l7-proxy=false",
                "--enable-hubble=false",
                "--enable-health-checking=false",
                "--enable-endpoint-health-checking=false",
                # Tables of the kernel, reserved as a whole, for a node of a hundred pods and not of a thousand.
                "--bpf-ct-global-tcp-max=65536",
                "--bpf-ct-global-any-max=32768",
            ),
            lambda: http_ok(AGENT_PORT.number, "/healthz"),
            after=("kube-apiserver", "cilium-operator"),
            environment={"K8S_NODE_NAME": NODE_NAME, "PATH": f"{LLVM}:{search_path()}"},
            wrapper=_SHIELD,
        ),
    ]


def prepare(place: Layout, binaries: Mapping[str, Path], api: Api) -> None:
    """Lay out what agent and plugin expect to find.

    Args:
        place: the cluster.
        binaries: path of each built program; the folder `bpf` lies beside that of the agent.
        api: the API server, which runs.

    Raises:
        Problem: the kernel's file system for its programs cannot be mounted.

    """
    lay_out(place, binaries)
    place.bpf.mkdir(exist_ok=True)
    result = run("mount", "-t", "bpf", "bpffs", str(place.bpf))
    if result.returncode != 0:
        raise Problem(
            f"The kernel's file system for BPF programs cannot be mounted at {place.bpf}",
            remedy="See below what `mount` says, or leave EPHEMERAL_DASK_NETWORK unset to do without Cilium",
            detail=result.stderr,
        )
    # That of an operator which was killed would be waited for.
    api.call("DELETE", LEASE)


def lay_out(place: Layout, binaries: Mapping[str, Path]) -> None:
    """Put the sources of the agent's programs, and the plugins, where they are looked for."""
    # The agent writes into this folder what it finds out about the kernel.
    shutil.copytree(binaries["cilium-agent"].parents[1] / "bpf", place.cilium / "bpf")
    place.plugins.mkdir(exist_ok=True)
    plugins = {"cilium-cni": binaries["cilium-cni"]}
    for name in ("loopback", "portmap"):
        plugins[name] = cni.PLUGINS / name
    for name, program in plugins.items():
        (place.plugins / name).unlink(missing_ok=True)
        (place.plugins / name).symlink_to(program)


def problems(*, ours: bool) -> Iterator[Problem]:
    """Find what keeps Cilium from working on this machine.

    Args:
        ours: whether interfaces of Cilium that exist are those of a cluster of ours.

    """
    remedy = "Use another machine, or leave EPHEMERAL_DASK_NETWORK unset to do without Cilium"
    release = platform.release()
    if (found := re.match(r"(\d+)\.(\d+)", release)) and (int(found[1]), int(found[2])) < KERNEL:
        needed = ".".join(map(str, KERNEL))
        yield Problem(f"This machine runs Linux {release}, and Cilium needs {needed} or newer", remedy=remedy)
    if not Path("/sys/fs/bpf").is_dir():
        yield Problem("This kernel runs no BPF programs, of which Cilium consists", remedy=remedy)
    if not ours and (foreign := [name for name in HOST_LINKS if name in machine.links()]):
        yield Problem(
            f"The interface {foreign[0]} of another Cilium is on this machine, which ours would take over",
            remedy=f"If nobody uses it any more: ip link delete {foreign[0]}",
        )


def own_links(before: Collection[str], now: Collection[str]) -> list[str]:
    """Pick the interfaces that Cilium made out of those that there are now.

    Args:
        before: names that there were before the cluster.
        now: names that there are.

    """
    made = [name for name in now if name in HOST_LINKS or _POD_LINK.fullmatch(name)]
    return [name for name in made if name not in before]


def remove_links(names: Iterable[str]) -> None:
    """Remove interfaces of agent and pods; programs attached to them and routes through them go with them."""
    for name in names:
        # One end of a pair takes the other with it, so the second of two fails.
        run("ip", "link", "delete", name, "type", "veth")
