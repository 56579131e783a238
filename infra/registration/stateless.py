"""Base of resources that create nothing: Pulumi's state keeps their inputs, for a check or a deletion that acts."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, ResourceProvider, UpdateResult

from infra.registration import session
from infra.registration.encoding import known


class StatelessProvider(ResourceProvider):
    """Stores the inputs as outputs. The id is the input `namespace`."""

    # The provider is pickled by reference and holds no secret, as in `PrefectProvider`.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        session.configure(req)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Store the inputs."""
        return CreateResult(str(props["namespace"]), props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare the stored inputs with the declared ones; an unknown input counts as changed."""
        names = {name for name in (*_olds, *_news) if not name.startswith("__")}
        return DiffResult(
            changes=any(not known(_news.get(name)) or _olds.get(name) != _news.get(name) for name in names)
        )

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Store the new inputs."""
        return UpdateResult(_news)
