"""Where results of tasks are kept, so that a run that is retried or evicted need not make them again."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.types import Bytes, DnsLabel, Model


def _block(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+/[A-Za-z0-9_-]+", value):
        raise ValueError(f"'{value}' is no block: write <block type>/<name>, such as s3-bucket/results")
    return value


class NoResults(Model):
    """Results live in the pods, and go with them."""

    store: Literal["none"] = "none"


class VolumeResults(Model):
    """A volume that flow pods and Dask workers mount."""

    store: Literal["volume"]
    size: Bytes = "5Gi"
    storage_class: DnsLabel | None = None
    """The cluster's default when unset."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """ReadWriteOnce is enough where all pods are on one node, and only there."""
    existing_claim: DnsLabel | None = None
    """A PersistentVolumeClaim of the namespace that someone else made; none is made then."""


class BlockResults(Model):
    """An object store, by the Prefect block that knows its address and credential."""

    store: Literal["block"]
    block: Annotated[str, AfterValidator(_block)]
    """`<block type>/<name>`; the library of its type belongs into the flow image."""


Results = Annotated[NoResults | VolumeResults | BlockResults, Field(discriminator="store")]
