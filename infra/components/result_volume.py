"""The volume that keeps task results after their pods are gone."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import naming
from infra.naming import PROJECT
from infra.settings import VolumeResults


@dataclass(frozen=True, kw_only=True)
class ResultVolumeArgs:
    """What the volume is.

    Attributes:
        namespace: of the claim.
        settings: its size, storage class and access mode.
        protect: whether a destroy, or a change to another store, refuses to delete it.

    """

    namespace: Input[str]
    settings: VolumeResults
    protect: bool = False


class ResultVolume(ComponentResource):
    """A PersistentVolumeClaim for flow pods and Dask workers."""

    name: Output[str]
    """The claim's name."""

    def __init__(self, name: str, args: ResultVolumeArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:ResultVolume", name, {}, opts)
        claim = k8s.core.v1.PersistentVolumeClaim(
            f"{name}-claim",
            # Many storage classes bind a claim with its first pod, here that of the first run.
            metadata=naming.metadata(naming.RESULTS, args.namespace, **{"pulumi.com/skipAwait": "true"}),
            spec={
                "accessModes": [args.settings.access_mode],
                "resources": {"requests": {"storage": args.settings.size}},
                **({"storageClassName": args.settings.storage_class} if args.settings.storage_class else {}),
            },
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        self.name = claim.metadata.name.apply(str)
        self.register_outputs({"name": self.name})
