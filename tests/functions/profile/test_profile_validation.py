"""What a profile may say: each rule by its exact values."""

from typing import Any

import pytest

from functions.profile import profile_validation
from functions.profile.profile_validation import Changes, InvalidError

CONTROL = "Remove the control characters."
INVISIBLE = "Enter a name that can be seen."
HANDLE = "Use 3 to 30 small letters (a to z), digits and underscores."


def requested(**fields: Any) -> Changes:
    return profile_validation.requested({"display_name": "Ada", **fields})


def wrong(request: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        profile_validation.requested(request)
    return dict(caught.value.fields)


def test_what_is_left_out_is_an_empty_bio_and_the_handle_there_is() -> None:
    assert profile_validation.requested({"display_name": "Ada"}) == Changes("Ada", "", None)
    assert requested(bio="Hi", handle="ada_l") == Changes("Ada", "Hi", "ada_l")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("A", "A", id="one letter"),
        pytest.param("  Ada\t\n", "Ada", id="space around"),
        pytest.param("\u3000Ada\xa0", "Ada", id="other space around"),
        pytest.param("Ada  King", "Ada  King", id="space within"),
        pytest.param("Zoe\u0308", "Zo\xeb", id="composed"),
        pytest.param("x" * 50, "x" * 50, id="the most"),
        pytest.param("e\u0301" * 50, "\xe9" * 50, id="the most once composed"),
        pytest.param("\U0001f600" * 50, "\U0001f600" * 50, id="the most beyond 16 bits"),
        pytest.param("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb", id="joined"),
        pytest.param("\u0646\u200c\u0647", "\u0646\u200c\u0647", id="not joined"),
        pytest.param("\u05d0\u200e1", "\u05d0\u200e1", id="a mark of direction"),
        pytest.param("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e", id="Chinese"),
        pytest.param("<b>&amp;'\"", "<b>&amp;'\"", id="what means something in HTML"),
    ],
)
def test_a_good_display_name_is_kept(text: str, kept: str) -> None:
    assert requested(display_name=text).display_name == kept


@pytest.mark.parametrize(
    ("text", "sentence"),
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
        pytest.param("A\x9fda", CONTROL, id="the last control"),
        pytest.param("A\u2028da", CONTROL, id="line separator"),
        pytest.param("A\u2029da", CONTROL, id="paragraph separator"),
        *(
            pytest.param(f"A{chr(point)}da", CONTROL, id=f"U+{point:04X}")
            for point in (0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069)
        ),
        pytest.param("A\ud800da", CONTROL, id="half a character"),
        pytest.param("A\udfff", CONTROL, id="the other half"),
        pytest.param("\u200b", INVISIBLE, id="zero width space"),
        pytest.param("\u200d\ufe0f\u2060\ufeff\xad", INVISIBLE, id="format characters"),
        pytest.param("\u0301", INVISIBLE, id="an accent on nothing"),
        pytest.param("\u3164", INVISIBLE, id="Hangul filler"),
        pytest.param("\uffa0\u115f\u1160", INVISIBLE, id="other fillers"),
        pytest.param("\u2800 \u2800", INVISIBLE, id="Braille without dots"),
        pytest.param("\U000e0041", INVISIBLE, id="a tag"),
        pytest.param("\U000e0fff", INVISIBLE, id="unassigned"),
        *(pytest.param(value, "This must be text.", id=repr(value)) for value in (None, 5, 1.5, True, [], ["Ada"], {})),
    ],
)
def test_a_bad_display_name_is_refused(text: object, sentence: str) -> None:
    assert wrong({"display_name": text}) == {"display_name": sentence}


def test_a_request_without_a_display_name_is_refused() -> None:
    assert wrong({}) == {"display_name": "Enter a name."}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \r\n ", "", id="space"),
        pytest.param("\n Hi \n", "Hi", id="space around"),
        pytest.param("one\r\ntwo\rthree\n\nfour", "one\ntwo\nthree\n\nfour", id="line ends"),
        pytest.param("Zoe\u0308", "Zo\xeb", id="composed"),
        pytest.param("x" * 500, "x" * 500, id="the most"),
        pytest.param("\r\n".join("x" * 250), "\n".join("x" * 250), id="the most lines"),
        pytest.param("\U0001f600" * 500, "\U0001f600" * 500, id="the most beyond 16 bits"),
        pytest.param("\u202bab\u202c", "\u202bab\u202c", id="direction"),
    ],
)
def test_a_good_bio_is_kept(text: str, kept: str) -> None:
    assert requested(bio=text).bio == kept


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("x" * 501, "Use at most 500 characters. These are 501.", id="too long"),
        pytest.param("a\0b", CONTROL, id="NUL"),
        pytest.param("a\tb", CONTROL, id="tab"),
        pytest.param("a\x0bb", CONTROL, id="vertical tab"),
        pytest.param("a\x85b", CONTROL, id="next line"),
        pytest.param("a\ud83d", CONTROL, id="half a character"),
        *(pytest.param(value, "This must be text.", id=repr(value)) for value in (None, 0, False, [], {"a": 1})),
    ],
)
def test_a_bad_bio_is_refused(text: object, sentence: str) -> None:
    assert wrong({"display_name": "Ada", "bio": text}) == {"bio": sentence}


@pytest.mark.parametrize("handle", ["abc", "a" * 30, "___", "007", "a_1"])
def test_a_good_handle_is_kept(handle: str) -> None:
    assert requested(handle=handle).handle == handle
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
def test_a_bad_handle_is_refused(handle: str) -> None:
    assert wrong({"display_name": "Ada", "handle": handle}) == {"handle": HANDLE}
    assert not profile_validation.is_handle(handle)


@pytest.mark.parametrize("handle", [None, 123, True, ["ada"]])
def test_a_handle_that_is_no_text_is_refused(handle: object) -> None:
    assert wrong({"display_name": "Ada", "handle": handle}) == {"handle": "This must be text."}


def test_every_wrong_field_is_named_at_once_and_in_the_message() -> None:
    with pytest.raises(InvalidError) as caught:
        profile_validation.requested({"display_name": "", "bio": 1, "handle": "x", "subject": "another", "": 0})
    assert caught.value.fields == {
        "subject": "A profile has no such field.",
        "": "A profile has no such field.",
        "display_name": "Enter a name.",
        "handle": HANDLE,
        "bio": "This must be text.",
    }
    assert str(caught.value).startswith("subject: A profile has no such field. : A profile has no such field. display")


def test_of_unknown_fields_a_few_are_named_and_not_in_full_length() -> None:
    fields = wrong({"display_name": "Ada", **{f"{n:03}{'x' * 1000}": n for n in range(500)}})
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
def test_a_name_from_elsewhere_is_made_fit(text: str, name: str) -> None:
    assert profile_validation.name_of(text) == name
    if name:
        assert requested(display_name=name).display_name == name
