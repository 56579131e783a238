"""Debian's PostgreSQL as a plain process on the node's address, for a Prefect server in the cluster.

It runs while a local cluster does, because the address is that cluster's. Passwords by SCRAM, no TLS: the traffic stays
on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from tools.cluster import Layout, packages, process
from tools.cluster.layout import NODE_IP, POD_CIDR
from tools.cluster.wait import until
from tools.errors import Problem

PORT = 5432
USER = "postgres"
"""Debian's account for it: it refuses to run as root."""
HOME = Path("/var/lib/postgresql")
"""That account's home, which every user can reach; the state folder may lie below a home that only its owner can."""


def programs() -> Path:
    """The folder of the newest installed release; Debian keeps them apart."""
    releases = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not releases:
        raise Problem("PostgreSQL is not installed", remedy="Run `apt-get install postgresql`")
    return releases[-1].parent


class PostgreSQL:
    """One server, with its data beside the cluster's folder. It ends with the cluster at the latest."""

    def __init__(self, cluster: Layout, *, address: str = NODE_IP, port: int = PORT) -> None:
        self.cluster = cluster
        self.folder = cluster.root.with_name("postgresql")
        self.address = address
        self.port = port
        self.password = secrets.token_urlsafe(24)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "postgresql.pid"

    @property
    def log(self) -> Path:
        return self.folder / "postgresql.log"

    def create(self) -> None:
        """Make an empty server; one that a killed test run left is ended and removed first."""
        if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            packages.install(["postgresql"])
        self.remove()
        self._data.mkdir(parents=True)
        shutil.chown(self._data, USER, USER)
        self._data.chmod(0o700)
        password = self.folder / "password"
        password.touch(mode=0o600)
        shutil.chown(password, USER)
        password.write_text(self.password)
        initdb = [str(programs() / "initdb"), "--username=postgres", "--auth=scram-sha-256", "--no-sync"]
        places = [f"--pwfile={HOME / 'password'}", f"--pgdata={HOME / 'data'}"]
        try:
            subprocess.run(self._confined(*initdb, *places), capture_output=True, check=True)
        finally:
            password.unlink()
        allowed = [f"host all all {source} scram-sha-256" for source in (POD_CIDR, f"{self.address}/32")]
        (self._data / "pg_hba.conf").write_text("\n".join([*allowed, ""]))

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": "",
            # A test's data need not survive the machine's.
            "fsync": "off",
            "logging_collector": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        process.start(
            self._confined(str(programs() / "postgres"), "-D", str(HOME / "data"), *options),
            log=self.log,
            pid_file=self._pid_file,
            mark=str(self.cluster.root),
            environment={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )

        def answers() -> bool:
            running = process.read_pid_file(self._pid_file)
            assert running, "no pid file"
            assert running.alive(), f"PostgreSQL ended: {process.tail(self.log)}"
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                asyncio.run(self._execute("SELECT 1"))
                return True
            return False

        assert until(answers, seconds=60, interval=0.2), process.tail(self.log)

    def stop(self) -> None:
        """End it, with its sessions: a client finds its connection closed."""
        if running := process.read_pid_file(self._pid_file):
            running.signal(signal.SIGINT)
            if not running.wait(20):
                process.stop([running], grace=5)
        self._pid_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it and remove its data."""
        self.stop()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def database(self, name: str) -> str:
        """Make a database with a user of its own, and return its URL for SQLAlchemy."""
        assert re.fullmatch(r"[a-z_]+", name)
        password = secrets.token_urlsafe(24)
        asyncio.run(
            self._execute(
                f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
                f"CREATE DATABASE {name} OWNER {name}",
            )
        )
        return f"postgresql+asyncpg://{name}:{password}@{self.address}:{self.port}/{name}"

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(
            host=self.address, port=self.port, user=USER, password=self.password, database="postgres", timeout=5
        )
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def _confined(self, *command: str) -> list[str]:
        """A command as the server's account, which sees our folder as its home."""
        enter = f'mount --bind {shlex.quote(str(self.folder))} {HOME}; exec "$@"'
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-euc", enter, "sh"),
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
            *command,
        ]


@contextlib.contextmanager
def running(cluster: Layout) -> Iterator[PostgreSQL]:
    """A server that is there for the time of a test, beside a cluster that runs."""
    server = PostgreSQL(cluster)
    server.create()
    try:
        server.start()
        yield server
    finally:
        server.remove()
