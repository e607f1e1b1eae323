"""Subjects as path segments."""

import re
import unicodedata

import pytest

from functions.authorize.subjects import to_path_segment
from functions.shared import storage_keys

UUID = "0a1b2c3d-0000-4000-8000-00000000a11c"
SUBJECTS = [
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    f"{UUID} ",
    f"{{{UUID}}}",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "google-oauth2|103547991597142817347",
    "user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
    "ada@example.com",
    "Ada@example.com",
    "../../etc/passwd",
    "..%2f..%2fetc",
    "a/b",
    "a%2Fb",
    "a\u0000b",
    "é",
    unicodedata.normalize("NFD", "é"),
    "admin",
    "аdmin",  # begins with a Cyrillic letter
    "a" * 254,
    "a" * 255,
    "0" * 64,
    to_path_segment("ada@example.com"),
    "😀",
]


def test_uuid_stays_as_it_is() -> None:
    assert to_path_segment(UUID) == UUID


@pytest.mark.parametrize("sub", SUBJECTS[1:], ids=ascii)
def test_other_subject_becomes_a_hash(sub: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", to_path_segment(sub))


def test_different_subjects_have_different_segments() -> None:
    assert len({to_path_segment(sub) for sub in SUBJECTS}) == len(set(SUBJECTS)) == 24


@pytest.mark.parametrize("sub", SUBJECTS, ids=ascii)
def test_segment_can_be_part_of_a_key(sub: str) -> None:
    assert storage_keys.stable_key(to_path_segment(sub)) == f"avatars/{to_path_segment(sub)}.jpg"


@pytest.mark.parametrize("sub", ["", "a" * 256, "\ud800"], ids=ascii)
def test_invalid_subject_raises_value_error(sub: str) -> None:
    with pytest.raises(ValueError, match=r"1 to 255 characters|surrogates not allowed"):
        to_path_segment(sub)
