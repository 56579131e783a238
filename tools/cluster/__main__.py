"""`python -m tools.cluster up|down|status|purge`."""

from __future__ import annotations

import argparse
import shlex
import sys

from tools.cluster.cluster import LocalCluster
from tools.errors import Problem


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0 on success, 1 when the user has to do something."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.cluster", description="A single-node Kubernetes on this machine."
    )
    parser.add_argument(
        "command",
        choices=("up", "down", "status", "purge"),
        help="up prints the variables to export; purge stops the cluster and deletes its objects, volumes and images",
    )
    command = parser.parse_args(arguments).command
    try:
        cluster = LocalCluster()
        if command == "up":
            for name, value in cluster.up().environment().items():
                print(f"export {name}={shlex.quote(value)}")
        elif command == "status":
            return _status(cluster)
        else:
            cluster.down(purge=command == "purge")
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _status(cluster: LocalCluster) -> int:
    components = cluster.status()
    for component in components:
        print(f"{component.name:24} {component.pid or '-':>8}  {component.detail or 'runs'}")
    return 0 if all(component.alive for component in components) else 1


if __name__ == "__main__":
    sys.exit(main())
