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


def wrong_address(health: httpx.Response, address: str) -> tuple[str, str] | None:
    """Return why an answer to `/health` is not that of a Prefect API, and what to do; None if it is one.

    Args:
        health: the answer.
        address: of the API.

    """
    if health.status_code in (401, 403):
        return None  # the next request reports the credentials
    if health.is_redirect:
        return redirect(health)
    cloud = "/workspaces/" in address
    try:
        if health.is_success and (health.json() is True or cloud):
            return None
        what = f"{health.status_code} {health.reason_phrase}"
    except ValueError:
        what = "a web page" if "html" in health.headers.get("content-type", "") else "something else than JSON"
    remedy = f"write {address.rstrip('/')}/api as apiUrl, if a Prefect server is there"
    if cloud or address.rstrip("/").endswith("/api") or not address.startswith("http"):
        remedy = "check the address, and whether a proxy answers in its place"
    return f"this is not a Prefect API: {address.rstrip('/')}/health answers with {what}", remedy


def redirect(answer: httpx.Response) -> tuple[str, str]:
    """Return why an answer that sends elsewhere is of no use, and what to do."""
    target = answer.headers.get("location", "").partition("?")[0]
    remedy = "write the address that it leads to as apiUrl, or let requests of the API pass if it is a login page"
    return f"the server answered {answer.status_code} and sends to {target or 'another address'}", remedy


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
