"""Where task results are stored, so that a retried or evicted run does not compute them again."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.types import Bytes, DnsLabel, Model


def _block(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+/[A-Za-z0-9_-]+", value):
        raise ValueError(f"'{value}' is not a block: write <block type>/<name>, such as s3-bucket/results")
    return value


class NoResults(Model):
    """Task results stay in the pods, and are lost with them."""

    store: Literal["none"] = "none"


class VolumeResults(Model):
    """A volume that flow pods and Dask workers mount."""

    store: Literal["volume"]
    size: Bytes = "5Gi"
    storage_class: DnsLabel | None = None
    """The cluster's default when unset."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """ReadWriteOnce works only if all pods run on one node."""
    existing_claim: DnsLabel | None = None
    """An existing PersistentVolumeClaim in the namespace of runs; none is created then."""

    shared: bool = False
    """Whether each run can read and replace the results of all deployments, as tasks that one deployment computes and
    another one finds in its cache need it. Without it, a run has those of its own deployment."""

    keep_days: int | None = Field(default=None, ge=1)
    """Days after which a file of the volume is deleted, counted from its last change; none is deleted when unset. A run
    that takes longer must store nothing that it needs again after that time."""


class BlockResults(Model):
    """An object store, as a Prefect block with its address and credential."""

    store: Literal["block"]
    block: Annotated[str, AfterValidator(_block)]
    """`<block type>/<name>`; the flow image must contain the library of the block type."""


Results = Annotated[NoResults | VolumeResults | BlockResults, Field(discriminator="store")]
