"""Base of the providers: create or adopt, compare, update, refresh and delete one kind of Prefect object.

Inside a provider, fields are plain values, absent if not declared. They are encoded (see `encoding`) only on their way
to and from the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from ephemeral_dask.contract import labels
from infra.registration import adoption, session
from infra.registration.api import DEADLINE, READ_DEADLINE, PrefectApi
from infra.registration.encoding import decode, encode, known
from infra.registration.endpoint import PortForward, from_props
from infra.registration.errors import GoneError, RegistrationError, UnreachableError, log

Fields = dict[str, Any]

REACH: Final = "reach"
OWNER: Final = "owner"
"""`<project>/<stack>/<resource>`; the first two parts are stored on the object in Prefect."""
OWNER_MARK: Final = f"{labels.DOMAIN}/owner"
"""Label, tag or keyword that stores the owner on the object."""

_ENGINE_OWN: Final = "__provider"


class PrefectProvider(ResourceProvider):
    """Base of the providers. A subclass implements the API calls of its kind of object.

    Attributes:
        noun: name of the kind in messages.
        key_fields: fields of the natural key. A change of one replaces the object.
        computed: fields that only the server knows, which are never compared.
        has_mark_apart: whether the owner is outside the object; then only an interrupted deletion takes it away.

    """

    # Pickled by reference and without secrets. Encrypted, it would show in every diff.
    serialize_as_secret_always = False

    noun: str
    key_fields: tuple[str, ...]
    computed: tuple[str, ...]
    has_mark_apart: bool = False

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        """Return the server's object with the natural key, or None. `fields` may have the computed ones, too."""
        raise NotImplementedError

    def get_cached(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        """Return the same, possibly some seconds old, to compare."""
        return self.get(api, fields, operation=operation, deadline=deadline)

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        """Return the server's object as fields, without fields that are managed only if declared."""
        raise NotImplementedError

    def owner_of(self, live: Fields) -> str:
        """Return the `<project>/<stack>` that owns the server's object, or an empty string."""
        raise NotImplementedError

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        """Create the object and return the server's."""
        raise NotImplementedError

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """Update only what differs, with no request if nothing does; return the object."""
        raise NotImplementedError

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        """Delete the object."""
        raise NotImplementedError

    def configure(self, req: ConfigureRequest) -> None:
        session.configure(req)

    def check(self, _olds: Fields, news: Fields) -> CheckResult:
        """Claim the object. For a new resource, report whether an existing object is adopted or refused."""
        failures = []
        if known([news.get(name) for name in (*self.key_fields, REACH, OWNER)]):
            fields = decode(news)
            session.claim(self._title(fields), fields[OWNER])
            problem = None if _olds else self._look_ahead(fields)
            failures = [CheckFailure("", problem)] if problem else []
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: Fields, _news: Fields) -> DiffResult:
        """Compare the declared fields with the stored ones."""
        changed = self.changed(_olds, _news)
        replaces = [name for name in changed if name in self.key_fields]
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=False)

    def create(self, props: Fields) -> CreateResult:
        """Create the object, or adopt the existing one with its key."""
        fields = decode(props)
        api = session.api(fields)
        live = None
        if not session.is_known_absent(self._title(fields)):
            live = self.get(api, fields, operation=self._operation("register", fields), deadline=DEADLINE)
        if live is None:
            live = self.create_live(api, fields)
        else:
            self.refuse_adoption(live, fields)
            live = self.update_live(api, live, fields)
        session.record_created(self._title(fields), fields[OWNER])
        return CreateResult(self.key(fields), self._outs(live, fields))

    def update(self, _id: str, _olds: Fields, _news: Fields) -> UpdateResult:
        """Update the object; recreate it if it was deleted outside."""
        fields = decode(_news)
        api = session.api(fields)
        before = {name: _olds[name] for name in self.computed if name in _olds}
        live = self.get(api, {**fields, **before}, operation=self._operation("update", fields), deadline=DEADLINE)
        if live is None:
            live = self.create_live(api, fields)
        else:
            # The objects of a renamed stack still have its old name.
            if self.owner_of(live) != stack_of(_olds[OWNER]):
                self.refuse_other_owner(live, fields)
            live = self.update_live(api, live, fields)
        return UpdateResult(self._outs(live, fields))

    def read(self, id_: str, props: Fields) -> ReadResult:
        """Return the live object. If the server does not answer, keep the state and warn.

        An error would stop the `up --refresh` that repairs the server, or deploys a credential that it does not know.
        """
        fields = decode(props)
        try:
            live = self.get_cached(
                session.api(fields), fields, operation=self._operation("read", fields), deadline=READ_DEADLINE
            )
        except GoneError:
            live = None
        except RegistrationError as error:
            pending = error.status == _UNAUTHORIZED and isinstance(from_props(fields[REACH]), PortForward)
            if not (pending or isinstance(error, UnreachableError)):
                raise
            log("warning", f"Prefect {self._title(fields)} could not be compared with the server. {error}")
            return ReadResult(id_, dict(props))
        if live is None:
            # An id of None means that the object does not exist. Outputs of None would crash the provider's process.
            return ReadResult(None, {})
        outs = self._outs(live, fields)
        inputs = {name: value for name, value in outs.items() if name not in self.computed}
        return ReadResult(self.key(fields), outs, inputs)

    def delete(self, _id: str, _props: Fields) -> None:
        """Delete the object, unless another resource declares it, or it is not this stack's any longer.

        A server that was deleted with its namespace is a success. One that does not answer is an error, because its
        objects still exist. The message names the command that removes them from the state.
        """
        fields = decode(_props)
        if session.is_declared_elsewhere(self._title(fields), fields[OWNER]):
            return
        api = session.api(fields)
        try:
            live = self.get(api, fields, operation=self._operation("delete", fields), deadline=DEADLINE)
        except GoneError as error:
            log("warning", f"Prefect {self._title(fields)} was deleted with its server. {error}")
            return
        except UnreachableError as error:
            remedy = "start the server, or remove its objects from the state with `pulumi state delete`"
            raise UnreachableError(error.what, why=error.why, remedy=remedy) from None
        if live is None:
            return
        keeper = self.owner_of(live)
        if keeper != stack_of(fields[OWNER]) and (keeper or not (self.has_mark_apart or self.is_adoptable(fields))):
            why = f"stack {keeper} owns it now" if keeper else "somebody has registered it again, without an owner"
            log("warning", f"Prefect {self._title(fields)} is kept: {why}.")
            return
        self.delete_live(api, live, fields)

    def fields_to_write(self, live: Fields, fields: Fields, names: Iterable[str], mark: str) -> list[str]:
        """Return the names of the fields that must be written.

        Args:
            live: the server's object.
            fields: the declared fields.
            names: the fields that can be written.
            mark: the field that stores the owner; it must be written too if the owner is not this stack.

        """
        current = self.from_api(live, fields)
        changed = [name for name in names if current.get(name) != fields.get(name)]
        if self.owner_of(live) != stack_of(fields[OWNER]) and mark not in changed:
            changed.append(mark)
        return changed

    def create_or_adopt(self, api: PrefectApi, where: str, body: Fields, fields: Fields) -> Fields:
        """Create the object by a POST, or adopt one that was created since the lookup."""
        operation = self._operation("register", fields)
        try:
            created: Fields = api.post(where, body, operation=operation)
        except RegistrationError as error:
            # A worker that starts first creates its pool, and the response to an earlier attempt may have been lost.
            live = self.get(api, fields, operation=operation, deadline=DEADLINE) if error.status == 409 else None
            if live is None:
                raise
            self.refuse_adoption(live, fields)
            return self.update_live(api, live, fields)
        return created

    def key(self, fields: Fields) -> str:
        """Return the natural key, which is the resource's id: it stays valid if the server loses its data."""
        return "/".join(str(fields[name]) for name in self.key_fields)

    def changed(self, olds: Fields, news: Fields) -> list[str]:
        """Return the names of the fields that differ between state and declaration."""
        before, after = self._compared(decode(olds)), self._compared(decode(news))
        # An unknown value equals nothing, so it counts as a change.
        return [name for name in dict.fromkeys((*after, *before)) if before.get(name) != after.get(name)]

    def _compared(self, fields: Fields) -> Fields:
        compared = {name: value for name, value in fields.items() if name not in (_ENGINE_OWN, *self.computed)}
        if isinstance(compared.get(OWNER), str):
            compared[OWNER] = stack_of(compared[OWNER])
        return compared

    def _outs(self, live: Fields, fields: Fields) -> Fields:
        outputs = {**self.from_api(live, fields), REACH: fields[REACH], OWNER: fields[OWNER]}
        return {name: encode(value) for name, value in outputs.items() if value is not None}

    def _title(self, fields: Mapping[str, Any]) -> str:
        return f"{self.noun} '{self.key(dict(fields))}'"

    def _operation(self, verb: str, fields: Fields) -> str:
        return f"{verb} {self._title(fields)}"

    def refuse_other_owner(self, live: Fields, fields: Fields) -> None:
        """Raise an error if another stack owns the server's object."""
        if self.owner_of(live) not in ("", own := stack_of(fields[OWNER])):
            raise adoption.of_another_stack(self._title(fields), self.owner_of(live), own)

    def is_adoptable(self, fields: Fields) -> bool:
        """Return whether an object that has no owner may become this stack's.

        A server that is reached through the cluster is the stack's own. On any other one, the setting `adopt` decides.
        """
        return isinstance(from_props(fields[REACH]), PortForward) or session.is_adoptable(self._listed(fields))

    def refuse_adoption(self, live: Fields, fields: Fields) -> None:
        """Raise an error if the server's object is not this stack's, and may not become it."""
        self.refuse_other_owner(live, fields)
        if not self.owner_of(live) and not self.is_adoptable(fields):
            raise adoption.not_listed(self._title(fields), self._listed(fields))

    def _listed(self, fields: Fields) -> str:
        return f"{self.noun.replace(' ', '-')}/{self.key(fields)}"

    def _look_ahead(self, fields: Fields) -> str | None:
        try:
            live = self.get_cached(
                session.api(fields), fields, operation=self._operation("look for", fields), deadline=_PREVIEW_DEADLINE
            )
            if live is None:
                session.record_absent(self._title(fields))
                return None
            self.refuse_adoption(live, fields)
        except UnreachableError:
            # Most likely this `up` deploys the server.
            return None
        except RegistrationError as error:
            return str(error)
        if not self.owner_of(live):
            log("info", f"Prefect {self._title(fields)} exists and will be adopted.")
        return None


_UNAUTHORIZED: Final = 401

_PREVIEW_DEADLINE: Final = 3.0
"""Seconds that a preview waits for a server that may not exist yet."""


def owner(resource: str) -> str:
    """Return the owner of a resource of the running program: `<project>/<stack>/<resource>`."""
    return f"{pulumi.get_project()}/{pulumi.get_stack()}/{resource}"


def stack_of(mark: str) -> str:
    """Return the `<project>/<stack>` of an owner."""
    return "/".join(mark.split("/")[:2])
