import re

import pytest

from functions.shared import upload_id

ALICE = "0a1b2c3d-0000-4000-8000-00000000a11c"
BOB = "0a1b2c3d-0000-4000-8000-000000000b0b"
MARCH_2026 = 1_772_355_907_123


def test_create_returns_ulid_with_time() -> None:
    created = upload_id.create(ALICE, MARCH_2026)
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", created)
    assert upload_id.parse_time_ms(created) == MARCH_2026


def test_create_encodes_time_as_ulid() -> None:
    # The example of https://github.com/ulid/spec
    assert upload_id.create(ALICE, 1_469_918_176_385).startswith("01ARYZ6S41")


def test_create_ids_sort_by_time() -> None:
    times = [0, 1, 31, 32, 2**40, MARCH_2026, MARCH_2026 + 1, 2**48 - 1]
    created = [upload_id.create(ALICE, time) for time in times]
    assert sorted(created) == created


def test_create_same_millisecond_ids_differ() -> None:
    assert len({upload_id.create(ALICE, MARCH_2026) for _ in range(100)}) == 100


def test_is_owned_by_is_true_for_own_subject_only() -> None:
    created = upload_id.create(ALICE, MARCH_2026)
    assert upload_id.is_owned_by(created, ALICE)
    assert not upload_id.is_owned_by(created, BOB)


def test_is_owned_by_changed_id_is_false() -> None:
    created = upload_id.create(ALICE, MARCH_2026)
    for place, character in enumerate(created):
        other = "1" if character == "0" else "0"
        assert not upload_id.is_owned_by(created[:place] + other + created[place + 1 :], ALICE)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "U", "0" * 25 + "l", "0" * 25 + "\u0660", "../" + "0" * 23],
)
def test_parse_time_and_owner_invalid_id_is_rejected(text: str) -> None:
    assert not upload_id.is_owned_by(text, ALICE)
    with pytest.raises(ValueError, match="is not an upload id"):
        upload_id.parse_time_ms(text)


def test_is_owned_by_lower_case_id_is_false() -> None:
    created = upload_id.create(ALICE, MARCH_2026)
    assert not upload_id.is_owned_by(created.lower(), ALICE)


def test_create_time_outside_48_bits_raises_overflow_error() -> None:
    for time in (-1, 2**48):
        with pytest.raises(OverflowError):
            upload_id.create(ALICE, time)
