"""For how long an embedded Prefect server keeps what it records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from infra.settings.types import Model

_DAY: Final = 24 * 60 * 60
_VACUUM: Final = "PREFECT_SERVER_SERVICES_DB_VACUUM"


class Retention(Model):
    """For how long an embedded Prefect server keeps what it records; the volume or database must hold as much."""

    run_days: int | None = Field(default=90, ge=1)
    """Days after its end for which a run is kept, with its task runs, log and artifacts; with null indefinitely."""
    event_days: int = Field(default=7, ge=1)
    """Days for which events are kept: what the UI's event feed shows and triggers look back at."""

    def environment(self) -> Mapping[str, str]:
        """Return the server's environment variables for it.

        Without them Prefect deletes events after 7 days, and runs never.
        """
        runs = {f"{_VACUUM}_RETENTION_PERIOD": str(self.run_days * _DAY)} if self.run_days is not None else {}
        return {
            f"{_VACUUM}_ENABLED": "events,flow_runs" if runs else "events",
            **runs,
            "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{self.event_days}D",
        }
