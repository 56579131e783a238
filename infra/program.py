"""The whole stack: the only wiring, and the only exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi import Input, Output

from infra import dask_profile, deployments, job_template, naming, settings
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.dask_reaper import DaskReaper, DaskReaperArgs
from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.components.namespace import FlowNamespace, FlowNamespaceArgs
from infra.components.prefect_credential import PrefectCredential, PrefectCredentialArgs
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.prefect_worker import PrefectWorker, PrefectWorkerArgs
from infra.outputs import StackOutputs
from infra.registration.deployment import Deployment, DeploymentArgs
from infra.registration.reach import Auth, PortForward, Reach, Url
from infra.registration.work_pool import WorkPool, WorkPoolArgs

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with prefect.yaml and the Dockerfile."""


def deploy() -> None:
    """Make the stack that `Pulumi.<stack>.yaml` and `prefect.yaml` describe.

    Raises:
        pulumi.RunError: when either of them is wrong; nothing has been registered then.

    """
    try:
        chosen = settings.parse(_configuration(), stack=pulumi.get_stack())
        declared = deployments.load(ROOT / "prefect.yaml", overrides=chosen.deployments)
        _check_against_pool(declared, chosen)
    except (settings.SettingsError, deployments.DeploymentError) as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in _stack(chosen, declared).items().items():
        pulumi.export(name, value)


def _configuration() -> Mapping[str, Any]:
    """Return the project's own configuration values, secrets left out.

    All of them, not those that we know: a misspelt key must be refused, not passed over.
    """
    found = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{naming.PROJECT}:"
    plain: dict[str, Any] = {}
    for key, value in found.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and name not in settings.SECRETS:
            plain[name] = json.loads(value) if value[:1] in "{[" else value
    return plain


def _check_against_pool(declared: tuple[deployments.DeploymentSpec, ...], chosen: settings.Settings) -> None:
    """Refuse what the pool could not run, before anything is changed."""
    for spec in declared:
        if spec.work_pool_name not in (None, chosen.work_pool.name):
            raise deployments.DeploymentError(
                f"prefect.yaml: deployment {spec.key} names work pool '{spec.work_pool_name}', and this stack has"
                f" '{chosen.work_pool.name}' only, so no worker would ever take its runs: name that one, or none"
            )
    if wrong := dask_profile.complaints(declared, chosen.dask.profiles):
        raise deployments.DeploymentError("prefect.yaml:\n" + "\n".join(f"  {sentence}" for sentence in wrong))
    # Image and credential are known later; which variables there are does not depend on them.
    args = job_template.JobTemplateArgs(
        namespace=chosen.namespace, image="", flow_run=chosen.flow_run, dask=chosen.dask, credential={}
    )
    deployments.check_job_variables(declared, job_template.build(args))


def _stack(chosen: settings.Settings, declared: tuple[deployments.DeploymentSpec, ...]) -> StackOutputs:
    namespace = FlowNamespace("flows", FlowNamespaceArgs(name=chosen.namespace))
    image = FlowImage("image", FlowImageArgs(builder=chosen.image, context=str(ROOT), tag=pulumi.get_stack()))
    DaskOperator("dask-operator", DaskOperatorArgs(namespace=namespace.name, image=image.platform))
    DaskReaper(
        "dask-reaper",
        DaskReaperArgs(namespace=namespace.name, image=image.platform, maximum_lifetime=chosen.dask.maximum_lifetime),
    )
    prefect = _prefect(chosen, namespace, image)
    template = Output.all(namespace=namespace.name, image=image.flow).apply(
        lambda known: job_template.build(
            job_template.JobTemplateArgs(
                namespace=known["namespace"],
                image=known["image"],
                flow_run=chosen.flow_run,
                dask=chosen.dask,
                credential=prefect.credential,
            )
        )
    )
    pool = WorkPool(
        "work-pool",
        WorkPoolArgs(
            reach=prefect.reach,
            name=chosen.work_pool.name,
            base_job_template=template,
            concurrency_limit=chosen.work_pool.concurrency_limit,
        ),
    )
    PrefectWorker(
        "prefect-worker",
        PrefectWorkerArgs(
            namespace=namespace.name,
            image=image.platform,
            api_url=prefect.api_url,
            work_pool=pool.name,
            settings=chosen.worker,
            credential=prefect.credential,
        ),
    )
    registered = {
        spec.key: Deployment(
            spec.key.replace("/", "-"), DeploymentArgs(reach=prefect.reach, spec=spec, work_pool_name=pool.name)
        )
        for spec in declared
    }
    return StackOutputs(
        namespace=namespace.name,
        prefect_api_url=prefect.api_url,
        prefect_ui_url=prefect.ui_url,
        work_pool=pool.name,
        flow_image=image.flow,
        platform_image=image.platform,
        deployments={key: each.deployment_id for key, each in registered.items()},
    )


@dataclass(frozen=True, kw_only=True)
class _Api:
    """The Prefect API three times: from here, from a pod, from a browser; and its credential."""

    reach: Reach
    api_url: Input[str]
    ui_url: Input[str]
    credential: Mapping[str, tuple[str, str]]


def _prefect(chosen: settings.Settings, namespace: FlowNamespace, image: FlowImage) -> _Api:
    prefect = chosen.prefect
    if isinstance(prefect, settings.EmbeddedPrefect):
        server = PrefectServer(
            "prefect-server",
            PrefectServerArgs(namespace=namespace.name, image=image.platform, settings=prefect),
        )
        reach = PortForward(namespace=namespace.name, service=server.service, port=naming.SERVER_PORT)
        return _Api(reach=reach, api_url=server.api_url, ui_url=prefect.ui_url, credential={})
    config = pulumi.Config()
    cloud = isinstance(prefect, settings.CloudPrefect)
    auth: Auth = "api-key" if cloud else "auth-string"
    credential = PrefectCredential(
        "prefect-credential",
        PrefectCredentialArgs(
            namespace=namespace.name,
            prefect=prefect,
            value=config.get_secret("prefectApiKey" if cloud else "prefectAuthString"),
        ),
    )
    return _Api(
        reach=Url(url=prefect.api_url, auth=auth),
        api_url=getattr(prefect, "pod_api_url", None) or prefect.api_url,
        ui_url=prefect.ui_url or prefect.api_url.removesuffix("/api"),
        credential=credential.references,
    )
