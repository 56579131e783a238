"""Names, versions and configuration files for kind, its node and the builder."""

from __future__ import annotations

from typing import Final

import yaml

NAME: Final = "ephemeral-dask"
"""Of the cluster, and of the builder."""
REGISTRY_CONTAINER: Final = "ephemeral-dask-registry"
REGISTRY_PORT: Final = 5001
"""On this machine. macOS uses 5000 itself."""
REGISTRY: Final = f"localhost:{REGISTRY_PORT}"
"""In the names of images. Builder, nodes and this machine all reach the registry by it."""

REGISTRY_IMAGE: Final = "registry:3.0.0"
NODE_IMAGE: Final = "kindest/node:v1.35.0@sha256:452d707d4862f52530247495d180205e029056831160e22870e37e3f6c1ac31f"
"""Of the same minor version of Kubernetes as the local cluster, from the notes of kind 0.31. It is there for x86-64 and
arm64; Docker pulls the one of its own architecture."""
MINIMUM: Final = (0, 31)
"""The release of kind that the node image was made for."""

_CERTIFICATES: Final = "/etc/containerd/certs.d"


def cluster() -> str:
    """Return kind's configuration of the cluster: one node that looks for registries in a folder of files."""
    return yaml.safe_dump(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": NAME,
            "nodes": [{"role": "control-plane"}],
            "containerdConfigPatches": [
                f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{_CERTIFICATES}"\n'
            ],
        },
        sort_keys=False,
    )


def hosts() -> tuple[str, str]:
    """Return path and content of the node's file about the registry: `localhost` is the node itself there."""
    content = f'[host."http://{REGISTRY_CONTAINER}:5000"]\n  capabilities = ["pull", "resolve"]\n'
    return f"{_CERTIFICATES}/{REGISTRY}/hosts.toml", content


def kubectl(node: str) -> str:
    """Return a program that stands for kubectl where there is none: the one in the node."""
    return f'#!/bin/sh\nexec docker exec -i {node} kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"\n'
