"""What a flow returned, as an artifact: a stored result is a pickle that only code like the flow's can read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext
from prefect.logging import get_logger
from prefect.settings import get_current_settings
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

RESULT_KEY: Final = "flow-result"

LONGEST: Final = 2000
"""Characters of JSON up to which a result is shown."""


_ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)


def show_result() -> None:
    """Let the running flow show what it returns, where its result is stored anyway."""
    context = FlowRunContext.get()
    if context is None or context.flow is None:
        return
    flow = context.flow
    persist = flow.persist_result
    stored = get_current_settings().results.persist_by_default if persist is None else persist
    # A flow object serves several runs in one process on a laptop.
    if stored and publish_result not in flow.on_completion_hooks:
        flow.on_completion_hooks.append(publish_result)


def publish_result(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Write the result into an artifact, where it is short and JSON can hold it. A run never fails because of it."""
    text = as_json(getattr(state.data, "result", None))
    if not text:
        return
    artifact = ArtifactCreate(
        key=RESULT_KEY,
        type="markdown",
        description="What the flow returned.",
        data=f"```json\n{text}\n```",
        flow_run_id=flow_run.id,
    )
    try:
        with get_client(sync_client=True) as client:
            client.create_artifact(artifact)
    except Exception as error:  # noqa: BLE001 - see above
        get_logger("ephemeral_dask").warning("The artifact %s could not be created: %s", RESULT_KEY, error)


def as_json(result: Any) -> str:
    """Return a result as JSON, or nothing when there is none, it is long or JSON cannot hold it."""
    if result is None:
        return ""
    try:
        text = json.dumps(_ANYTHING.dump_python(result, mode="json"), ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):  # Pydantic's error is a ValueError
        return ""
    return text if len(text) <= LONGEST else ""
