"""What every provider here has in common: how it finds, compares, adopts, reads and deletes an object.

Inside a provider, fields are plain values: absent where nothing is declared, encoded (see `values`) only on
their way to and from the engine.
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
from infra.registration import session
from infra.registration.api import DEADLINE, GLANCE, PrefectApi
from infra.registration.encoding import decode, encode, known
from infra.registration.endpoint import PortForward, from_props
from infra.registration.errors import GoneError, RegistrationError, UnreachableError, log

Fields = dict[str, Any]

REACH: Final = "reach"
OWNER: Final = "owner"
"""`<project>/<stack>/<resource>`; the first two parts are written on the object itself."""

OWNER_MARK: Final = f"{labels.DOMAIN}/owner"
"""Under which an object says whose it is."""

_ENGINE_OWN: Final = "__provider"


class PrefectProvider(ResourceProvider):
    """Base of the providers; a subclass says what is special about its kind of object.

    Attributes:
        noun: what the object is called in sentences.
        key_fields: fields that make the natural key. A change of one replaces the object.
        computed: fields that only the server knows; never compared.
        adoption_note: what a person should know about an object of this kind that is adopted.

    """

    # By reference and without secrets: the few bytes in the state need no encryption and make no noise in diffs.
    serialize_as_secret_always = False

    noun: str
    key_fields: tuple[str, ...]
    computed: tuple[str, ...]
    adoption_note: str = ""

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        """Return the server's object under the natural key, or None.

        The fields hold the answers of the last time too, where there was one.
        """
        raise NotImplementedError

    def get_cached(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        """Return the same, perhaps as it was a few seconds ago: for looks after which nothing is written."""
        return self.get(api, fields, operation=operation, deadline=deadline)

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        """Return the server's object as fields, without what is not declared and not ours to judge."""
        raise NotImplementedError

    def owner_of(self, live: Fields) -> str:
        """Return `<project>/<stack>` that the server's object says it belongs to, or nothing."""
        raise NotImplementedError

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        """Create the object and return the server's."""
        raise NotImplementedError

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """Change the object with as few and harmless requests as do it, none if it is right; return it."""
        raise NotImplementedError

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        """Delete the object."""
        raise NotImplementedError

    def configure(self, req: ConfigureRequest) -> None:
        """See `session.configure`."""
        session.configure(req)

    def check(self, _olds: Fields, news: Fields) -> CheckResult:
        """Lay claim to the object; of a new resource, log what will become of an object that exists."""
        failures = []
        if known([news.get(name) for name in (*self.key_fields, REACH, OWNER)]):
            fields = decode(news)
            session.claim(self._title(fields), fields[OWNER])
            problem = None if _olds else self._look_ahead(fields)
            failures = [CheckFailure("", problem)] if problem else []
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: Fields, _news: Fields) -> DiffResult:
        """Compare field by field."""
        changed = self.changed(_olds, _news)
        replaces = [name for name in changed if name in self.key_fields]
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=False)

    def create(self, props: Fields) -> CreateResult:
        """Make the object, or adopt the one that has its name."""
        fields = decode(props)
        api = session.api(fields)
        live = None
        if not session.still_absent(self._title(fields)):
            live = self.get(api, fields, operation=self._operation("register", fields), deadline=DEADLINE)
        if live is None:
            live = self.create_live(api, fields)
        else:
            self.refuse_other_owner(live, fields)
            live = self.update_live(api, live, fields)
        session.created(self._title(fields), fields[OWNER])
        return CreateResult(self.key(fields), self._outs(live, fields))

    def update(self, _id: str, _olds: Fields, _news: Fields) -> UpdateResult:
        """Bring the object to what is declared; one that was deleted outside is made again."""
        fields = decode(_news)
        api = session.api(fields)
        before = {name: _olds[name] for name in self.computed if name in _olds}
        live = self.get(api, {**fields, **before}, operation=self._operation("update", fields), deadline=DEADLINE)
        if live is None:
            live = self.create_live(api, fields)
        else:
            # A stack that was renamed finds its old name on what it owns.
            if self.owner_of(live) != stack_of(_olds[OWNER]):
                self.refuse_other_owner(live, fields)
            live = self.update_live(api, live, fields)
        return UpdateResult(self._outs(live, fields))

    def read(self, id_: str, props: Fields) -> ReadResult:
        """Report the world. With a silent server the state stays as it is, and a warning says so.

        An error here would stop the very `up --refresh` that repairs the server. So would one about a credential that
        the stack's own server does not know yet: the same update brings it there.
        """
        fields = decode(props)
        try:
            live = self.get_cached(
                session.api(fields), fields, operation=self._operation("read", fields), deadline=GLANCE
            )
        except GoneError:
            live = None
        except RegistrationError as error:
            brought = error.status == _UNAUTHORIZED and isinstance(from_props(fields[REACH]), PortForward)
            if not (brought or isinstance(error, UnreachableError)):
                raise
            log("warning", f"Prefect {self._title(fields)} was not compared with the server. {error}")
            return ReadResult(id_, dict(props))
        if live is None:
            # None as outputs breaks the provider's process, an id of None says that there is no object.
            return ReadResult(None, {})
        outs = self._outs(live, fields)
        inputs = {name: value for name, value in outs.items() if name not in self.computed}
        return ReadResult(self.key(fields), outs, inputs)

    def delete(self, _id: str, _props: Fields) -> None:
        """Delete the object, unless it lives on under another resource or is another stack's by now.

        That the server is gone with its namespace is a success. One that does not answer is not: its objects
        would come back with it, so the sentence names the way to forget them.
        """
        fields = decode(_props)
        if session.must_stay(self._title(fields), fields[OWNER]):
            return
        api = session.api(fields)
        try:
            live = self.get(api, fields, operation=self._operation("delete", fields), deadline=DEADLINE)
        except GoneError as error:
            log("warning", f"Prefect {self._title(fields)} went with its server. {error}")
            return
        except UnreachableError as error:
            remedy = "start the server, or give up what is on it with `pulumi state delete`"
            raise UnreachableError(error.what, why=error.why, remedy=remedy) from None
        if live is None:
            return
        if self.owner_of(live) not in ("", stack_of(fields[OWNER])):
            log("warning", f"Prefect {self._title(fields)} stays: {self.owner_of(live)} has taken it over.")
            return
        self.delete_live(api, live, fields)

    def fields_to_write(self, live: Fields, fields: Fields, names: Iterable[str], mark: str) -> list[str]:
        """Return the names of those fields in which the server's object is not as declared.

        Args:
            live: the server's object.
            fields: what is declared.
            names: of the fields that could be written.
            mark: the one that holds the mark of ownership: it differs too when the object is not marked as ours.

        """
        seen = self.from_api(live, fields)
        changed = [name for name in names if seen.get(name) != fields.get(name)]
        if self.owner_of(live) != stack_of(fields[OWNER]) and mark not in changed:
            changed.append(mark)
        return changed

    def create_or_adopt(self, api: PrefectApi, where: str, body: Fields, fields: Fields) -> Fields:
        """Create the object by a POST, or adopt the one that has appeared since it was looked for."""
        operation = self._operation("register", fields)
        try:
            made: Fields = api.post(where, body, operation=operation)
        except RegistrationError as error:
            # A worker that starts first makes its pool itself, and an answer of ours may have been lost.
            live = self.get(api, fields, operation=operation, deadline=DEADLINE) if error.status == 409 else None
            if live is None:
                raise
            self.refuse_other_owner(live, fields)
            return self.update_live(api, live, fields)
        return made

    def key(self, fields: Fields) -> str:
        """Return the natural key, which is the resource's id: it outlives a server that lost its data."""
        return "/".join(str(fields[name]) for name in self.key_fields)

    def changed(self, olds: Fields, news: Fields) -> list[str]:
        """Return the names of the fields in which the declared object differs from the one last seen."""
        before, after = self._compared(decode(olds)), self._compared(decode(news))
        # What is not known yet is equal to nothing, so it counts as a change.
        return [name for name in dict.fromkeys((*after, *before)) if before.get(name) != after.get(name)]

    def _compared(self, fields: Fields) -> Fields:
        compared = {name: value for name, value in fields.items() if name not in (_ENGINE_OWN, *self.computed)}
        if isinstance(compared.get(OWNER), str):
            compared[OWNER] = stack_of(compared[OWNER])
        return compared

    def _outs(self, live: Fields, fields: Fields) -> Fields:
        observed = {**self.from_api(live, fields), REACH: fields[REACH], OWNER: fields[OWNER]}
        return {name: encode(value) for name, value in observed.items() if value is not None}

    def _title(self, fields: Mapping[str, Any]) -> str:
        return f"{self.noun} '{self.key(dict(fields))}'"

    def _operation(self, verb: str, fields: Fields) -> str:
        return f"{verb} {self._title(fields)}"

    def refuse_other_owner(self, live: Fields, fields: Fields) -> None:
        """Raise a sentence when the server's object is another stack's."""
        theirs, ours = self.owner_of(live), stack_of(fields[OWNER])
        if theirs and theirs != ours:
            raise RegistrationError(
                f"Prefect {self._title(fields)} belongs to another stack",
                why=f"{theirs} has registered it, and this is {ours}",
                remedy="give it another name here, or destroy it there first",
            )

    def _look_ahead(self, fields: Fields) -> str | None:
        try:
            live = self.get_cached(
                session.api(fields), fields, operation=self._operation("look for", fields), deadline=_LOOK
            )
            if live is None:
                session.absent(self._title(fields))
                return None
            self.refuse_other_owner(live, fields)
        except UnreachableError:
            # Most likely this very `up` is to bring the server.
            return None
        except RegistrationError as error:
            return str(error)
        if not self.owner_of(live):
            log("info", f"Prefect {self._title(fields)} exists and will be adopted. {self.adoption_note}")
        return None


_UNAUTHORIZED: Final = 401

_LOOK: Final = 3.0
"""Seconds that a preview waits for a server that may not exist yet."""


def owner(resource: str) -> str:
    """Return the mark of ownership for a resource of the running program."""
    return f"{pulumi.get_project()}/{pulumi.get_stack()}/{resource}"


def stack_of(mark: str) -> str:
    """Return project and stack of a mark of ownership."""
    return "/".join(mark.split("/")[:2])
