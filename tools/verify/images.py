"""Whether the registry still has the images that the stack's pods run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tools import registry
from tools.errors import Problem
from tools.verify.report import Row, failed, ok, unknown


def rows(images: Mapping[str, str], *, stack: str, has: Callable[[str], bool] = registry.has_manifest) -> Iterator[Row]:
    """Yield a row for each image.

    Args:
        images: what uses an image -> its reference.
        stack: its name.
        has: asks the registry whether it has an image. A registry that this machine cannot ask may still be one that
            the nodes pull from, which the flow run shows.

    """
    for user, reference in images.items():
        title = f"image of {user}"
        if "@sha256:" not in reference:
            yield failed(title, f"{reference} is not referenced by digest", f"Run make up STACK={stack}")
            continue
        try:
            present = has(reference)
        except Problem as problem:
            yield unknown(title, problem.what, problem.remedy)
            continue
        if present:
            yield ok(title, reference)
        else:
            yield failed(
                title,
                f"the registry does not have {reference}, so no other node can pull it",
                f"make up STACK={stack} builds and pushes it again; keep the registry from deleting images in use",
            )
