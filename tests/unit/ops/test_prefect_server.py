"""The event loop of a server with SQLite, while one of its statements waits for the database."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosqlite import Cursor
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from ops import prefect_server


@pytest.fixture(autouse=True)
def automatic_collections_are_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let garbage be collected where a test says so, and put back what it corrects."""
    monkeypatch.setattr(Cursor, "_execute", Cursor._execute)
    gc.disable()
    yield
    gc.enable()


async def fail(connection: AsyncConnection) -> None:
    """Let a statement fail, which leaves a cycle of references with its cursor."""
    with pytest.raises(IntegrityError):
        await connection.exec_driver_sql("insert into rows values (1)")
    await connection.rollback()


async def collection_waits(folder: Path, *, busy_timeout: float) -> bool:
    """Return whether a collection in the event loop lasts as long as a statement that waits for a lock.

    Args:
        folder: for the database.
        busy_timeout: seconds after which SQLite gives up to wait.

    """
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'database'}", connect_args={"timeout": busy_timeout})
    begun, ended = threading.Event(), threading.Event()
    async with engine.connect() as holder, engine.connect() as waiter:
        await holder.exec_driver_sql("create table rows (number integer primary key)")
        await holder.exec_driver_sql("insert into rows values (1)")
        await holder.commit()
        await fail(waiter)
        await holder.exec_driver_sql("insert into rows values (2)")  # has the lock from now on
        driver = (await waiter.get_raw_connection()).driver_connection
        assert driver is not None

        def update() -> None:
            begun.set()
            try:
                driver._conn.execute("update rows set number = 3 where number = 1")
            except sqlite3.OperationalError:
                pass
            finally:
                ended.set()

        waiting = asyncio.create_task(driver._execute(update))
        await asyncio.to_thread(begun.wait)
        await asyncio.sleep(0.3)  # nothing tells from outside that SQLite waits
        assert not ended.is_set()
        gc.collect()
        waited = ended.is_set()
        await holder.rollback()
        await waiting
    await engine.dispose()
    return waited


def test_a_collection_in_the_event_loop_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    prefect_server.close_failed_cursors()
    assert not asyncio.run(collection_waits(tmp_path, busy_timeout=60))


def test_the_correction_is_still_needed(tmp_path: Path) -> None:
    assert asyncio.run(collection_waits(tmp_path, busy_timeout=2)), "remove close_failed_cursors from ops"


def test_a_statement_that_fails_does_so_with_its_own_error(tmp_path: Path) -> None:
    prefect_server.close_failed_cursors()

    async def number_of_rows() -> int:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'database'}")
        async with engine.connect() as connection:
            await connection.exec_driver_sql("create table rows (number integer primary key)")
            await connection.exec_driver_sql("insert into rows values (1)")
            await connection.commit()
            await fail(connection)
            count = (await connection.exec_driver_sql("select count(*) from rows")).scalar_one()
        await engine.dispose()
        return int(count)

    assert asyncio.run(number_of_rows()) == 1


def test_the_arguments_are_those_of_prefect_server(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []
    monkeypatch.setattr(prefect_server, "app", lambda: typed.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["prefect_server.py", "start", "--host", "0.0.0.0"])
    prefect_server.main()
    assert typed == [["prefect", "server", "start", "--host", "0.0.0.0"]]
