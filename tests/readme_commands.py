"""How each command of README.md is tested, as it is written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.ways import Test, Way

TESTS: Final[Mapping[str, Test]] = {
    "pulumi up": Test(way=Way.ELSEWHERE, reason="stands for the idea; tests/e2e/test_prod_stack.py types it"),
    "make up": Test(way=Way.FULL),
    "make up CLUSTER=kind": Test(way=Way.ELSEWHERE, reason="needs Docker; .github/workflows/kind.yml types it"),
    "make pulumi": Test(way=Way.ELSEWHERE, reason="downloads from Pulumi's own site"),
    "make laptop FLOW=digits/search": Test(way=Way.FULL, prints="result: .*accuracy"),
    "make test": Test(way=Way.ELSEWHERE, reason="runs these tests"),
    "make venv": Test(way=Way.E2E),
    ".venv/bin/python -m flows.wordcount": Test(way=Way.EXAMPLE),
    "make preview": Test(way=Way.E2E, prints="nothing changes"),
    """make run FLOW=wordcount/default PARAMS='lines=["a b","c"]'""": Test(way=Way.EXAMPLE),
    'make run FLOW=digits/search PARAMS="folds=3 trees=100"': Test(way=Way.FULL, prints="accuracy"),
    'make run FLOW=digits/search VARS="dask_maximum=8"': Test(way=Way.FULL, prints="accuracy"),
    "make logs RUN=<run>": Test(way=Way.E2E, prints="Completed"),
    "make cancel RUN=<run>": Test(way=Way.FULL, prints="Cancelled", live_run=True),
    "make ui": Test(way=Way.E2E, serves="http://127.0.0.1:4200"),
    "make dashboard RUN=<run>": Test(way=Way.FULL, serves="http://127.0.0.1:8787/status", live_run=True),
    "make demo": Test(way=Way.FULL),
    "make doctor": Test(way=Way.E2E),
    "make stack NAME=staging": Test(way=Way.E2E, then="test -f Pulumi.staging.yaml && rm Pulumi.staging.yaml"),
    "make up STACK=staging": Test(
        way=Way.FULL,
        before="make stack NAME=staging",
        then="YES=1 make down STACK=staging && rm Pulumi.staging.yaml",
    ),
    'eval "$(make -s env)"': Test(
        way=Way.E2E,
        then="pulumi stack ls; kubectl get nodes; .venv/bin/prefect deployment ls",
        prints="(?s)dev.*Ready.*primes/default",
    ),
    "make help": Test(way=Way.E2E, prints="make up"),
    "make docs": Test(way=Way.ELSEWHERE, reason="the job `docs` of CI builds the site"),
    "make lock": Test(way=Way.ELSEWHERE, reason="asks the package index for newer releases"),
    "make up CLUSTER=existing": Test(
        way=Way.ELSEWHERE, reason="needs a cluster, a registry and a Pulumi backend that are not this project's"
    ),
    "make down": Test(way=Way.FULL, environment={"YES": "1"}, takes_down=True),
    "make cluster-down": Test(way=Way.FULL, takes_down=True),
}
"""Command -> how it is tested. A command of README that is not here fails a unit test, and so does the reverse."""
