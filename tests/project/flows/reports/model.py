"""A class that travels back from a worker."""

from ..shared import Row  # noqa: TID252  relative imports are what the test is about


class Line(Row):
    """A row that was worked on."""
