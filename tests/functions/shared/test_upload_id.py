import re

import pytest

from functions.shared import upload_id

ALICE = "0a1b2c3d-0000-4000-8000-00000000a11c"
BOB = "0a1b2c3d-0000-4000-8000-000000000b0b"
MARCH_2026 = 1_772_355_907_123


def test_an_id_has_the_26_characters_of_a_ulid_and_its_time() -> None:
    made = upload_id.create(ALICE, MARCH_2026)
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", made)
    assert upload_id.parse_time_ms(made) == MARCH_2026


def test_the_time_is_written_as_a_ulid_writes_it() -> None:
    # The example of https://github.com/ulid/spec
    assert upload_id.create(ALICE, 1_469_918_176_385).startswith("01ARYZ6S41")


def test_ids_sort_as_text_in_the_order_of_their_time() -> None:
    times = [0, 1, 31, 32, 2**40, MARCH_2026, MARCH_2026 + 1, 2**48 - 1]
    made = [upload_id.create(ALICE, time) for time in times]
    assert sorted(made) == made


def test_two_ids_of_the_same_millisecond_differ() -> None:
    assert len({upload_id.create(ALICE, MARCH_2026) for _ in range(100)}) == 100


def test_an_id_belongs_to_the_subject_it_was_made_for_and_to_no_other() -> None:
    made = upload_id.create(ALICE, MARCH_2026)
    assert upload_id.is_owned_by(made, ALICE)
    assert not upload_id.is_owned_by(made, BOB)


def test_an_id_with_any_character_changed_belongs_to_nobody() -> None:
    made = upload_id.create(ALICE, MARCH_2026)
    for place, character in enumerate(made):
        other = "1" if character == "0" else "0"
        assert not upload_id.is_owned_by(made[:place] + other + made[place + 1 :], ALICE)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "U", "0" * 25 + "l", "0" * 25 + "\u0660", "../" + "0" * 23],
)
def test_text_that_is_no_id_is_refused(text: str) -> None:
    assert not upload_id.is_owned_by(text, ALICE)
    with pytest.raises(ValueError, match="is not an upload id"):
        upload_id.parse_time_ms(text)


def test_a_lower_case_spelling_is_not_a_second_name_of_an_upload() -> None:
    made = upload_id.create(ALICE, MARCH_2026)
    assert not upload_id.is_owned_by(made.lower(), ALICE)


def test_a_time_outside_48_bits_is_refused() -> None:
    for time in (-1, 2**48):
        with pytest.raises(OverflowError):
            upload_id.create(ALICE, time)
