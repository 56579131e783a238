"""Resources that make nothing: what they declare is remembered in the state, for a check or a deletion that acts."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from infra.registration.encoding import known


class RememberingProvider(ResourceProvider):
    """Takes its properties into the state; they have a `namespace`, which is its id."""

    # By reference and without secrets, as in `PrefectProvider`.
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Remember."""
        return CreateResult(str(props["namespace"]), props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare with what is remembered."""
        names = {name for name in (*_olds, *_news) if not name.startswith("__")}
        return DiffResult(
            changes=any(not known(_news.get(name)) or _olds.get(name) != _news.get(name) for name in names)
        )

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Remember anew."""
        return UpdateResult(_news)
