"""Verbs about the machine and its cluster."""

from __future__ import annotations

import argparse

from tools import crds, doctor, target
from tools.cluster import LocalCluster
from tools.kubernetes import Kubernetes
from tools.progress import say
from tools.verbs.common import connect


def examine(arguments: argparse.Namespace) -> int:
    """Check the preconditions and the stack; name every problem with its remedy."""
    return doctor.report(arguments.stack, cluster=arguments.cluster)


def cluster_up(_: argparse.Namespace) -> int:
    """Start the local Kubernetes."""
    info = target.start_local_cluster()
    say(f"    KUBECONFIG={info.kubeconfig}, network {info.network}")
    return 0


def cluster_down(_: argparse.Namespace) -> int:
    """Stop the local Kubernetes and undo what it changed on this machine."""
    LocalCluster().down()
    return 0


def crd_remove(arguments: argparse.Namespace) -> int:
    """Remove Dask's CRDs from the cluster, when no Dask cluster exists anywhere in it."""
    crds.remove(Kubernetes(connect(arguments).run_environment()))
    return 0
