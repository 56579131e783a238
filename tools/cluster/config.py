"""The components' configuration files, as pure functions that return text.

A running cluster is compared with these texts: a change, even of a comment in one, restarts the cluster on the next up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.cluster import cilium, cni, layout, storage
from tools.cluster.layout import NODE_IP, NODE_NAME, POD_CIDR, Layout
from tools.cluster.network import Network

BUILDER = "local"
"""Name of the buildx builder that is the cluster's buildkitd."""


def kubeconfig(place: Layout, user: str) -> str:
    """Return the kubeconfig of the certificate `user`."""
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "local",
                    "cluster": {
                        "server": f"https://127.0.0.1:{place.ports.api.number}",
                        "certificate-authority": str(place.pki / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate": str(place.pki / f"{user}.crt"),
                        "client-key": str(place.pki / f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
            "current-context": "local",
        }
    )


def registry(place: Layout) -> str:
    """Return the configuration of Debian's docker-registry: plain HTTP, on this machine only."""
    return _json(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(place.registry)}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{layout.REGISTRY_PORT.number}", "secret": "one process, one secret"},
        }
    )


def buildkitd(place: Layout) -> str:
    """Return BuildKit's configuration: the host's network, and the cluster's registry without TLS."""
    return f"""\
root = "{place.buildkit_root}"
[grpc]
  address = ["{place.buildkit_address}"]
[otel]
  socketPath = "{place.root / "buildkit-otel.sock"}"
[registry."{layout.REGISTRY}"]
  http = true
[worker.oci]
  enabled = true
  networkMode = "host"
  # Below our root group, so that what a build leaves running is known to be ours.
  defaultCgroupParent = "/{place.tag}"
[worker.containerd]
  enabled = false
"""


def containerd(place: Layout, *, sandbox_image: str, network: Network = Network.PTP) -> str:
    """Return containerd's configuration, with all its files below the cluster's folder."""
    plugins = place.plugins if network is Network.CILIUM else cni.PLUGINS
    return f"""\
version = 2
root = "{place.containerd_root}"
state = "{place.containerd_state}"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{place.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE no process may lower its score, and every sandbox would die of trying.
  restrict_oom_score_adj = true
  # A network namespace is a mount; below our folder it is known to be ours.
  netns_mounts_under_state_dir = true
  sandbox_image = "{sandbox_image}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{place.network_config.parent}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{place.config / "certs.d"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{place.containerd_state / "runc"}"
"""


def registry_hosts() -> str:
    """Return how containerd connects to the cluster's registry."""
    url = f"http://127.0.0.1:{layout.REGISTRY_PORT.number}"
    return f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def network_config(place: Layout, network: Network = Network.PTP) -> str:
    """Return the CNI configuration. The cluster's iptables rule masquerades for all pods, so no plugin does."""
    plugins: dict[Network, dict[str, Any]] = {
        Network.PTP: {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": str(place.root / "addresses"),
                "ranges": [[{"subnet": POD_CIDR}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        Network.CILIUM: {"type": "cilium-cni"},
    }
    return _json(
        {
            "cniVersion": "0.4.0",
            "name": place.tag,
            "plugins": [plugins[network], {"type": "portmap", "capabilities": {"portMappings": True}}],
        }
    )


def audit_policy() -> str:
    """Return the audit policy: metadata of all requests, except for the control plane's own constant ones."""
    components = [
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
    ]
    return _json(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {
                    "level": "None",
                    "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"],
                },
                {"level": "None", "users": [*components, f"system:node:{NODE_NAME}", "coredns", *cilium.USERS]},
                {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
                {"level": "Metadata"},
            ],
        }
    )


def kubelet(place: Layout) -> str:
    """Return kubelet's configuration."""
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_IP,
            "port": layout.KUBELET_PORT.number,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": layout.KUBELET_HEALTH_PORT.number,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(place.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(place.pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(place.pki / "kubelet.key"),
            "containerRuntimeEndpoint": f"unix://{place.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{place.tag}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDomain": layout.CLUSTER_DOMAIN,
            "clusterDNS": [NODE_IP],
            "resolvConf": str(place.config / "resolv.conf"),
            "podLogsDir": str(place.root / "pod-logs"),
            "volumePluginDir": str(place.kubelet / "volume-plugins"),
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            # The disk is also the developer's: evict pods and remove images only when it is almost full.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
        }
    )


def kube_proxy(place: Layout) -> str:
    """Return kube-proxy's configuration: iptables mode, without changes to the machine's connection tracking."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(place.component_kubeconfig("kube-proxy"))},
            "hostnameOverride": NODE_NAME,
            "clusterCIDR": POD_CIDR,
            "mode": "iptables",
            "healthzBindAddress": f"127.0.0.1:{layout.PROXY_HEALTH_PORT.number}",
            "metricsBindAddress": f"127.0.0.1:{layout.PROXY_METRICS_PORT.number}",
            "oomScoreAdj": 0,
            "iptables": {"localhostNodePorts": False},
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
    )


def corefile(place: Layout, *, resolver: bool) -> str:
    """Return CoreDNS's configuration: it serves the cluster's names and forwards others to the machine's resolver."""
    forward = "  forward . /etc/resolv.conf\n" if resolver else ""
    return f"""\
.:{layout.DNS_PORT.number} {{
  bind {NODE_IP}
  errors
  ready 127.0.0.1:{layout.DNS_READY_PORT.number}
  kubernetes {layout.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
    kubeconfig {place.component_kubeconfig("coredns")} local
    ttl 5
  }}
  cache 5
{forward}}}
"""


def buildx_builder(place: Layout) -> str:
    """Return the definition of `BUILDER` as buildx stores it: the cluster's buildkitd, by the driver `remote`."""
    node = {
        "Name": f"{BUILDER}0",
        "Endpoint": place.buildkit_address,
        "Platforms": None,
        "DriverOpts": None,
        "Flags": None,
        "Files": None,
    }
    return _json({"Name": BUILDER, "Driver": "remote", "Nodes": [node], "Dynamic": False})


def all_files(
    place: Layout, *, sandbox_image: str, helper_image: str, resolver: bool, network: Network = Network.PTP
) -> dict[Path, str]:
    """Return every configuration file: path -> text."""
    users = (
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "coredns",
        "local-path-provisioner",
        *(cilium.USERS if network is Network.CILIUM else ()),
    )
    return {
        place.kubeconfig: kubeconfig(place, "admin"),
        **{place.component_kubeconfig(user): kubeconfig(place, user) for user in users},
        place.config / "registry.yaml": registry(place),
        place.config / "buildkitd.toml": buildkitd(place),
        place.config / "containerd.toml": containerd(place, sandbox_image=sandbox_image, network=network),
        place.config / "certs.d" / layout.REGISTRY / "hosts.toml": registry_hosts(),
        place.network_config: network_config(place, network),
        place.config / "audit-policy.yaml": audit_policy(),
        place.config / "kubelet.yaml": kubelet(place),
        place.config / "kube-proxy.yaml": kube_proxy(place),
        # A pod with the node's DNS policy gets CoreDNS too: only the node may be able to reach its own resolver.
        place.config / "resolv.conf": f"nameserver {NODE_IP}\n",
        place.config / "Corefile": corefile(place, resolver=resolver),
        place.config / "volumes.json": storage.provisioner_config(place.volumes),
        place.config / "helper-pod.yaml": storage.helper_pod(helper_image),
        place.docker_config / "config.json": "{}\n",
        place.docker_config / "buildx" / "instances" / BUILDER: buildx_builder(place),
    }


def _json(value: dict[str, Any]) -> str:
    # Every JSON document is a YAML document.
    return json.dumps(value, indent=2)
