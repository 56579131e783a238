"""What a page of the documentation shows about an object store, on the stack of this tier."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from tests import howtos
from tests.e2e.newcomer import RUNS, Newcomer
from tests.full.edited import edited
from tests.support.s3_server import S3
from tools.paths import ROOT

PRIVATE_CA: Final = (ROOT / "docs" / "pods.md").read_text().partition("\n## A private CA\n")[2].partition("\n## ")[0]
CA_FILE: Final = "company-ca-bundle.pem"
"""What that page calls the file with the CA's certificate."""


@contextlib.contextmanager
def shown(newcomer: Newcomer, s3: S3, stack_file: str, prefect_yaml: str = "deployments: []") -> Iterator[None]:
    """Add the keys and deployments that a page shows to a stack, with the address of a server, for a while.

    Pods trust the server's private CA because of what docs/pods.md shows.

    Args:
        newcomer: whose stack it is.
        s3: takes the place of `https://s3.example.com`, with TLS.
        stack_file: YAML of the page.
        prefect_yaml: likewise.

    """
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": {"id": "a", "secret": "b"}}
    newcomer.kubectl("apply", "-f", "-", namespace=RUNS, stdin=json.dumps(keys))
    assert s3.ca is not None
    shutil.copy(s3.ca, newcomer.clone / CA_FILE)
    created = newcomer.shell(howtos.fenced(PRIVATE_CA, "bash")[0])
    (newcomer.clone / CA_FILE).unlink()
    assert created.status == 0, created.progress
    names = ("Pulumi.dev.yaml", "prefect.yaml")
    content, project = (yaml.safe_load((newcomer.clone / name).read_text()) for name in names)
    config, registry = content["config"], content["config"]["ephemeral-dask:image"]["registry"]
    merge(config, yaml.safe_load(howtos.fenced(PRIVATE_CA, "yaml")[0])["config"])
    merge(config, yaml.safe_load(stack_file.replace("https://s3.example.com", s3.url))["config"])
    config["ephemeral-dask:image"]["registry"] = registry
    host, _, port = s3.url.removeprefix("https://").partition(":")
    config["ephemeral-dask:network"] = {"data": [{"cidr": f"{host}/32", "ports": [int(port)]}]}
    if config["ephemeral-dask:results"]["store"] != "volume":
        config["ephemeral-dask:results"].pop("accessMode", None)
    project["deployments"] += yaml.safe_load(prefect_yaml)["deployments"]
    texts = dict(zip(names, (yaml.safe_dump(each, sort_keys=False) for each in (content, project)), strict=True))
    try:
        with edited(newcomer, texts, f"DISCARD={RUNS}/results"):
            yield
    finally:
        newcomer.kubectl("delete", "secret/s3", "configmap/company-ca", namespace=RUNS)
        newcomer.kubectl("delete", "configmap/company-ca")


def merge(low: dict[str, Any], high: Mapping[str, Any]) -> None:
    """Add the keys of one stack file to another."""
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(low.get(key), dict):
            merge(low[key], value)
        else:
            low[key] = value
