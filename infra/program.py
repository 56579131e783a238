"""The whole stack: the only wiring, and the only exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pulumi
from pulumi import Input

from infra import capacity, dask_profile, job_template, naming, prefect_objects, settings
from infra import config as configuration
from infra.components import dask_operator, dask_reaper, identity, network_policies, prefect_worker
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.dask_reaper import DaskReaper, DaskReaperArgs
from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.components.identity import Identity, IdentityArgs
from infra.components.namespace import FLOW_RUN_RULES, FlowNamespace, FlowNamespaceArgs
from infra.components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.prefect_worker import PrefectWorker, PrefectWorkerArgs
from infra.components.result_volume import ResultVolume, ResultVolumeArgs
from infra.components.stack_secret import StackSecret, StackSecretArgs
from infra.job_template import JobTemplateArgs
from infra.outputs import StackOutputs
from infra.prefect_yaml import load as deployments
from infra.registration.deployment import Deployment, DeploymentArgs
from infra.registration.drain import Drain, DrainArgs
from infra.registration.endpoint import ApiEndpoint, Auth, PortForward, Url
from infra.registration.exact_access import ExactAccess, ExactAccessArgs
from infra.registration.preflight import Preflight, PreflightArgs
from infra.registration.session import CREDENTIALS
from infra.registration.work_pool import WorkPool, WorkPoolArgs
from infra.registration.work_queue import WorkQueue

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with prefect.yaml and the Dockerfile."""


def deploy() -> None:
    """Make the stack that `Pulumi.<stack>.yaml` and `prefect.yaml` describe.

    Raises:
        pulumi.RunError: when either of them is wrong; nothing has been registered then.

    """
    try:
        chosen = configuration.read()
        declared = deployments.load_deployments(ROOT / "prefect.yaml", overrides=chosen.deployments)
        placed = _placed(declared, chosen)
        configuration.check_secrets(chosen)
        prefect_objects.check(chosen, placed, stack=pulumi.get_stack())
    except (settings.SettingsError, deployments.DeploymentError) as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in _stack(chosen, placed).items().items():
        pulumi.export(name, value)


def _placed(declared: tuple[deployments.DeploymentSpec, ...], chosen: settings.Settings) -> prefect_objects.Placed:
    """Sort the deployments into work pools, and refuse what a pool could not run, before anything is changed."""
    first, *_ = chosen.work_pools
    placed: dict[str, tuple[deployments.DeploymentSpec, ...]] = dict.fromkeys(chosen.work_pools, ())
    for spec in declared:
        pool = spec.work_pool_name or first
        if pool not in placed:
            raise deployments.DeploymentError(
                f"prefect.yaml: deployment {spec.key} names work pool '{pool}', and this stack has"
                f" {', '.join(placed)} only, so no worker would ever take its runs: name one of them, or none"
            )
        placed[pool] += (spec,)
    if wrong := dask_profile.complaints(declared, chosen.dask.profiles):
        raise deployments.DeploymentError("prefect.yaml:\n" + "\n".join(f"  {sentence}" for sentence in wrong))
    for name, specs in placed.items():
        # Image and credential are known later; which variables there are does not depend on them.
        args = JobTemplateArgs.of(chosen, name, image="", credential={})
        deployments.check_job_variables(specs, job_template.build(args))
    return placed


def _templated(
    chosen: settings.Settings, pool: str, credential: Mapping[str, tuple[str, str]]
) -> Callable[[str], dict[str, Any]]:
    return lambda image: job_template.build(JobTemplateArgs.of(chosen, pool, image=image, credential=credential))


def _stack(chosen: settings.Settings, placed: prefect_objects.Placed) -> StackOutputs:
    pull_secrets = chosen.image.pull_secrets
    mark = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    operator = chosen.dask.operator
    preflight = Preflight(
        "preflight",
        PreflightArgs(
            namespace=chosen.namespace,
            stack_annotation=naming.STACK,
            stack=mark,
            operator=operator.mode,
            operator_namespace=operator.namespace if isinstance(operator, settings.ExistingOperator) else None,
            version_annotation=naming.DASK_VERSION,
            version=metadata.version("dask-kubernetes"),
        ),
    )
    first = pulumi.ResourceOptions(depends_on=[preflight])
    namespace = FlowNamespace(
        "flows",
        FlowNamespaceArgs(
            name=chosen.namespace,
            stack=mark,
            quota=chosen.quota,
            identities=chosen.identities,
            pull_secrets=pull_secrets,
            protect=chosen.protect,
        ),
        first,
    )
    embedded = isinstance(chosen.prefect, settings.EmbeddedPrefect)
    before: list[pulumi.Resource] = [namespace]
    closed = NetworkPoliciesArgs(
        namespace=namespace.name,
        network=chosen.network,
        embedded=embedded,
        operator_namespace=None if isinstance(operator, settings.InstallOperator) else operator.namespace,
    )
    if chosen.network.policies:
        before.append(NetworkPolicies("network", closed))
    image = FlowImage(
        "image",
        FlowImageArgs(
            builder=chosen.image,
            context=".",
            tag=pulumi.get_stack(),
            secrets=configuration.build_secrets(chosen),
        ),
        first,
    )
    if isinstance(operator, settings.InstallOperator):
        installed = DaskOperator(
            "dask-operator",
            DaskOperatorArgs(
                namespace=namespace.name,
                image=image.platform,
                settings=operator,
                annotations=chosen.identities.operator.annotations,
                pull_secrets=pull_secrets,
            ),
            first,
        )
        before.append(installed)
    if isinstance(chosen.results, settings.VolumeResults) and not chosen.results.existing_claim:
        volume = ResultVolumeArgs(namespace=namespace.name, settings=chosen.results, protect=chosen.protect)
        before.append(ResultVolume("results", volume))
    reaper = DaskReaper(
        "dask-reaper",
        DaskReaperArgs(
            namespace=namespace.name,
            image=image.platform,
            maximum_lifetime=chosen.dask.maximum_lifetime,
            annotations=chosen.identities.reaper.annotations,
            pull_secrets=pull_secrets,
        ),
    )
    prefect = _prefect(chosen, namespace, image)
    before += prefect.made
    account = Identity(
        "prefect-worker-identity",
        IdentityArgs(
            account=naming.WORKER,
            namespace=namespace.name,
            rules=prefect_worker.RULES,
            annotations=chosen.identities.worker.annotations,
            pull_secrets=pull_secrets,
        ),
    )
    before.append(
        ExactAccess(
            "access",
            _allowed(chosen, closed),
            pulumi.ResourceOptions(depends_on=[*before, reaper, account]),
        )
    )
    pools: dict[str, WorkPool] = {}
    queues: dict[str, WorkQueue] = {}
    registered: dict[str, Deployment] = {}
    limits = capacity.concurrency(chosen)
    for name, wanted in chosen.work_pools.items():
        template = image.of(wanted.image).apply(_templated(chosen, name, prefect.plain))
        pool = pools[name] = WorkPool(
            f"work-pool-{name}",
            WorkPoolArgs(
                endpoint=prefect.endpoint, name=name, base_job_template=template, concurrency_limit=limits[name]
            ),
        )
        worker = PrefectWorker(
            f"prefect-worker-{name}",
            PrefectWorkerArgs(
                namespace=namespace.name,
                account=account.name,
                image=image.platform,
                api_url=prefect.api_url,
                pool=name,
                work_pool=pool.name,
                settings=wanted.worker or chosen.worker,
                credential=prefect.reference,
                versions=prefect.versions,
            ),
        )
        lanes = prefect_objects.work_queues(prefect.endpoint, pool, name, chosen, placed[name])
        queues |= {f"{name}/{lane}": queue for lane, queue in lanes.items()}
        before += [pool, worker, *lanes.values()]
        for spec in placed[name]:
            lane = lanes.get(spec.work_queue_name)
            registered[spec.key] = Deployment(
                spec.key.replace("/", "-"),
                DeploymentArgs(
                    endpoint=prefect.endpoint,
                    spec=spec,
                    work_pool_name=pool.name,
                    work_queue_name=lane.name if lane else None,
                ),
            )
    before += prefect_objects.register(
        chosen,
        placed,
        prefect_objects.Registered(endpoint=prefect.endpoint, pools=pools, queues=queues, deployments=registered),
    )
    Drain(
        "drain",
        DrainArgs(
            endpoint=prefect.endpoint,
            namespace=namespace.name,
            pools=[pool.name for pool in pools.values()],
            runs=chosen.drain.runs,
            deadline=chosen.drain.deadline,
        ),
        # A destroy goes the other way round: first this, then what live runs need. Were only the data protected, a
        # destroy would end at them, with everything else gone.
        pulumi.ResourceOptions(depends_on=[*before, reaper, *registered.values()], protect=chosen.protect),
    )
    return StackOutputs(
        namespace=namespace.name,
        prefect_api_url=prefect.api_url,
        prefect_ui_url=chosen.prefect.browser_url,
        prefect_server_labels=naming.selector(naming.SERVER) if embedded else {},
        prefect_server_port=naming.SERVER_PORT,
        work_pool=next(iter(pools.values())).name,
        work_pools={name: pool.name for name, pool in pools.items()},
        flow_image=image.flow,
        platform_image=image.platform,
        deployments={key: each.deployment_id for key, each in registered.items()},
    )


def _allowed(chosen: settings.Settings, closed: NetworkPoliciesArgs) -> ExactAccessArgs:
    """Return what the stack's Roles, bindings and NetworkPolicies allow, as the components declare it."""
    acting = {
        naming.FLOW_RUN: FLOW_RUN_RULES,
        naming.WORKER: prefect_worker.RULES,
        naming.REAPER: dask_reaper.RULES,
        **({naming.OPERATOR: dask_operator.RULES} if chosen.dask.operator.mode == "install" else {}),
    }
    return ExactAccessArgs(
        namespace=chosen.namespace,
        roles={account: identity.granted(rules) for account, rules in acting.items()},
        bindings={account: identity.bound(account, chosen.namespace) for account in acting},
        policies=network_policies.specs(closed) if chosen.network.policies else {},
    )


@dataclass(frozen=True, kw_only=True)
class _Api:
    """The Prefect API from here and from a pod, and its credential as (Secret, key)."""

    endpoint: ApiEndpoint
    api_url: Input[str]
    plain: Mapping[str, tuple[str, str]]
    reference: Mapping[str, tuple[Input[str], str]]
    versions: Mapping[str, Input[str]]
    made: tuple[pulumi.Resource, ...]


def _prefect(chosen: settings.Settings, namespace: FlowNamespace, image: FlowImage) -> _Api:
    prefect = chosen.prefect
    kind: Auth = "api-key" if isinstance(prefect, settings.CloudPrefect) else "auth-string"
    variable, key = CREDENTIALS[kind]
    credential = StackSecret(
        "prefect-credential",
        StackSecretArgs(
            namespace=namespace.name,
            secret=naming.API_CREDENTIAL,
            existing=prefect.key_secret if isinstance(prefect, settings.CloudPrefect) else prefect.auth_secret,
            value=pulumi.Config().get_secret(key),
        ),
    )
    plain = {variable: credential.plain} if credential.plain else {}
    reference = {variable: credential.reference} if credential.reference else {}
    # A key is always asked for, in the environment if nowhere else; a server may ask for nothing.
    auth: Auth = kind if kind == "api-key" or credential.plain else "none"
    if not isinstance(prefect, settings.EmbeddedPrefect):
        api_url = getattr(prefect, "pod_api_url", None) or prefect.api_url
        return _Api(
            endpoint=Url(url=prefect.api_url, auth=auth),
            api_url=api_url,
            plain=plain,
            reference=reference,
            versions=credential.version,
            made=(credential,),
        )
    database, redis = _database(prefect, namespace), _redis(prefect, namespace)
    server = PrefectServer(
        "prefect-server",
        PrefectServerArgs(
            namespace=namespace.name,
            image=image.platform,
            settings=prefect,
            auth=credential.reference,
            database=database.reference if database else None,
            redis=redis.reference if redis else None,
            versions={
                **credential.version,
                **(database.version if database else {}),
                **(redis.version if redis else {}),
            },
            annotations=chosen.identities.server.annotations,
            pull_secrets=chosen.image.pull_secrets,
            protect=chosen.protect,
        ),
    )
    endpoint = PortForward(namespace=namespace.name, service=server.service, port=naming.SERVER_PORT, auth=auth)
    return _Api(
        endpoint=endpoint,
        api_url=server.api_url,
        plain=plain,
        reference=reference,
        versions=credential.version,
        made=(credential, server),
    )


def _database(prefect: settings.EmbeddedPrefect, namespace: FlowNamespace) -> StackSecret | None:
    if not isinstance(prefect.database, settings.Postgresql):
        return None
    return _address("prefect-database", naming.DATABASE, prefect.database.url_secret, "prefectDatabaseUrl", namespace)


def _redis(prefect: settings.EmbeddedPrefect, namespace: FlowNamespace) -> StackSecret | None:
    if prefect.redis is None:
        return None
    return _address("prefect-redis", naming.REDIS, prefect.redis.url_secret, "prefectRedisUrl", namespace)


def _address(
    name: str, secret: str, existing: settings.SecretKey | None, key: str, namespace: FlowNamespace
) -> StackSecret:
    """Return the Secret with an address that has a password in it, made unless there is one."""
    return StackSecret(
        name,
        StackSecretArgs(
            namespace=namespace.name, secret=secret, existing=existing, value=pulumi.Config().get_secret(key)
        ),
    )
