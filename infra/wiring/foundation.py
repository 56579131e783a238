"""What every other part of a stack builds on: preflight, namespaces, network policies, images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pulumi
from pulumi import Input, Resource, ResourceOptions

from infra import job_template, naming, pod_manifests
from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.components.namespace import NamespaceArgs, PlatformNamespace, RunsNamespace, RunsNamespaceArgs
from infra.components.network_policies import NetworkPolicies
from infra.config import Secrets
from infra.registration.preflight import Preflight, PreflightArgs
from infra.settings import ExistingOperator, Prebuilt
from infra.settings.references import references
from infra.settings.volumes import claims
from infra.specs.namespaces import Namespaces
from infra.validation import Plan
from infra.wiring import network


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The foundation of a stack.

    Attributes:
        namespaces: their names, each known once it exists, that of runs with its quota.
        image: the flow images and the platform image.
        policies: the specs of the NetworkPolicies, none where the stack goes without.
        checked: options for a resource that may only be created after the preflight.
        resources: what must exist before a flow run starts.

    """

    namespaces: Namespaces[Input[str]]
    image: FlowImage
    policies: Namespaces[network.Specs]
    checked: ResourceOptions
    resources: tuple[Resource, ...]


def foundation(plan: Plan, secrets: Secrets) -> Foundation:
    """Register preflight, namespaces, NetworkPolicies and images."""
    settings = plan.settings
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    operator = settings.dask.operator
    preflight = Preflight(
        "preflight",
        PreflightArgs(
            namespace=settings.namespaces.platform,
            runs_namespace=settings.namespaces.runs,
            stack_annotation=naming.STACK,
            stack=stack,
            operator=operator.mode,
            operator_namespace=operator.namespace if isinstance(operator, ExistingOperator) else None,
            version_annotation=naming.DASK_VERSION,
            version=metadata.version("dask-kubernetes"),
            platforms=() if isinstance(settings.image, Prebuilt) else settings.image.platforms,
            manifests=tuple(pod_manifests.manifests(settings, plan.deployments)),
            references=tuple(dataclasses.asdict(each) for each in references(settings)),
            claims=tuple(claims(settings)),
            admission=settings.admission,
            result_folders=job_template.has_folders(settings.results),
            reads_api_server=network.reads_api_server(settings.network),
            monitoring=settings.monitoring.kinds,
        ),
    )
    checked = ResourceOptions(depends_on=[preflight])
    platform = PlatformNamespace(
        "flows", NamespaceArgs(name=settings.namespaces.platform, stack=stack, protect=settings.protect), checked
    )
    runs = RunsNamespace(
        "runs",
        RunsNamespaceArgs(
            name=settings.namespaces.runs,
            stack=stack,
            quota=settings.quota,
            tls=settings.dask.tls,
            identities=settings.identities,
            pull_secrets=settings.image.pull_secrets,
            protect=settings.protect,
        ),
        checked,
    )
    resources: list[Resource] = [platform, runs]
    policies = network.policies(settings, preflight)
    if settings.network.policies:
        resources.append(NetworkPolicies("network", platform.name, policies.platform))
        resources.append(NetworkPolicies("runs-network", runs.name, policies.runs))
    image = FlowImage(
        "image",
        FlowImageArgs(
            builder=settings.image,
            root=Path(),
            tag=pulumi.get_stack(),
            node_platforms=preflight.node_platforms,
            git=plan.images_with_git,
            secrets=secrets.build,
        ),
        checked,
    )
    return Foundation(
        namespaces=Namespaces(platform=platform.name, runs=runs.name),
        image=image,
        policies=policies,
        checked=checked,
        resources=tuple(resources),
    )
