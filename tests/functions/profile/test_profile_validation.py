from typing import Any

import pytest

from functions.profile import profile_validation
from functions.profile.profile_validation import InvalidProfileError, ProfileUpdate

CONTROL = "Remove the control characters."
INVISIBLE = "Enter a name that can be seen."
HANDLE = "Use 3 to 30 small letters (a to z), digits and underscores."


def parse_valid(**fields: Any) -> ProfileUpdate:
    return profile_validation.parse_update({"display_name": "Ada", **fields})


def get_errors(request: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidProfileError) as caught:
        profile_validation.parse_update(request)
    return dict(caught.value.fields)


def test_parse_update_omitted_fields_have_defaults() -> None:
    assert profile_validation.parse_update({"display_name": "Ada"}) == ProfileUpdate("Ada", "", None)
    assert parse_valid(bio="Hi", handle="ada_l") == ProfileUpdate("Ada", "Hi", "ada_l")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("A", "A", id="one letter"),
        pytest.param("  Ada\t\n", "Ada", id="space around"),
        pytest.param("\u3000Ada\xa0", "Ada", id="other space around"),
        pytest.param("Ada  King", "Ada  King", id="space within"),
        pytest.param("Zoe\u0308", "Zo\xeb", id="composed"),
        pytest.param("x" * 50, "x" * 50, id="maximum length"),
        pytest.param("e\u0301" * 50, "\xe9" * 50, id="maximum length once composed"),
        pytest.param("\U0001f600" * 50, "\U0001f600" * 50, id="maximum length outside the BMP"),
        pytest.param("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb", id="zero width joiner"),
        pytest.param("\u0646\u200c\u0647", "\u0646\u200c\u0647", id="zero width non-joiner"),
        pytest.param("\u05d0\u200e1", "\u05d0\u200e1", id="direction mark"),
        pytest.param("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e", id="Chinese"),
        pytest.param("<b>&amp;'\"", "<b>&amp;'\"", id="HTML"),
    ],
)
def test_parse_update_valid_display_name_is_normalized(text: str, expected: str) -> None:
    assert parse_valid(display_name=text).display_name == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "Enter a name.", id="empty"),
        pytest.param(" \t\n\u3000", "Enter a name.", id="space"),
        pytest.param("x" * 51, "Use at most 50 characters. These are 51.", id="too long"),
        pytest.param("e\u0301" * 51, "Use at most 50 characters. These are 51.", id="too long once composed"),
        pytest.param("x" * 1_000_000, "Use at most 50 characters. These are 1000000.", id="far too long"),
        pytest.param("A\0da", CONTROL, id="NUL"),
        pytest.param("A\nda", CONTROL, id="line feed"),
        pytest.param("A\tda", CONTROL, id="tab"),
        pytest.param("A\x1bda", CONTROL, id="escape"),
        pytest.param("A\x7fda", CONTROL, id="delete"),
        pytest.param("A\x85da", CONTROL, id="next line"),
        pytest.param("A\x9fda", CONTROL, id="last control"),
        pytest.param("A\u2028da", CONTROL, id="line separator"),
        pytest.param("A\u2029da", CONTROL, id="paragraph separator"),
        *(
            pytest.param(f"A{chr(point)}da", CONTROL, id=f"U+{point:04X}")
            for point in (0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069)
        ),
        pytest.param("A\ud800da", CONTROL, id="high surrogate"),
        pytest.param("A\udfff", CONTROL, id="low surrogate"),
        pytest.param("\u200b", INVISIBLE, id="zero width space"),
        pytest.param("\u200d\ufe0f\u2060\ufeff\xad", INVISIBLE, id="format characters"),
        pytest.param("\u0301", INVISIBLE, id="combining mark alone"),
        pytest.param("\u3164", INVISIBLE, id="Hangul filler"),
        pytest.param("\uffa0\u115f\u1160", INVISIBLE, id="other fillers"),
        pytest.param("\u2800 \u2800", INVISIBLE, id="Braille without dots"),
        pytest.param("\U000e0041", INVISIBLE, id="tag character"),
        pytest.param("\U000e0fff", INVISIBLE, id="unassigned"),
        pytest.param("\u20dd", INVISIBLE, id="enclosing mark alone"),
        pytest.param("\u200b \u00a0\u200b", INVISIBLE, id="spaces between format characters"),
        *(pytest.param(value, "This must be text.", id=repr(value)) for value in (None, 5, 1.5, True, [], ["Ada"], {})),
    ],
)
def test_parse_update_invalid_display_name_is_rejected(text: object, message: str) -> None:
    assert get_errors({"display_name": text}) == {"display_name": message}


def test_parse_update_missing_display_name_is_rejected() -> None:
    assert get_errors({}) == {"display_name": "Enter a name."}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \r\n ", "", id="space"),
        pytest.param("\n Hi \n", "Hi", id="space around"),
        pytest.param("one\r\ntwo\rthree\n\nfour", "one\ntwo\nthree\n\nfour", id="line ends"),
        pytest.param("Zoe\u0308", "Zo\xeb", id="composed"),
        pytest.param("x" * 500, "x" * 500, id="maximum length"),
        pytest.param("\r\n".join("x" * 250), "\n".join("x" * 250), id="maximum number of lines"),
        pytest.param("\U0001f600" * 500, "\U0001f600" * 500, id="maximum length outside the BMP"),
        pytest.param("\u202bab\u202c", "\u202bab\u202c", id="direction"),
    ],
)
def test_parse_update_valid_bio_is_normalized(text: str, expected: str) -> None:
    assert parse_valid(bio=text).bio == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("x" * 501, "Use at most 500 characters. These are 501.", id="too long"),
        pytest.param("a\0b", CONTROL, id="NUL"),
        pytest.param("a\tb", CONTROL, id="tab"),
        pytest.param("a\x0bb", CONTROL, id="vertical tab"),
        pytest.param("a\x85b", CONTROL, id="next line"),
        pytest.param("a\ud83d", CONTROL, id="high surrogate"),
        *(pytest.param(value, "This must be text.", id=repr(value)) for value in (None, 0, False, [], {"a": 1})),
    ],
)
def test_parse_update_invalid_bio_is_rejected(text: object, message: str) -> None:
    assert get_errors({"display_name": "Ada", "bio": text}) == {"bio": message}


@pytest.mark.parametrize("handle", ["abc", "a" * 30, "___", "007", "a_1"])
def test_parse_update_valid_handle_is_kept(handle: str) -> None:
    assert parse_valid(handle=handle).handle == handle
    assert profile_validation.is_handle(handle)


@pytest.mark.parametrize(
    "handle",
    [
        "",
        "ab",
        "a" * 31,
        "Ada",
        "ad a",
        " ada",
        "ada\n",
        "ad-a",
        "ad.a",
        "@ada",
        "adä",
        "ada\0",
        "ad\ud800",
        "４２４２",
    ],
)
def test_parse_update_invalid_handle_is_rejected(handle: str) -> None:
    assert get_errors({"display_name": "Ada", "handle": handle}) == {"handle": HANDLE}
    assert not profile_validation.is_handle(handle)


@pytest.mark.parametrize("handle", [None, 123, True, ["ada"]])
def test_parse_update_non_text_handle_is_rejected(handle: object) -> None:
    assert get_errors({"display_name": "Ada", "handle": handle}) == {"handle": "This must be text."}


def test_parse_update_several_errors_are_all_reported() -> None:
    with pytest.raises(InvalidProfileError) as caught:
        profile_validation.parse_update({"display_name": "", "bio": 1, "handle": "x", "subject": "another", "": 0})
    assert caught.value.fields == {
        "subject": "A profile has no such field.",
        "": "A profile has no such field.",
        "display_name": "Enter a name.",
        "handle": HANDLE,
        "bio": "This must be text.",
    }
    assert str(caught.value).startswith("subject: A profile has no such field. : A profile has no such field. display")


def test_parse_update_many_unknown_fields_reports_ten_shortened() -> None:
    fields = get_errors({"display_name": "Ada", **{f"{n:03}{'x' * 1000}": n for n in range(500)}})
    assert list(fields) == [f"{n:03}{'x' * 47}" for n in range(10)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Ada\tKing \n", "AdaKing"),
        ("Zoe\u0308", "Zo\xeb"),
        ("\u202eadA\0\ud800", "adA"),
        ("x" * 49 + " yz", "x" * 49),
        ("x" * 60, "x" * 50),
        ("\u200b\u3164", ""),
        ("", ""),
    ],
)
def test_sanitize_name_returns_valid_display_name(text: str, name: str) -> None:
    assert profile_validation.sanitize_name(text) == name
    if name:
        assert parse_valid(display_name=name).display_name == name
