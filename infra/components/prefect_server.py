"""A Prefect server in the platform's namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_kubernetes as k8s
from pulumi import ComponentResource, Input, Output, ResourceOptions

from ephemeral_dask.contract import security
from ephemeral_dask.contract.secrets import SecretRef
from infra import naming
from infra.components import pods
from infra.components.identity import Identity, IdentityArgs
from infra.naming import PROJECT
from infra.settings import EmbeddedPrefect, Ingress, Postgresql, Sqlite
from infra.specs.addresses import ADDRESSES, IpFamily

DATA: Final = "/data"
_HEALTH: Final = {"path": "/api/health", "port": naming.SERVER_PORT}
_READY: Final = {"path": "/api/ready", "port": naming.SERVER_PORT}
"""Asks the database, which the health check does not. Not for the liveness probe: a restart repairs no database."""

_LEASES: Final = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
"""Module that keeps leases of concurrency limits: in memory, by default, where a restart ends runs that hold one."""

THROUGH_REDIS: Final = {
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    _LEASES: "prefect_redis.lease_storage",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
}
"""Settings that let several server processes share state; the values are modules of prefect-redis 0.3.0."""

_REDIS_URLS: Final = ("PREFECT_REDIS_MESSAGING_URL", "PREFECT_SERVER_DOCKET_URL")


@dataclass(frozen=True, kw_only=True)
class PrefectServerArgs:
    """The server.

    Attributes:
        namespace: of the server.
        image: the platform image.
        settings: of the stack.
        auth: the basic-auth string that the server requires, if any.
        database: address of PostgreSQL; required where the settings select PostgreSQL.
        redis: address of Redis; required where the settings have one.
        versions: annotation -> a value that changes with one of these Secrets.
        annotations: of its ServiceAccount.
        pull_secrets: Secrets with which its pods pull images.
        protect: whether a destroy refuses to delete the database's volume.
        ip_family: of the addresses of pods.
        metrics: whether it serves its metrics, behind its password.

    """

    namespace: Input[str]
    image: Input[str]
    settings: EmbeddedPrefect
    auth: SecretRef | None = None
    database: SecretRef | None = None
    redis: SecretRef | None = None
    versions: Mapping[str, Input[str]] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()
    protect: bool = False
    ip_family: IpFamily = "IPv4"
    metrics: bool = False


class PrefectServer(ComponentResource):
    """The server, its volume with SQLite, and its ingress if the stack has one.

    One process with SQLite, which allows one writer, and whose event broker is in the process's memory. With
    PostgreSQL and Redis, as many replicas as the stack sets.
    """

    service: Output[str]
    """Name of the Service, known once the server is ready."""
    api_url: Output[str]
    """The API as a pod reaches it."""

    def __init__(self, name: str, args: PrefectServerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(f"{PROJECT}:index:PrefectServer", name, {}, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        settings = args.settings
        # Volume and Service become ready with the server's pod, which is created after them.
        self._unawaited = naming.metadata(naming.SERVER, args.namespace, **{"pulumi.com/skipAwait": "true"})
        account = Identity(
            f"{name}-identity",
            IdentityArgs(
                account=naming.SERVER,
                namespace=args.namespace,
                annotations=args.annotations,
                pull_secrets=args.pull_secrets,
            ),
            self._child,
        )
        volume = self._volume(settings.database) if isinstance(settings.database, Sqlite) else None
        service = self._service()
        together = settings.background_services == "together"
        deployment = self._deployment(
            naming.SERVER,
            _pod(args, account.name, volume, _server(args, services=together)),
            replicas=settings.replicas,
            # During a rolling update two servers would write to one SQLite file.
            strategy="Recreate" if volume is not None else "RollingUpdate",
        )
        if not together:
            self._deployment(naming.SERVICES, _pod(args, account.name, None, _services(args)), strategy="Recreate")
        pods.disruption_budget(
            name,
            naming.metadata(naming.SERVER, args.namespace),
            naming.selector(naming.SERVER),
            settings.replicas,
            self._child,
        )
        if settings.ingress is not None:
            self._ingress(settings.ingress, service.metadata.name.apply(str))
        self.service = pods.known_after(service.metadata.name, deployment.id)
        self.api_url = api_url(self.service, args.namespace)
        self.register_outputs({"service": self.service, "api_url": self.api_url})

    def _volume(self, database: Sqlite) -> Output[str]:
        volume = k8s.core.v1.PersistentVolumeClaim(
            f"{self._name}-volume",
            metadata=self._unawaited,
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=database.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": database.storage}),
            ),
            opts=ResourceOptions(parent=self, protect=self._args.protect),
        )
        return Output.from_input(volume.metadata.name).apply(str)

    def _service(self) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._unawaited,
            spec=k8s.core.v1.ServiceSpecArgs(
                selector=naming.selector(naming.SERVER),
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=naming.SERVER_PORT, target_port="http")],
            ),
            opts=self._child,
        )

    def _deployment(
        self, component: str, pod: Mapping[str, Any], *, replicas: int = 1, strategy: str
    ) -> k8s.apps.v1.Deployment:
        part = "" if component == naming.SERVER else "-services"
        return k8s.apps.v1.Deployment(
            f"{self._name}{part}-deployment",
            metadata=naming.metadata(component, self._args.namespace),
            spec=pods.deployment(
                component,
                pod,
                settings=self._args.settings.pod,
                replicas=replicas,
                strategy=strategy,
                versions=self._args.versions,
            ),
            opts=self._child,
        )

    def _ingress(self, ingress: Ingress, service: Output[str]) -> None:
        backend = {"service": {"name": service, "port": {"name": "http"}}}
        tls = {"hosts": [ingress.host], **({"secretName": ingress.tls_secret} if ingress.tls_secret else {})}
        k8s.networking.v1.Ingress(
            f"{self._name}-ingress",
            metadata=naming.metadata(
                naming.SERVER, self._args.namespace, **{"pulumi.com/skipAwait": "true", **ingress.annotations}
            ),
            spec={
                **({"ingress_class_name": ingress.class_name} if ingress.class_name else {}),
                "tls": [tls],
                "rules": [
                    {
                        "host": ingress.host,
                        "http": {"paths": [{"path": "/", "path_type": "Prefix", "backend": backend}]},
                    }
                ],
            },
            opts=self._child,
        )


def api_url(service: Input[str], namespace: Input[str]) -> Output[str]:
    """Return the API of a server as a pod reaches it."""
    return Output.format("http://{0}.{1}.svc:{2}/api", service, namespace, naming.SERVER_PORT)


def _pod(
    args: PrefectServerArgs, account: Input[str], volume: Input[str] | None, container: Mapping[str, Any]
) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The image's user does not own a new volume; its group does.
        "securityContext": {**security.pod_security(), "fsGroup": security.GROUP},
        "containers": [container],
        "volumes": [pods.writable_volume()],
    }
    if volume is not None:
        data = {"name": "data", "mountPath": DATA}
        pod["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": volume}})
        pod["containers"] = [{**container, "volumeMounts": [*container["volumeMounts"], data]}]
    elif "ports" in container:
        pod["initContainers"] = [_migration(args)]
    return pod


def _container(args: PrefectServerArgs, name: str, command: list[str], component: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": args.image,
        "command": command,
        "env": pods.environment(_environment(args)),
        "resources": pods.resources(component, args.settings.pod),
        "securityContext": security.container_security(),
        "volumeMounts": [pods.writable_mount()],
    }


def _server(args: PrefectServerArgs, *, services: bool) -> dict[str, Any]:
    command = ["python", "-m", "ops.prefect_server", "start", "--host", ADDRESSES[args.ip_family].listen]
    command += [] if services else ["--no-services"]
    return {
        **_container(args, "server", command, "server"),
        "ports": [{"name": "http", "containerPort": naming.SERVER_PORT}],
        "startupProbe": {"httpGet": _HEALTH, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": _readiness(args),
        "livenessProbe": pods.liveness(_HEALTH, period=10, failures=6),
    }


def _readiness(args: PrefectServerArgs) -> dict[str, Any]:
    """Return the readiness probe: the database answers, and SQLite's volume can be written to.

    Prefect's own check reads only, so it sees neither a full volume nor one that has become read-only.
    """
    if isinstance(args.settings.database, Postgresql):
        return {"httpGet": _READY, "periodSeconds": 5, "timeoutSeconds": 5}
    url = f"http://{ADDRESSES[args.ip_family].loopback_in_url}:{naming.SERVER_PORT}{_READY['path']}"
    # -S: without site-packages it starts in 30 ms.
    command = ["python", "-S", "-m", "ops.server_probe", url, DATA]
    return {"exec": {"command": command}, "periodSeconds": 10, "timeoutSeconds": 10}


def _services(args: PrefectServerArgs) -> dict[str, Any]:
    """Return the container of the background services. It has no probes, because they listen on no port."""
    return _container(args, "services", ["prefect", "server", "services", "start"], "services")


def _migration(args: PrefectServerArgs) -> dict[str, Any]:
    """Return the init container that migrates the database: the server's startup probe need not allow for that."""
    return _container(args, "migrate", ["prefect", "server", "database", "upgrade", "--yes"], "server")


def _environment(args: PrefectServerArgs) -> dict[str, Any]:
    url = args.settings.browser_url
    origins = dict.fromkeys([url, url.replace("//127.0.0.1", "//localhost")])
    values: dict[str, Any] = {
        "HOME": pods.WRITABLE,
        # The server copies its UI there when it starts; site-packages is read-only.
        "PREFECT_UI_STATIC_DIRECTORY": f"{pods.WRITABLE}/ui",
        # The page is loaded by a browser, which cannot resolve the Service's name.
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        # The origins of the server's own page: no other site may call the API with a browser's credentials.
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(origins),
        **args.settings.retention.environment(),
        **({"PREFECT_SERVER_METRICS_ENABLED": "true"} if args.metrics else {}),
    }
    if isinstance(args.settings.database, Postgresql):
        if args.database is None:
            raise ValueError("`database` is missing: the settings select PostgreSQL")
        values["PREFECT_HOME"] = f"{pods.WRITABLE}/prefect"
        values["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = args.database
        values["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] = "false"
        values[_LEASES] = "ops.database_leases"
    else:
        values["PREFECT_HOME"] = DATA
        values["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{DATA}/prefect.db"
        values[_LEASES] = "prefect.server.concurrency.lease_storage.filesystem"
    if args.auth is not None:
        values["PREFECT_SERVER_API_AUTH_STRING"] = args.auth
    if args.settings.redis is not None:
        if args.redis is None:
            raise ValueError("`redis` is missing: the settings have a Redis")
        values |= THROUGH_REDIS | dict.fromkeys(_REDIS_URLS, args.redis)
    return values | dict(args.settings.pod.env)
