"""What a response of the Prefect server says, without the values that were sent to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

Json = Any


def retry_after(response: httpx.Response) -> float | None:
    seconds = response.headers.get("retry-after", "")
    return float(seconds) if seconds.isdigit() else None


def server_message(response: httpx.Response, body: Json) -> str:
    """Return the server's error message. The whole response would repeat the request, secrets included."""
    try:
        content = response.json()
    except ValueError:
        return response.reason_phrase
    content = content if isinstance(content, Mapping) else {}
    details = content.get("exception_detail")
    if isinstance(details, list) and details:
        text = ", ".join(dict.fromkeys(_detail(item) for item in details if isinstance(item, Mapping)))
    else:
        text = str(content.get("detail") or content.get("exception_message") or response.reason_phrase)
    return f"«{_without_values(text, body).rstrip('.')}»"


def _detail(item: Mapping[str, Any]) -> str:
    # A location such as body.schedules.0.schedule.function-after[...].cron: the part with brackets is pydantic's.
    where = ".".join(str(part) for part in item.get("loc", ())[1:] if "[" not in str(part))
    message = str(item.get("msg", "")).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _without_values(text: str, body: Json) -> str:
    """Remove the values of parameters and job variables, which may be secret and which the server quotes."""
    if isinstance(body, Mapping):
        for field in ("parameters", "job_variables"):
            for value in _strings(body.get(field)):
                text = text.replace(value, "…")
    return text


def _strings(value: Json) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) and len(value) >= 4 else []
