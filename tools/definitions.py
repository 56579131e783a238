"""Remove Dask's definitions (CRDs) from a cluster. A stack leaves them, because every Dask cluster goes with them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from ephemeral_dask.contract.dask import GROUP
from infra.naming import DASK_VERSION
from tools.errors import Problem
from tools.progress import say


def remove(environment: Mapping[str, str]) -> None:
    """Remove those that this project installed, when no Dask cluster exists anywhere.

    Args:
        environment: the environment in which kubectl talks to the cluster.

    Raises:
        Problem: Dask clusters exist, or the definitions are somebody else's.

    """

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["kubectl", *arguments], env=environment, capture_output=True, text=True, check=False)

    listed = kubectl("get", "customresourcedefinitions", "--output", "json")
    if listed.returncode != 0:
        raise Problem(
            "Dask's definitions could not be listed",
            remedy="Use a kubeconfig that may list and delete customresourcedefinitions",
            detail=listed.stderr,
        )
    found = [each for each in json.loads(listed.stdout)["items"] if each["spec"]["group"] == GROUP]
    if not found:
        say("    the cluster has no definitions of Dask: nothing to remove")
        return
    names = [each["metadata"]["name"] for each in found]
    if foreign := [each["metadata"]["name"] for each in found if not _ours(each)]:
        raise Problem(
            f"{', '.join(foreign)} were installed by somebody else",
            remedy="Remove them where they came from, for example with helm uninstall",
        )
    live = kubectl("get", f"daskclusters.{GROUP}", "--all-namespaces", "--output", "name").stdout.split()
    if live:
        raise Problem(
            f"{len(live)} Dask clusters exist, and would go with their definition: {', '.join(live[:5])}",
            remedy="Let their runs end, then run it again",
        )
    done = kubectl("delete", "customresourcedefinitions", *names)
    if done.returncode != 0:
        raise Problem("Dask's definitions could not be removed", remedy="Mend what it says below", detail=done.stderr)
    say(f"    removed {', '.join(names)}")


def _ours(definition: Mapping[str, Any]) -> bool:
    return DASK_VERSION in definition["metadata"].get("annotations", {})
