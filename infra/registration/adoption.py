"""The errors of a resource whose object exists in Prefect and is not the stack's."""

from __future__ import annotations

from infra.registration.errors import RegistrationError
from infra.registration.session import ADOPT


def of_another_stack(title: str, current: str, own: str) -> RegistrationError:
    """Return the error for an object that another stack owns.

    Args:
        title: the object in messages.
        current: the `<project>/<stack>` that owns it.
        own: that of the running program.

    """
    return RegistrationError(
        f"Prefect {title} belongs to another stack",
        why=f"{current} has registered it, and this is {own}",
        remedy="give it another name here, or destroy it there first",
    )


def not_listed(title: str, listed: str) -> RegistrationError:
    """Return the error for an object without an owner that the stack file does not list.

    Args:
        title: the object in messages.
        listed: how it is listed: `<kind>/<key>`.

    """
    return RegistrationError(
        f"Prefect {title} exists and has no owner",
        why="others may use it on this server, and this stack would change it now and delete it in the end",
        remedy=f"add '{listed}' to `{ADOPT}` in the stack file to take it over, or choose another name",
    )
