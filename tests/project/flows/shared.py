"""A class that a subpackage imports from its parent package."""


class Row:
    """A number that travels to a worker."""

    def __init__(self, number: int) -> None:
        self.number = number
