"""How to use a running cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import config, local_registry
from tools.cluster.images import Built
from tools.cluster.layout import REGISTRY, Layout
from tools.cluster.network import Network, recorded


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to use a running cluster.

    Attributes:
        kubeconfig: the administrator's kubeconfig.
        registry: host and port of the registry, in image names on the machine and in the cluster.
        buildkit: address of buildkitd.
        base_image: an image with Python, by digest.
        docker_config: folder to export as DOCKER_CONFIG.
        buildx: name of the buildx builder defined in that folder: the cluster's buildkitd.
        ca_bundle: the certificate authorities that this machine trusts in place of the public ones (SSL_CERT_FILE),
            or None. An image build that downloads packages needs the file as a secret.
        audit_log: the API server's audit log, one JSON object per line; rotated.
        network: the network that connects the pods.

    """

    kubeconfig: Path
    registry: str
    buildkit: str
    base_image: str
    docker_config: Path
    buildx: str
    ca_bundle: Path | None
    audit_log: Path
    network: Network

    def environment(self) -> dict[str, str]:
        """Return the variables that make kubectl, Pulumi and buildx use the cluster."""
        return {"KUBECONFIG": str(self.kubeconfig), "DOCKER_CONFIG": str(self.docker_config)}


def access(place: Layout, base: Built) -> Access:
    """Return how to use the cluster in `place`, with its base image."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return Access(
        kubeconfig=place.kubeconfig,
        registry=REGISTRY,
        buildkit=place.buildkit_address,
        base_image=local_registry.reference(base),
        docker_config=place.docker_config,
        buildx=config.BUILDER,
        ca_bundle=Path(bundle) if bundle and Path(bundle).is_file() else None,
        audit_log=place.audit_log,
        network=recorded(place.network) or Network.PTP,
    )
