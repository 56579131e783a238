"""Leases of concurrency limits in the Prefect server's own database, where they outlive the server's pod.

Prefect 3.8 can keep leases in memory, in files and in Redis. A server with PostgreSQL and without Redis has neither a
volume nor Redis, so it uses this module: `PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=ops.database_leases`. A lease is a
row of Prefect's table of configuration values, so that the database needs no table of ours. It is not for SQLite:
Prefect creates leases within a transaction, and SQLite admits one writer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from prefect.server.concurrency import lease_storage
from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata
from prefect.server.database import PrefectDBInterface, provide_database_interface
from prefect.server.utilities.leasing import ResourceLease
from prefect.types._concurrency import ConcurrencyLeaseHolder

Lease = ResourceLease[ConcurrencyLimitLeaseMetadata]

_PREFIX: Final = "concurrency-lease:"


class ConcurrencyLeaseStorage(lease_storage.ConcurrencyLeaseStorage):
    """Leases as rows `concurrency-lease:<id>`. Prefect looks the class up by this name."""

    def __init__(self, database: PrefectDBInterface | None = None) -> None:
        self._database = database or provide_database_interface()
        self._table = self._database.Configuration

    async def create_lease(
        self, resource_ids: list[UUID], ttl: timedelta, metadata: ConcurrencyLimitLeaseMetadata | None = None
    ) -> Lease:
        """Store a new lease."""
        lease = Lease(resource_ids=resource_ids, metadata=metadata, expiration=datetime.now(UTC) + ttl)
        row = self._table(key=_key(lease.id), value=_stored(lease))
        async with self._database.session_context(begin_transaction=True) as session:
            session.add(row)
        return lease

    async def read_lease(self, lease_id: UUID) -> Lease | None:
        """Return a lease, or None if it does not exist."""
        query = sa.select(self._table.value).where(self._table.key == _key(lease_id))
        async with self._database.session_context() as session:
            value = (await session.execute(query)).scalar()
        return None if value is None else _lease(value)

    async def renew_lease(self, lease_id: UUID, ttl: timedelta) -> bool:
        """Move the expiration of a lease; return False if it does not exist."""
        async with self._database.session_context(begin_transaction=True) as session:
            query = sa.select(self._table).where(self._table.key == _key(lease_id)).with_for_update()
            row = (await session.execute(query)).scalar()
            if row is None:
                return False
            row.value = {**row.value, "expiration": (datetime.now(UTC) + ttl).isoformat()}
        return True

    async def revoke_lease(self, lease_id: UUID) -> None:
        """Delete a lease."""
        async with self._database.session_context(begin_transaction=True) as session:
            await session.execute(sa.delete(self._table).where(self._table.key == _key(lease_id)))

    async def read_active_lease_ids(self, limit: int = 100, offset: int = 0) -> list[UUID]:
        """Return the ids of leases that have not expired."""
        now = datetime.now(UTC)
        return [lease.id for lease in await self._leases() if lease.expiration > now][offset : offset + limit]

    async def read_expired_lease_ids(self, limit: int = 100) -> list[UUID]:
        """Return the ids of leases that have expired."""
        now = datetime.now(UTC)
        return [lease.id for lease in await self._leases() if lease.expiration <= now][:limit]

    async def list_holders_for_limit(self, limit_id: UUID) -> list[tuple[UUID, ConcurrencyLeaseHolder]]:
        """Return who holds slots of a limit."""
        now = datetime.now(UTC)
        return [
            (lease.id, lease.metadata.holder)
            for lease in await self._leases()
            if lease.expiration > now and limit_id in lease.resource_ids and lease.metadata and lease.metadata.holder
        ]

    async def _leases(self) -> list[Lease]:
        """Return all leases. There are as many as runs and tasks that hold a slot."""
        query = sa.select(self._table.value).where(self._table.key.startswith(_PREFIX)).order_by(self._table.key)
        async with self._database.session_context() as session:
            return [_lease(value) for value in (await session.execute(query)).scalars()]


def _key(lease_id: UUID) -> str:
    return f"{_PREFIX}{lease_id}"


def _stored(lease: Lease) -> dict[str, Any]:
    return {
        "id": str(lease.id),
        "resource_ids": [str(each) for each in lease.resource_ids],
        "metadata": lease.metadata.model_dump(mode="json") if lease.metadata else None,
        "expiration": lease.expiration.isoformat(),
        "created_at": lease.created_at.isoformat(),
    }


def _lease(value: dict[str, Any]) -> Lease:
    metadata = value["metadata"]
    return Lease(
        id=UUID(value["id"]),
        resource_ids=[UUID(each) for each in value["resource_ids"]],
        metadata=ConcurrencyLimitLeaseMetadata.model_validate(metadata) if metadata else None,
        expiration=datetime.fromisoformat(value["expiration"]),
        created_at=datetime.fromisoformat(value["created_at"]),
    )
