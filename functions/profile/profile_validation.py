"""Validation of profile fields. web/profile/profile-rules.js has the same rules for the form."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

MAX_DISPLAY_NAME = 50
MAX_BIO = 500

_HANDLE = re.compile(r"[a-z0-9_]{3,30}")

# Control characters, including NUL, which PostgreSQL cannot store, and surrogates: JSON can escape a lone surrogate,
# UTF-8 cannot encode it.
_CONTROL = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# Names have one line, and no formatting characters that change the direction of the text after a name:
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
_NOT_IN_NAMES = re.compile(rf"[{_CONTROL}\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NOT_IN_BIOS = re.compile(rf"(?!\n)[{_CONTROL}]")
_LINE_ENDS = re.compile(r"\r\n?")

# Format characters, unassigned, marks, separators: https://www.unicode.org/reports/tr44/#General_Category_Values
_INVISIBLE_CATEGORIES = frozenset({"Cf", "Cn", "Me", "Mn", "Zl", "Zp", "Zs"})
# Blank, although they are letters and a symbol by category: Hangul fillers and the Braille blank.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")

_MAX_UNKNOWN_REPORTED = 10


class ProfileUpdate(NamedTuple):
    display_name: str
    bio: str
    handle: str | None  # None: unchanged


class InvalidProfileError(Exception):
    """The profile has invalid fields.

    Attributes:
        fields: A message for people for each invalid field, by name.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {message}" for name, message in fields.items()))
        self.fields = fields


class _InvalidValueError(Exception):
    """The message is for people."""


def parse_update(request: Mapping[str, Any]) -> ProfileUpdate:
    """Validate and normalize the decoded body of a request.

    Raises:
        InvalidProfileError: With every invalid field.
    """
    values: dict[str, str] = {}
    unknown = islice((name for name in request if name not in _VALIDATORS), _MAX_UNKNOWN_REPORTED)
    errors = {name[:MAX_DISPLAY_NAME]: "A profile has no such field." for name in unknown}
    for name, validate in _VALIDATORS.items():
        try:
            if name in request:
                values[name] = validate(request[name])
        except _InvalidValueError as error:
            errors[name] = str(error)
    if "display_name" not in request:
        errors["display_name"] = "Enter a name."
    if errors:
        raise InvalidProfileError(errors)
    return ProfileUpdate(values["display_name"], values.get("bio", ""), values.get("handle"))


def is_handle(text: str) -> bool:
    return _HANDLE.fullmatch(text) is not None


def sanitize_name(text: str) -> str:
    """Return `text` as a valid display name, without what is invalid in it. Empty if nothing is left."""
    name = unicodedata.normalize("NFC", _NOT_IN_NAMES.sub("", text)).strip()[:MAX_DISPLAY_NAME].strip()
    return name if _is_visible(name) else ""


def _validate_display_name(value: object) -> str:
    name = unicodedata.normalize("NFC", _require_text(value)).strip()
    if not name:
        raise _InvalidValueError("Enter a name.")
    if _NOT_IN_NAMES.search(name):
        raise _InvalidValueError("Remove the control characters.")
    if not _is_visible(name):
        raise _InvalidValueError("Enter a name that can be seen.")
    return _require_length(name, MAX_DISPLAY_NAME)


def _validate_bio(value: object) -> str:
    bio = unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", _require_text(value))).strip()
    if _NOT_IN_BIOS.search(bio):
        raise _InvalidValueError("Remove the control characters.")
    return _require_length(bio, MAX_BIO)


def _validate_handle(value: object) -> str:
    handle = _require_text(value)
    if not is_handle(handle):
        raise _InvalidValueError("Use 3 to 30 small letters (a to z), digits and underscores.")
    return handle


_VALIDATORS: Mapping[str, Callable[[object], str]] = {
    "display_name": _validate_display_name,
    "handle": _validate_handle,
    "bio": _validate_bio,
}


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise _InvalidValueError("This must be text.")
    return value


def _require_length(text: str, limit: int) -> str:
    if len(text) > limit:
        raise _InvalidValueError(f"Use at most {limit} characters. These are {len(text)}.")
    return text


def _is_visible(text: str) -> bool:
    return any(
        character not in _BLANKS and unicodedata.category(character) not in _INVISIBLE_CATEGORIES for character in text
    )
