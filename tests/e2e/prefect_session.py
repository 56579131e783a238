"""A process that keeps Prefect's client loaded: tests ask it again and again while they wait for a state."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

_PROGRAM: Final = """
import asyncio, json, os, sys

import httpx
from prefect import states
from prefect.client.orchestration import get_client
from prefect.client.schemas import actions, filters, sorting
from prefect.exceptions import PrefectHTTPStatusError

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

async def value(expression):
    scope = {}
    exec(f"async def of(client):\\n    return (\\n{expression}\\n    )", globals(), scope)
    async with get_client() as client:
        return await scope["of"](client)

for line in sys.stdin:
    try:
        answer = {"value": asyncio.run(value(json.loads(line)))}
    except httpx.TransportError as error:
        answer = {"error": repr(error), "outdated": True}
    except PrefectHTTPStatusError as error:
        # 401: another password. 404: the address of a Service that is gone, where the network has something else.
        answer = {"error": repr(error), "outdated": error.response.status_code in (401, 404)}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), file=answers, flush=True)
"""


class OutdatedError(Exception):
    """The server does not answer at the address, or to the credential, that the process was started with."""


@dataclass(frozen=True)
class PrefectSession:
    """The process, which ends when its standard input is closed."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Path, environment: Mapping[str, str]) -> PrefectSession:
        """Start the process in a clone, with the environment of its `make env`."""
        command = [".venv/bin/python", "-c", _PROGRAM]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True))

    def ask(self, expression: str) -> Any:
        """Return the JSON value of an expression that uses Prefect's `client`, `filters`, `states` and `actions`.

        Raises:
            OutdatedError: the process needs another environment.
            AssertionError: the expression failed.

        """
        requests, answers = self._pipes()
        try:
            requests.write(f"{json.dumps(expression)}\n")
            requests.flush()
        except BrokenPipeError as error:
            raise OutdatedError from error
        answer = json.loads(answers.readline() or '{"error": "the process ended", "outdated": true}')
        if answer.get("outdated"):
            raise OutdatedError(answer["error"])
        if "error" in answer:
            message = f"{expression}: {answer['error']}"
            raise AssertionError(message)
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        for pipe in self._pipes():
            pipe.close()
        self.process.wait(30)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout
