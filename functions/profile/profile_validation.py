"""What a user may say of themselves. web/profile/profile-rules.js says the same while somebody types."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

MAX_DISPLAY_NAME = 50
MAX_BIO = 500

_HANDLE = re.compile(r"[a-z0-9_]{3,30}")

# Control characters (NUL, which PostgreSQL does not store, is one), and surrogates, which are halves of characters:
# JSON can spell one alone, UTF-8 cannot.
_BROKEN = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# Of one line, and without what turns the direction of the text that stands behind a name:
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
_NOT_IN_NAMES = re.compile(rf"[{_BROKEN}\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NOT_IN_BIOS = re.compile(rf"(?!\n)[{_BROKEN}]")
_LINE_ENDS = re.compile(r"\r\n?")

# Format characters, marks without a letter, unassigned, spaces: https://www.unicode.org/reports/tr44/#General_Category_Values
_INVISIBLE_CATEGORIES = frozenset({"Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"})
# Letters and a symbol by category, yet blank: the fillers of Hangul, and Braille without dots.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")

_MOST_UNKNOWN_NAMED = 10


class Changes(NamedTuple):
    display_name: str
    bio: str
    handle: str | None
    """None: it stays."""


class InvalidError(Exception):
    """`fields` has a sentence for people for each field that is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {sentence}" for name, sentence in fields.items()))
        self.fields = fields


class _WrongError(Exception):
    """What is wrong with one value, as a sentence."""


def requested(request: Mapping[str, Any]) -> Changes:
    """The changes a decoded body asks for. InvalidError, with every field that is wrong, if it is not right."""
    right: dict[str, str] = {}
    unknown = islice((name for name in request if name not in _RULES), _MOST_UNKNOWN_NAMED)
    wrong = {name[:MAX_DISPLAY_NAME]: "A profile has no such field." for name in unknown}
    for name, rule in _RULES.items():
        try:
            if name in request:
                right[name] = rule(request[name])
        except _WrongError as error:
            wrong[name] = str(error)
    if "display_name" not in request:
        wrong["display_name"] = "Enter a name."
    if wrong:
        raise InvalidError(wrong)
    return Changes(right["display_name"], right.get("bio", ""), right.get("handle"))


def is_handle(text: str) -> bool:
    return _HANDLE.fullmatch(text) is not None


def name_of(text: str) -> str:
    """A text from elsewhere, made fit to be a display name; empty if nothing of it is left."""
    name = unicodedata.normalize("NFC", _NOT_IN_NAMES.sub("", text)).strip()[:MAX_DISPLAY_NAME].strip()
    return name if _is_visible(name) else ""


def _display_name(value: object) -> str:
    name = unicodedata.normalize("NFC", _text(value)).strip()
    if not name:
        raise _WrongError("Enter a name.")
    if _NOT_IN_NAMES.search(name):
        raise _WrongError("Remove the control characters.")
    if not _is_visible(name):
        raise _WrongError("Enter a name that can be seen.")
    return _at_most(MAX_DISPLAY_NAME, name)


def _bio(value: object) -> str:
    bio = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", _text(value))).strip()
    if _NOT_IN_BIOS.search(bio):
        raise _WrongError("Remove the control characters.")
    return _at_most(MAX_BIO, bio)


def _handle(value: object) -> str:
    handle = _text(value)
    if not is_handle(handle):
        raise _WrongError("Use 3 to 30 small letters (a to z), digits and underscores.")
    return handle


_RULES: Mapping[str, Callable[[object], str]] = {"display_name": _display_name, "handle": _handle, "bio": _bio}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongError("This must be text.")
    return value


def _at_most(limit: int, text: str) -> str:
    if len(text) > limit:
        raise _WrongError(f"Use at most {limit} characters. These are {len(text)}.")
    return text


def _is_visible(text: str) -> bool:
    return any(
        character not in _BLANKS and unicodedata.category(character) not in _INVISIBLE_CATEGORIES for character in text
    )
