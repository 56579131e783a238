"""Verbs about the machine and its cluster."""

from __future__ import annotations

import argparse

from tools import crds, doctor, targets
from tools.kubernetes import Kubernetes
from tools.make import is_set
from tools.progress import say
from tools.target import KIND
from tools.targets import choice
from tools.toolchain import official
from tools.verbs import data
from tools.verbs.common import connect


def examine(arguments: argparse.Namespace) -> int:
    """Check the preconditions and the stack; name every problem with its remedy."""
    return doctor.report(arguments.stack, requested=arguments.cluster)


def cluster_up(arguments: argparse.Namespace) -> int:
    """Start the cluster of this project's own, without a stack."""
    selection = choice.choose(arguments.cluster)
    say(f"==> cluster {selection}")
    say(f"    {targets.named(selection.cluster, '').start()}")
    return 0


def cluster_down(arguments: argparse.Namespace) -> int:
    """Stop that cluster and undo what it changed on this machine; one of kind is deleted, and asked about."""
    name = choice.choose(arguments.cluster).cluster
    if name == KIND:
        data.confirm_cluster(yes=is_set("YES"))
    targets.named(name, "").stop()
    return 0


def crd_remove(arguments: argparse.Namespace) -> int:
    """Remove Dask's CRDs from the cluster, when no Dask cluster exists anywhere in it."""
    crds.remove(Kubernetes(connect(arguments).run_environment()))
    return 0


def pulumi(_: argparse.Namespace) -> int:
    """Download Pulumi's official program into the cache folder."""
    say(f"    {official.install()}")
    return 0
