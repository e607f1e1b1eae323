import pytest

from functions import bucket_layout

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
UPLOAD = "01KJM8QZ5K3V7N2R9T4W6X8Y0Z"


def test_every_key_has_its_documented_place() -> None:
    assert bucket_layout.incoming_key("s-1", UPLOAD) == f"incoming/s-1/{UPLOAD}"
    assert bucket_layout.rejection_key("s-1", UPLOAD) == f"rejected/s-1/{UPLOAD}.json"
    assert bucket_layout.manifest_key("s-1") == "avatars/s-1.json"
    assert bucket_layout.stable_key("s-1") == "avatars/s-1.jpg"
    assert bucket_layout.variant_key("s-1", f"{UPLOAD}-0a1b2c3d", 512) == f"avatars/s-1/{UPLOAD}-0a1b2c3d/512.webp"


def test_an_incoming_key_can_be_read_back() -> None:
    assert bucket_layout.parse_incoming_key(bucket_layout.incoming_key(SUBJECT, UPLOAD)) == (SUBJECT, UPLOAD)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "incoming/",
        f"incoming/{UPLOAD}",
        f"incoming//{UPLOAD}",
        f"incoming/s/{UPLOAD}/x",
        f"incoming/s/{UPLOAD}.jpg",
        f"incoming/s/{UPLOAD}\n",
        f"x/incoming/s/{UPLOAD}",
        f"rejected/s/{UPLOAD}.json",
        f"incoming/../{UPLOAD}",
    ],
)
def test_any_other_key_is_not_taken_for_an_upload(key: str) -> None:
    with pytest.raises(ValueError, match="is not the key of an upload"):
        bucket_layout.parse_incoming_key(key)


@pytest.mark.parametrize("subject", ["", "a/b", "..", "x/../victim", "a.jpg", "a%2Fb", "a b", "é", "s\n", "s" * 129])
def test_a_subject_that_could_leave_its_folder_is_refused(subject: str) -> None:
    for make in (
        lambda: bucket_layout.incoming_key(subject, UPLOAD),
        lambda: bucket_layout.rejection_key(subject, UPLOAD),
        lambda: bucket_layout.manifest_key(subject),
        lambda: bucket_layout.stable_key(subject),
        lambda: bucket_layout.variant_key(subject, UPLOAD, 512),
    ):
        with pytest.raises(ValueError, match="cannot be part of a key"):
            make()


def test_an_upload_id_or_version_with_a_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be part of a key"):
        bucket_layout.incoming_key(SUBJECT, "../x")
    with pytest.raises(ValueError, match="cannot be part of a key"):
        bucket_layout.variant_key(SUBJECT, "v/1", 128)
