"""The error that every step of packaging raises."""


class PackagingError(Exception):
    """A package cannot be built. The message names the package and the reason."""
