"""What `prefect deploy --all` would send to a server for a prefect.yaml, by Prefect's own code and models, and what we
would send: without a server, so that thousands of files can be compared."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import json
import os
import ssl
import uuid
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from unittest import mock

import httpx
from prefect.cli.deploy import _config, _core
from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.server.events.schemas.automations import AutomationCreate
from prefect.server.schemas.actions import DeploymentCreate
from prefect.types import _datetime
from rich.console import Console

from infra.prefect_yaml.load import DeploymentError, load_deployments
from infra.registration.deployment import DeploymentProvider, declared
from infra.specs.automation import full_trigger, normal_trigger
from infra.specs.deployment import DeploymentSpec

Json = dict[str, Any]

_TRUST: Final = ssl.create_default_context()
_TIMEZONES: Final = zoneinfo.available_timezones()
_ID: Final = uuid.UUID(int=1)
_POOL: Final = {
    "id": str(_ID),
    "name": "pool",
    "type": "kubernetes",
    "base_job_template": {"job_configuration": {}, "variables": {"type": "object", "properties": {}}},
    "created": "2026-01-01T00:00:00Z",
    "updated": "2026-01-01T00:00:00Z",
}


class Refused(Exception):  # noqa: N818  an outcome, not an error
    """`prefect deploy` registers nothing, or not all that the file declares."""


def by_prefect(
    path: Path, environment: Mapping[str, str], *, only: int | None = None, schemas: bool = False
) -> dict[str, Json]:
    """Return what `deploy` sends, by flow and deployment, with the values that the server's models keep.

    Args:
        path: as for `deploy`, like `environment` and `only`.
        schemas: whether the schemas of parameters are part of the answer.

    Raises:
        Refused: the deploy code or a model of the server refuses it.

    """
    sent: list[tuple[str, str, Json]] = []
    with _no_server(sent):
        deploy(path, environment, only=only)
    return _registered(sent, schemas=schemas)


def deploy(path: Path, environment: Mapping[str, str], *, only: int | None = None) -> None:
    """Run Prefect's deploy code, without build and push steps, against the server of Prefect's settings.

    Args:
        path: prefect.yaml.
        environment: what is added to this process's variables.
        only: index of the one deployment to register.

    Raises:
        Refused: the deploy code or the server refuses it.

    """
    with _inside(path.parent, environment), contextlib.redirect_stdout(io.StringIO()):
        console = Console(file=io.StringIO())
        try:
            configs, actions = _config._load_deploy_configs_and_actions(path, console=console)
            text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
            if "Skipping deployment configuration" in text or "Unable to" in text:
                raise Refused(text)  # noqa: TRY301
            configs = configs if only is None else configs[only : only + 1]
            named = [config for config in configs if config.get("name") is not None]
            asyncio.run(
                _core._run_multi_deploy(
                    named,
                    {**actions, "build": [], "push": []},
                    deploy_all=True,
                    prefect_file=path,
                    console=console,
                    is_interactive=lambda: False,
                )
            )
        except Refused:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  Prefect's code and the flow's file may raise anything
            raise Refused(f"{type(error).__name__}: {error}") from None


def by_us(path: Path, environment: Mapping[str, str], warnings: list[str] | None = None) -> dict[str, Json]:
    """Return what this project sends for the same file.

    Raises:
        Refused: the file is refused.

    """
    collected: list[str] = [] if warnings is None else warnings
    try:
        specs = load_deployments(path, environment=environment, warn=collected.append)
    except DeploymentError as error:
        raise Refused(str(error)) from None
    return of_specs(specs)


def of_specs(specs: Iterable[DeploymentSpec], *, schemas: bool = False) -> dict[str, Json]:
    """Return what this project sends for deployments, by flow and deployment.

    Args:
        specs: the deployments.
        schemas: whether the schemas of parameters are part of the answer.

    Raises:
        Refused: a model of Prefect's server refuses it.

    """
    sent: list[tuple[str, str, Json]] = []
    for spec in specs:
        fields = {name: value for name, value in declared(spec).items() if value is not None}
        fields |= {"work_pool_name": spec.work_pool_name or "pool", "owner": "project/stack/name"}
        DeploymentProvider()._post(_Api(sent, spec.flow_name), fields, {})  # type: ignore[arg-type]  # what is used of it
        for trigger in spec.triggers:
            body = {
                "name": trigger.name,
                "description": trigger.description,
                "enabled": trigger.enabled is not False,
                "trigger": full_trigger(normal_trigger(trigger.trigger)),
                "actions": [{**action, "deployment_id": str(_ID)} for action in trigger.actions],
            }
            sent.append(("POST", "/automations/", body))
    return _registered(sent, schemas=schemas)


class _Api:
    """What records the requests of the provider."""

    def __init__(self, sent: list[tuple[str, str, Json]], flow: str) -> None:
        self._sent, self._flow = sent, flow

    def flow_id(self, name: str, *, operation: str) -> str:  # noqa: ARG002  as PrefectApi
        self._sent.append(("POST", "/flows/", {"name": name}))
        return str(_ID)

    def post(self, path: str, body: Json, *, operation: str) -> Json:  # noqa: ARG002  as PrefectApi
        self._sent.append(("POST", path, json.loads(json.dumps(body, allow_nan=False))))
        return body


def _registered(sent: list[tuple[str, str, Json]], *, schemas: bool) -> dict[str, Json]:
    deployments: dict[str, Json] = {}
    flow, current = "", {}
    for method, path, body in sent:
        if (method, path) == ("POST", "/flows/"):
            flow = body["name"]
        elif (method, path) == ("POST", "/deployments/"):
            current = _deployment(body)
            if schemas:
                current["parameter_openapi_schema"] = body.get("parameter_openapi_schema")
            deployments[f"{flow}/{body['name']}"] = current
        elif (method, path) == ("POST", "/automations/"):
            current.setdefault("automations", {})[body["name"]] = _automation(body)
    return deployments


def _deployment(body: Json) -> Json:
    try:
        model = DeploymentCreate.model_validate({**body, "flow_id": str(_ID)})
        model.check_valid_configuration({"job_configuration": {}, "variables": {}})
        if model.enforce_parameter_schema:
            _check_parameters(model)
    except Exception as error:  # noqa: BLE001  a model's validator may raise anything
        raise Refused(f"{type(error).__name__}: {error}") from None
    fields = model.model_dump(mode="json")
    for name in ("flow_id", "labels", "version_info", "version", "path", "parameter_openapi_schema", "branch"):
        fields.pop(name, None)
    for schedule in fields["schedules"]:
        _normalise_anchor(schedule["schedule"])
        # It says which live schedule gets a new slug, and the server does not store it: test_schedule_changes.py.
        del schedule["replaces"]
    return fields


def _check_parameters(model: DeploymentCreate) -> None:
    from prefect.utilities.schema_tools import validate  # noqa: PLC0415

    validate(model.parameters or {}, model.parameter_openapi_schema or {}, raise_on_error=True, ignore_required=True)


def _normalise_anchor(schedule: Json) -> None:
    """Write an anchor in UTC; remove it if none is declared, so that both have the time of their registration."""
    if not schedule.get("anchor_date"):
        return
    anchor = dt.datetime.fromisoformat(schedule["anchor_date"])
    if abs(dt.datetime.now(dt.UTC) - anchor) < dt.timedelta(minutes=10):
        del schedule["anchor_date"]
    else:
        schedule["anchor_date"] = anchor.astimezone(dt.UTC).isoformat()


def _automation(body: Json) -> Json:
    try:
        model = AutomationCreate.model_validate(body)
    except Exception as error:  # noqa: BLE001  a model's validator may raise anything
        raise Refused(f"{type(error).__name__}: {error}") from None
    fields = model.model_dump(mode="json")
    fields["trigger"] = without_ids(fields["trigger"])
    return {name: fields[name] for name in ("name", "description", "enabled", "trigger", "actions")}


def without_ids(trigger: Json) -> Json:
    """Return a trigger without its ids, and with its sets in order."""
    fields = {name: value for name, value in trigger.items() if name != "id"}
    for name in ("after", "expect", "for_each"):
        if name in fields:
            fields[name] = sorted(fields[name])
    if "triggers" in fields:
        fields["triggers"] = [without_ids(child) for child in fields["triggers"]]
    return fields


@contextlib.contextmanager
def _inside(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with contextlib.chdir(folder), mock.patch.dict(os.environ, dict(environment), clear=False):
        yield


@contextlib.contextmanager
def _no_server(sent: list[tuple[str, str, Json]]) -> Iterator[None]:
    """Answer every request of Prefect's clients, and record it."""

    def answer(method: str, path: str, body: Any) -> httpx.Response:
        sent.append((method, path, body))
        request = httpx.Request(method, f"http://test{path}")
        if path.startswith("/work_pools/") and method == "GET":
            return httpx.Response(200, json=_POOL, request=request)
        if method == "GET" and path.startswith("/variables/name/"):
            name = path.rpartition("/")[2]
            return httpx.Response(
                200, json={"id": str(_ID), "name": name, "value": f"value of {name}"}, request=request
            )
        if method == "GET" and "/deployments/" in path:
            return httpx.Response(404, json={}, request=request)
        content: Any = {"id": str(_ID), "name": "x", "created": None, "updated": None}
        if path.endswith("/filter"):
            content = []
        return httpx.Response(201 if method == "POST" else 200, json=content, request=request)

    def prepared(method: str, path: str, options: Mapping[str, Any]) -> httpx.Response:
        for name, value in (options.get("path_params") or {}).items():
            path = path.replace(f"{{{name}}}", str(value))
        body = options.get("json")
        response = answer(method, path, json.loads(json.dumps(body, allow_nan=False)) if body is not None else None)
        if response.status_code == httpx.codes.NOT_FOUND:
            from prefect.exceptions import PrefectHTTPStatusError  # noqa: PLC0415

            raise PrefectHTTPStatusError.from_httpx_error(
                httpx.HTTPStatusError("404", request=response.request, response=response)
            )
        return response

    async def requested(_self: Any, method: str, path: str, *_args: Any, **options: Any) -> httpx.Response:
        return prepared(method, path, options)

    def requested_now(_self: Any, method: str, path: str, *_: Any, **options: Any) -> httpx.Response:
        return prepared(method, path, options)

    async def entered(self: Any) -> Any:
        return self

    async def left(*_: Any) -> None:
        return None

    with (
        mock.patch.object(PrefectClient, "request", requested),
        mock.patch.object(SyncPrefectClient, "request", requested_now),
        mock.patch.object(PrefectClient, "__aenter__", entered),
        mock.patch.object(PrefectClient, "__aexit__", left),
        mock.patch.object(SyncPrefectClient, "__enter__", lambda self: self),
        mock.patch.object(SyncPrefectClient, "__exit__", return_value=None),
        # Prefect does these for every client and every schedule; they are nine tenths of the time.
        mock.patch.object(ssl, "create_default_context", return_value=_TRUST),
        mock.patch.object(_datetime, "available_timezones", return_value=_TIMEZONES),
    ):
        yield
