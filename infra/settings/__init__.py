"""The stack's settings: what `Pulumi.<stack>.yaml` may contain, checked before the first resource."""

from infra.settings.dask import (
    Dask,
    DaskProfile,
    ExistingOperator,
    InstallOperator,
    LargeWorkers,
    Scheduler,
    worker_memory,
)
from infra.settings.errors import SettingsError, invalid, no_place_for_a_secret
from infra.settings.flow_run import FlowRun
from infra.settings.image import Docker, DockerBuild, FlowBuild, Image, Prebuilt
from infra.settings.isolation import Identities, Identity, Network, Peer, Quota
from infra.settings.job_variable import JobVariable
from infra.settings.monitoring import Monitoring
from infra.settings.objects import Automation, ConcurrencyLimit, Variable, WorkQueue
from infra.settings.pod import PLATFORM, Pod, Toleration
from infra.settings.pod_extras import CaBundle, EmptyDir, EnvFrom, PodExtras, SecretVariable, Volume
from infra.settings.prefect import (
    CloudPrefect,
    EmbeddedPrefect,
    Ingress,
    Postgresql,
    Prefect,
    Redis,
    ServerPrefect,
    Sqlite,
)
from infra.settings.prices import Prices
from infra.settings.results import BlockResults, NoResults, Results, VolumeResults
from infra.settings.root import DeploymentOverride, Drain, Settings, parse
from infra.settings.secrets import DATABASE_URL, REDIS_URL, SECRETS, secret_keys
from infra.settings.types import SecretKey
from infra.settings.work_pool import WorkPool
from infra.settings.worker import Worker

__all__ = [
    "DATABASE_URL",
    "PLATFORM",
    "REDIS_URL",
    "SECRETS",
    "Automation",
    "BlockResults",
    "CaBundle",
    "CloudPrefect",
    "ConcurrencyLimit",
    "Dask",
    "DaskProfile",
    "DeploymentOverride",
    "Docker",
    "DockerBuild",
    "Drain",
    "EmbeddedPrefect",
    "EmptyDir",
    "EnvFrom",
    "ExistingOperator",
    "FlowBuild",
    "FlowRun",
    "Identities",
    "Identity",
    "Image",
    "Ingress",
    "InstallOperator",
    "JobVariable",
    "LargeWorkers",
    "Monitoring",
    "Network",
    "NoResults",
    "Peer",
    "Pod",
    "PodExtras",
    "Postgresql",
    "Prebuilt",
    "Prefect",
    "Prices",
    "Quota",
    "Redis",
    "Results",
    "Scheduler",
    "SecretKey",
    "SecretVariable",
    "ServerPrefect",
    "Settings",
    "SettingsError",
    "Sqlite",
    "Toleration",
    "Variable",
    "Volume",
    "VolumeResults",
    "WorkPool",
    "WorkQueue",
    "Worker",
    "invalid",
    "no_place_for_a_secret",
    "parse",
    "secret_keys",
    "worker_memory",
]
