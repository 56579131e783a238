"""Starts a Prefect server: `prefect server` with one correction for SQLite.

Without it the event loop of a busy server stands still for a minute now and then, and no request is answered:

- SQLAlchemy does not close the cursor of a statement that failed, such as one that found the database locked
  (`AsyncAdapt_aiosqlite_cursor.execute` in sqlalchemy/dialects/sqlite/aiosqlite.py 2.0). The cursor belongs to a
  reference cycle, and its connection goes back to the pool.
- When Python's garbage collector comes to the cursor, it resets the statement in the thread of the event loop. SQLite
  lets it wait for the mutex of the connection while another statement of the same connection waits for a lock.
- The transaction that has the lock can only end in the event loop. So all of them wait until SQLite gives up, after
  Prefect's `PRAGMA busy_timeout = 60000` (`setup_sqlite` in prefect/server/database/configurations.py 3.8).

docs/upstream/sqlalchemy-failed-cursors.md describes it for SQLAlchemy.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiosqlite import Cursor
from prefect.cli import app


def close_failed_cursors() -> None:
    """Close the cursor of a statement that fails, in the thread of its connection."""
    # Private, because all public methods of a cursor go through this one.
    execute: Callable[..., Awaitable[Any]] = Cursor._execute  # noqa: SLF001  see above

    async def execute_or_close(self: Cursor, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return await execute(self, function, *arguments, **options)
        except Exception:
            if function != self._cursor.close:
                await execute(self, self._cursor.close)
            raise

    Cursor._execute = execute_or_close  # type: ignore[assignment,method-assign]  # noqa: SLF001  see above


def main() -> None:
    """Run `prefect server` with the arguments of this process."""
    close_failed_cursors()
    sys.argv = ["prefect", "server", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
