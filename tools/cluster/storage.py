"""The default StorageClass: folders below the cluster's folder, provisioned by local-path-provisioner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.cluster.layout import NODE_NAME

NAMESPACE = "local-path-storage"
ACCOUNT = "local-path-provisioner"
CONFIG_MAP = "local-path-config"
PROVISIONER = "rancher.io/local-path"
STORAGE_CLASS = "local-path"

_LABELS = {"app.kubernetes.io/name": ACCOUNT, "app.kubernetes.io/managed-by": "local-cluster"}


def provisioner_config(volumes: Path) -> str:
    """Return the provisioner's configuration: all volumes of the node are in one folder."""
    return json.dumps({"nodePathMap": [{"node": NODE_NAME, "paths": [str(volumes)]}]}, indent=2)


def helper_pod(image: str) -> str:
    """Return the pod that makes or removes a volume's folder; the provisioner adds its command and its mounts."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "helper-pod"},
            "spec": {
                "priorityClassName": "system-node-critical",
                # It is killed at once when it is deleted: by then it has ended, or it hangs.
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "helper-pod", "image": image, "imagePullPolicy": "IfNotPresent"}],
            },
        },
        indent=2,
    )


def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Return what the provisioner needs in the cluster, in order of creation: (API path, object)."""
    meta = {"namespace": NAMESPACE, "labels": _LABELS}
    return [
        (
            f"/api/v1/namespaces/{NAMESPACE}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _LABELS}},
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": ACCOUNT, **meta},
                # The helper pods do not call the API server.
                "automountServiceAccountToken": False,
            },
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CONFIG_MAP}",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CONFIG_MAP, **meta},
                "data": {
                    # Every user id may write: pods choose the ids that they run as.
                    "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
                    "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
                },
            },
        ),
        (
            f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}",
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": STORAGE_CLASS,
                    "labels": _LABELS,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": PROVISIONER,
                "volumeBindingMode": "WaitForFirstConsumer",
                "reclaimPolicy": "Delete",
            },
        ),
    ]
