"""The PersistentVolumeClaims that a stack creates."""

from __future__ import annotations

from collections.abc import Iterator

from infra import naming
from infra.settings.prefect import EmbeddedPrefect, Sqlite
from infra.settings.results import VolumeResults
from infra.settings.root import Settings


def claims(settings: Settings) -> Iterator[dict[str, str]]:
    """Yield `namespace`, `name`, `access_mode`, and `storage_class` where the stack sets one, of each claim."""
    prefect, results, names = settings.prefect, settings.results, settings.namespaces
    if isinstance(prefect, EmbeddedPrefect) and isinstance(prefect.database, Sqlite):
        yield _claim(names.platform, naming.SERVER, "ReadWriteOnce", prefect.database.storage_class)
    if isinstance(results, VolumeResults) and not results.existing_claim:
        yield _claim(names.runs, naming.RESULTS, results.access_mode, results.storage_class)


def _claim(namespace: str, name: str, access_mode: str, storage_class: str | None) -> dict[str, str]:
    claim = {"namespace": namespace, "name": name, "access_mode": access_mode}
    return {**claim, "storage_class": storage_class} if storage_class else claim
