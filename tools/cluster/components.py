"""The processes of the cluster: their arguments, their order of starting and their readiness probes."""

from __future__ import annotations

from tools.cluster import cilium, layout, local_registry
from tools.cluster.api import Api
from tools.cluster.component import Component, accepts, http_ok
from tools.cluster.layout import API_SERVICE_IP, NODE_IP, NODE_NAME, POD_CIDR, SERVICE_CIDR, Layout
from tools.cluster.network import Network
from tools.cluster.pki import ADMINISTRATORS, Certificate
from tools.cluster.programs import run
from tools.cluster.storage import ACCOUNT, CONFIG_MAP, NAMESPACE, PROVISIONER


def certificates(hostname: str, network: Network = Network.PTP) -> list[Certificate]:
    """Return all certificates. With `hostname`, this machine's, the API server can be called by that name."""
    cluster = tuple(
        f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", f".default.svc.{layout.CLUSTER_DOMAIN}")
    )
    hosts = ("localhost", hostname, *cluster, "127.0.0.1", NODE_IP, API_SERVICE_IP)
    return [
        Certificate(name="kube-apiserver", user="kube-apiserver", hosts=tuple(dict.fromkeys(hosts))),
        Certificate(name="apiserver-kubelet", user="kube-apiserver-kubelet-client", groups=(ADMINISTRATORS,)),
        Certificate(name="admin", user="kubernetes-admin", groups=(ADMINISTRATORS,)),
        *(
            Certificate(name=name, user=f"system:{name}")
            for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy")
        ),
        Certificate(
            name="kubelet",
            user=f"system:node:{NODE_NAME}",
            groups=("system:nodes",),
            hosts=(NODE_NAME, NODE_IP),
        ),
        # These run as root and could read the authority's key; their own users are for the audit log.
        *(
            Certificate(name=name, user=name, groups=(ADMINISTRATORS,))
            for name in ("coredns", "local-path-provisioner", *(cilium.USERS if network is Network.CILIUM else ()))
        ),
    ]


def etcd_certificates() -> list[Certificate]:
    """Return the certificates of etcd's own authority: the server's, and that of its only client."""
    return [Certificate(name="server", user="etcd"), Certificate(name="client", user="kube-apiserver")]


def cri_loaded(place: Layout) -> bool:
    """Return whether containerd has loaded its CRI plugin. It also starts without it, and the node stays unready."""
    if not accepts(place.containerd_socket):
        return False
    # The exit status is zero for every answer; "ok" in the last column marks a plugin that works.
    result = run("ctr", "--address", str(place.containerd_socket), "plugins", "ls")
    return any(line.split()[1:2] == ["cri"] and line.split()[-1] == "ok" for line in result.stdout.splitlines())


def _infrastructure(place: Layout, network: Network) -> list[Component]:
    etcd_url = f"https://127.0.0.1:{place.ports.etcd.number}"
    peer_url = f"https://127.0.0.1:{place.ports.etcd_peer.number}"
    authority, server = place.etcd_pki / "ca.crt", place.etcd_pki / "server"
    return [
        Component(
            "registry",
            ("docker-registry", "serve", str(place.config / "registry.yaml")),
            local_registry.is_ready,
        ),
        Component(
            "buildkitd",
            ("buildkitd", "--config", str(place.config / "buildkitd.toml")),
            lambda: accepts(place.buildkit_socket),
        ),
        Component(
            "etcd",
            (
                "etcd",
                f"--data-dir={place.etcd}",
                f"--listen-client-urls={etcd_url}",
                f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                "--client-cert-auth",
                f"--trusted-ca-file={authority}",
                f"--cert-file={server}.crt",
                f"--key-file={server}.key",
                "--peer-client-cert-auth",
                f"--peer-trusted-ca-file={authority}",
                f"--peer-cert-file={server}.crt",
                f"--peer-key-file={server}.key",
                "--log-level=warn",
            ),
            lambda: http_ok(
                place.ports.etcd.number, "/health", authority=authority, client=place.etcd_pki / "client.crt"
            ),
        ),
        Component(
            "containerd",
            ("containerd", "--config", str(place.config / "containerd.toml")),
            lambda: cri_loaded(place),
            # For the CNI plugin, which containerd runs.
            environment={"CILIUM_SOCK": str(place.cilium_socket)} if network is Network.CILIUM else {},
        ),
    ]


def _control_plane(place: Layout) -> list[Component]:
    pki = place.pki
    authority = pki / "ca.crt"
    return [
        Component(
            "kube-apiserver",
            (
                "kube-apiserver",
                f"--etcd-servers=https://127.0.0.1:{place.ports.etcd.number}",
                f"--etcd-cafile={place.etcd_pki / 'ca.crt'}",
                f"--etcd-certfile={place.etcd_pki / 'client.crt'}",
                f"--etcd-keyfile={place.etcd_pki / 'client.key'}",
                f"--advertise-address={NODE_IP}",
                f"--secure-port={place.ports.api.number}",
                f"--bind-address={place.ports.api.address}",
                f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
                f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
                f"--client-ca-file={authority}",
                f"--service-account-issuer=https://kubernetes.default.svc.{layout.CLUSTER_DOMAIN}",
                f"--service-account-key-file={pki / 'sa.pub'}",
                f"--service-account-signing-key-file={pki / 'sa.key'}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                f"--service-cluster-ip-range={SERVICE_CIDR}",
                f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
                f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
                f"--kubelet-certificate-authority={authority}",
                # No resolver knows the node's name.
                "--kubelet-preferred-address-types=InternalIP",
                f"--audit-policy-file={place.config / 'audit-policy.yaml'}",
                f"--audit-log-path={place.audit_log}",
                # MiB: enough for all requests of a run of the end-to-end tests.
                "--audit-log-maxsize=50",
                "--audit-log-maxbackup=3",
            ),
            lambda: Api(pki, place.ports.api).ready(),
            after=("etcd",),
        ),
        Component(
            "kube-controller-manager",
            (
                "kube-controller-manager",
                f"--kubeconfig={place.component_kubeconfig('kube-controller-manager')}",
                "--bind-address=127.0.0.1",
                f"--secure-port={place.ports.controllers.number}",
                f"--tls-cert-file={pki / 'kube-controller-manager.crt'}",
                f"--tls-private-key-file={pki / 'kube-controller-manager.key'}",
                "--use-service-account-credentials",
                f"--service-account-private-key-file={pki / 'sa.key'}",
                f"--root-ca-file={authority}",
                f"--cluster-signing-cert-file={authority}",
                f"--cluster-signing-key-file={pki / 'ca.key'}",
                "--leader-elect=false",
                # The only node gets all addresses.
                "--allocate-node-cidrs",
                f"--cluster-cidr={POD_CIDR}",
                f"--service-cluster-ip-range={SERVICE_CIDR}",
                "--node-cidr-mask-size=24",
                # It would create the default folder, outside the cluster's.
                f"--flex-volume-plugin-dir={place.kubelet / 'volume-plugins'}",
            ),
            lambda: http_ok(place.ports.controllers.number, "/healthz", authority=authority),
            after=("kube-apiserver",),
        ),
        Component(
            "kube-scheduler",
            (
                "kube-scheduler",
                f"--kubeconfig={place.component_kubeconfig('kube-scheduler')}",
                "--bind-address=127.0.0.1",
                f"--secure-port={place.ports.scheduler.number}",
                f"--tls-cert-file={pki / 'kube-scheduler.crt'}",
                f"--tls-private-key-file={pki / 'kube-scheduler.key'}",
                "--leader-elect=false",
            ),
            lambda: http_ok(place.ports.scheduler.number, "/healthz", authority=authority),
            after=("kube-apiserver",),
        ),
    ]


def _node(place: Layout, *, helper_image: str) -> list[Component]:
    return [
        Component(
            "kubelet",
            (
                "kubelet",
                f"--config={place.config / 'kubelet.yaml'}",
                f"--kubeconfig={place.component_kubeconfig('kubelet')}",
                f"--root-dir={place.kubelet}",
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={NODE_IP}",
            ),
            lambda: http_ok(layout.KUBELET_HEALTH_PORT.number, "/healthz"),
            after=("kube-apiserver", "containerd"),
        ),
        Component(
            "kube-proxy",
            ("kube-proxy", f"--config={place.config / 'kube-proxy.yaml'}"),
            lambda: http_ok(layout.PROXY_HEALTH_PORT.number, "/healthz"),
            after=("kube-apiserver",),
        ),
        Component(
            "coredns",
            ("coredns", "-conf", str(place.config / "Corefile")),
            lambda: http_ok(layout.DNS_READY_PORT.number, "/ready"),
            after=("kube-apiserver",),
        ),
        Component(
            "local-path-provisioner",
            (
                "local-path-provisioner",
                "start",
                f"--kubeconfig={place.component_kubeconfig('local-path-provisioner')}",
                f"--config={place.config / 'volumes.json'}",
                f"--helper-pod-file={place.config / 'helper-pod.yaml'}",
                f"--helper-image={helper_image}",
                f"--provisioner-name={PROVISIONER}",
                f"--namespace={NAMESPACE}",
                f"--service-account-name={ACCOUNT}",
                f"--configmap-name={CONFIG_MAP}",
            ),
            # It has no readiness endpoint: it works or it exits.
            lambda: True,
            after=("kube-apiserver",),
        ),
    ]


def components(place: Layout, *, helper_image: str, network: Network = Network.PTP) -> list[Component]:
    """Return all components in their order of starting."""
    return [
        *_infrastructure(place, network),
        *_control_plane(place),
        *_node(place, helper_image=helper_image),
        *(cilium.components(place) if network is Network.CILIUM else ()),
    ]
