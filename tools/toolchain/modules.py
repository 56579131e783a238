"""The table of groups that can be built, each from Go modules pinned under `tools/gomod/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tools.errors import Problem
from tools.toolchain.group import Extract, Group, Module
from tools.toolchain.pins import GOMOD, pinned, required


def select(names: Iterable[str], groups: Mapping[str, Group]) -> list[Group]:
    """Return the named groups, in the table's order.

    Raises:
        Problem: a name is not in the table.

    """
    selection = set(names)
    if unknown := sorted(selection - set(groups)):
        raise Problem(f"The toolchain has no group {unknown[0]!r}", remedy=f"Choose from {', '.join(groups)}")
    return [group for name, group in groups.items() if name in selection]


_ENGINE = "github.com/pulumi/pulumi/pkg/v3"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_PULUMI = required(GOMOD / "pulumi", _ENGINE)
_REPORTS_PULUMI = {f"{_SDK}/go/common/version.Version": f"v{_PULUMI}"}

_KUBERNETES_PLUGIN = "github.com/pulumi/pulumi-kubernetes/provider/v4"
# The module is a commit between two releases, so its version is not a release's. Pulumi looks for a plugin with exactly
# the version of the installed Python package, so it gets that one.
_KUBERNETES_SDK = pinned("pulumi-kubernetes")

_DOCKER_BUILD_PLUGIN = "github.com/pulumi/pulumi-docker-build"
_DOCKER_BUILD = required(GOMOD / "docker-build-provider", _DOCKER_BUILD_PLUGIN)

_CILIUM_MODULE = "github.com/cilium/cilium"
_CILIUM = required(GOMOD / "cilium", _CILIUM_MODULE)

# Kubernetes, and what shares most of its packages: compiled from one list of versions, each package is compiled once.
_CLUSTER_MODULES = GOMOD / "kubernetes"
_KUBERNETES = required(_CLUSTER_MODULES, "k8s.io/kubernetes")
_COREDNS_MODULE = "github.com/coredns/coredns"
_COREDNS = required(_CLUSTER_MODULES, _COREDNS_MODULE)
_KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)


def _plain(
    name: str,
    requires: str,
    programs: Mapping[str, str],
    *,
    size_mib: int,
    cold_mib: int,
    reports: str = "",
    folder: Path | None = None,
) -> Group:
    """Return a group of one module.

    Args:
        name: the name of the group.
        requires: the module.
        programs: name of an executable -> the path of its package in that module.
        size_mib: see Group.
        cold_mib: see Group.
        reports: the Go variable for the version, where the programs do not get it from their build information.
        folder: of its go.mod; by default the one with the name of the group.

    """
    folder = folder or GOMOD / name
    version = required(folder, requires)
    module = Module(
        folder=folder,
        requires=requires,
        programs={program: f"{requires}{path}" for program, path in programs.items()},
        variables={reports: f"v{version}"} if reports else {},
    )
    return Group(name=name, version=version, modules=(module,), size_mib=size_mib, cold_mib=cold_mib)


_ALL = (
    Group(
        name="pulumi",
        version=_PULUMI,
        # One folder for both: the engine warns about a language host that is not beside it, and the host does not start
        # without its -exec script beside it.
        modules=(
            Module(
                folder=GOMOD / "pulumi",
                requires=_ENGINE,
                programs={"pulumi": f"{_ENGINE}/cmd/pulumi"},
                variables=_REPORTS_PULUMI,
                scripts=(
                    Extract(package=f"{_SDK}/go/common/version", path="python/cmd/pulumi-language-python-exec"),
                    Extract(package=f"{_SDK}/go/common/version", path="python/dist/pulumi-resource-pulumi-python"),
                ),
            ),
            # An old release of the SDK, one that still contained the language host. The present host is a module of its
            # own, which is not available. The old host works with the present engine and SDK.
            Module(
                folder=GOMOD / "language-python",
                requires=_SDK,
                programs={"pulumi-language-python": f"{_SDK}/python/cmd/pulumi-language-python"},
                variables=_REPORTS_PULUMI,
            ),
        ),
        size_mib=130,
        cold_mib=3500,
    ),
    Group(
        name="kubernetes-provider",
        version=_KUBERNETES_SDK,
        modules=(
            Module(
                folder=GOMOD / "kubernetes-provider",
                requires=_KUBERNETES_PLUGIN,
                programs={"pulumi-resource-kubernetes": "."},
                variables={f"{_KUBERNETES_PLUGIN}/pkg/version.Version": _KUBERNETES_SDK},
                embeds=tuple(
                    Extract(
                        package=f"{_KUBERNETES_PLUGIN}/pkg/version",
                        path=f"cmd/pulumi-resource-kubernetes/{name}",
                    )
                    for name in ("schema.json", "terraform-mapping.json")
                ),
            ),
        ),
        size_mib=165,
        cold_mib=5300,
    ),
    Group(
        name="docker-build-provider",
        version=_DOCKER_BUILD,
        modules=(
            Module(
                folder=GOMOD / "docker-build-provider",
                requires=_DOCKER_BUILD_PLUGIN,
                programs={
                    "pulumi-resource-docker-build": (
                        f"{_DOCKER_BUILD_PLUGIN}/provider/cmd/pulumi-resource-docker-build"
                    )
                },
                variables={f"{_DOCKER_BUILD_PLUGIN}/provider.Version": _DOCKER_BUILD},
            ),
        ),
        size_mib=80,
        cold_mib=2300,
    ),
    Group(
        name="kubernetes",
        version=_KUBERNETES,
        modules=(
            Module(
                folder=_CLUSTER_MODULES,
                requires="k8s.io/kubernetes",
                programs={name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES_PROGRAMS},
                variables={
                    "k8s.io/component-base/version.gitVersion": f"v{_KUBERNETES}",
                    "k8s.io/component-base/version.gitMajor": _KUBERNETES.split(".")[0],
                    "k8s.io/component-base/version.gitMinor": _KUBERNETES.split(".")[1],
                    "k8s.io/component-base/version.gitTreeState": "clean",
                },
            ),
        ),
        size_mib=460,
        cold_mib=3800,
    ),
    _plain("etcd", "go.etcd.io/etcd/server/v3", {"etcd": ""}, size_mib=26, cold_mib=650),
    Group(
        name="coredns",
        version=_COREDNS,
        modules=(
            # A main package of our own, with the few plugins that a local cluster uses.
            Module(folder=_CLUSTER_MODULES, requires=_COREDNS_MODULE, programs={"coredns": "./coredns"}),
        ),
        size_mib=76,
        cold_mib=2800,
    ),
    _plain(
        "buildkit",
        "github.com/moby/buildkit",
        {"buildkitd": "/cmd/buildkitd", "buildctl": "/cmd/buildctl"},
        size_mib=77,
        cold_mib=1500,
        reports="github.com/moby/buildkit/version.Version",
    ),
    _plain(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        {"local-path-provisioner": ""},
        size_mib=41,
        cold_mib=1000,
        reports="main.VERSION",
        folder=_CLUSTER_MODULES,
    ),
    _plain(
        "actionlint",
        "github.com/rhysd/actionlint",
        {"actionlint": "/cmd/actionlint"},
        size_mib=7,
        cold_mib=200,
        reports="github.com/rhysd/actionlint.version",
    ),
    _plain("kind", "sigs.k8s.io/kind", {"kind": ""}, size_mib=9, cold_mib=200),
    Group(
        name="cilium",
        version=_CILIUM,
        modules=(
            Module(
                folder=GOMOD / "cilium",
                requires=_CILIUM_MODULE,
                programs={
                    "cilium-agent": f"{_CILIUM_MODULE}/daemon",
                    "cilium-operator": f"{_CILIUM_MODULE}/operator",
                    "cilium-cni": f"{_CILIUM_MODULE}/plugins/cilium-cni",
                    "cilium-dbg": f"{_CILIUM_MODULE}/cilium-dbg",
                },
                variables={f"{_CILIUM_MODULE}/pkg/version.ciliumVersion": f"v{_CILIUM}"},
                # The agent compiles it for the running kernel.
                folders=(Extract(package=f"{_CILIUM_MODULE}/pkg/version", path="bpf"),),
            ),
        ),
        size_mib=395,
        cold_mib=3000,
    ),
)

GROUPS: Mapping[str, Group] = MappingProxyType({group.name: group for group in _ALL})
"""Every group by its name, in the order in which they are built."""

PULUMI = ("pulumi", "kubernetes-provider", "docker-build-provider")
"""What `pulumi up` needs."""

LINT = ("actionlint",)
"""What `make lint` needs in addition to Python packages."""

KIND = ("kind",)
"""What a cluster of kind needs beside Docker."""

NETWORKS = ("cilium",)
"""What a local cluster needs only for a network that has to be requested."""

CLUSTER = tuple(name for name in GROUPS if name not in (*PULUMI, *LINT, *KIND, *NETWORKS))
"""What every local cluster consists of."""
