"""`python -m tools.cluster up|down|status|purge`."""

from __future__ import annotations

import argparse
import shlex
import sys

from tools.cluster.cluster import LocalCluster
from tools.errors import Problem


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 when the person at the keyboard has something to do."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.cluster", description="A single-node Kubernetes on this machine."
    )
    parser.add_argument(
        "command",
        choices=("up", "down", "status", "purge"),
        help="up prints the variables to export; purge takes it down and forgets its objects, volumes and images",
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
    found = cluster.status()
    for one in found:
        print(f"{one.name:24} {one.pid or '-':>8}  {one.detail or 'runs'}")
    return 0 if all(one.alive for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
