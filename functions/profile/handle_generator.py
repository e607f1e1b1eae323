"""Generate the first handle of a user from their name."""

import re
import secrets
import string
import unicodedata
from collections.abc import Iterator

from functions.profile.profile_validation import is_handle
from functions.profile.reserved_handles import is_reserved

MAX_LENGTH = 30
_ALPHABET = string.ascii_lowercase + string.digits
_SUFFIX_LENGTH = 4


def generate_handles(name: str | None) -> Iterator[str]:
    """Yield candidates without end: the handle for the name, then the same with random suffixes."""
    first = _to_handle(name or "")
    if not is_handle(first) or is_reserved(first):
        first = f"user_{_random(6)}"
    yield first
    stem = first[: MAX_LENGTH - 1 - _SUFFIX_LENGTH].rstrip("_")
    while True:
        yield f"{stem}_{_random(_SUFFIX_LENGTH)}"


def _to_handle(name: str) -> str:
    """Keep ASCII letters and digits, remove accents, and replace everything else with underscores."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:MAX_LENGTH].rstrip("_")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
