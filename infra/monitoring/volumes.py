"""The volumes of a stack in PromQL, by the metrics that kubelets have about volumes."""

from __future__ import annotations

from infra import job_template, naming
from infra.settings import EmbeddedPrefect, Settings, Sqlite


def free_share(settings: Settings) -> str:
    """Return the free share of each volume of the stack, or an empty text where it has none."""
    prefect, results = settings.prefect, job_template.claim(settings.results)
    claims = []
    if isinstance(prefect, EmbeddedPrefect) and isinstance(prefect.database, Sqlite):
        claims.append((settings.namespaces.platform, naming.SERVER))
    if results is not None:
        claims.append((settings.namespaces.runs, results))
    return " or ".join(_free(*each) for each in claims)


def _free(namespace: str, claim: str) -> str:
    volume = f'{{namespace="{namespace}",persistentvolumeclaim="{claim}"}}'
    return f"kubelet_volume_stats_available_bytes{volume} / kubelet_volume_stats_capacity_bytes{volume}"
