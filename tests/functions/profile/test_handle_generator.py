import re
from itertools import islice

import pytest

from functions.profile import handle_generator
from functions.profile.profile_validation import is_handle


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("Ada Lovelace", "ada_lovelace"),
        ("Zoë O'Neil-Smith", "zoe_o_neil_smith"),
        ("  --Ada..!!..King--  ", "ada_king"),
        ("ＡＤＡ", "ada"),
        ("Ångström", "angstrom"),
        ("Groß", "gross"),
        ("Søren", "s_ren"),
        ("Ada \U0001f600 King", "ada_king"),
        ("a" * 40, "a" * 30),
        ("a" * 29 + " bcd", "a" * 29),
        ("007", "007"),
        ("Cher", "cher"),
    ],
)
def test_generate_handles_first_is_derived_from_name(name: str, handle: str) -> None:
    assert next(handle_generator.generate_handles(name)) == handle


@pytest.mark.parametrize("name", [None, "", "Al", "Admin", "Sign Up", "王小明", "!!!", "\U0001f600", "é", "Ёж"])
def test_generate_handles_unusable_name_first_is_random(name: str | None) -> None:
    first, other = next(handle_generator.generate_handles(name)), next(handle_generator.generate_handles(name))
    assert re.fullmatch(r"user_[a-z0-9]{6}", first)
    assert first != other


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Ada", "ada"),
        ("a" * 40, "a" * 25),
        ("a" * 24 + " bcdef", "a" * 24),
        (None, r"user_[a-z0-9]{6}"),
    ],
)
def test_generate_handles_others_have_random_suffix(name: str | None, stem: str) -> None:
    first, *others = islice(handle_generator.generate_handles(name), 20)
    assert is_handle(first)
    assert all(re.fullmatch(rf"{stem}_[a-z0-9]{{4}}", other) for other in others)
    assert all(map(is_handle, others))
    assert len(set(others)) > 15
