import pytest

from functions.shared import storage_keys

SUBJECT = "0a1b2c3d-0000-4000-8000-00000000a11c"
UPLOAD = "01KJM8QZ5K3V7N2R9T4W6X8Y0Z"


def test_keys_have_documented_format() -> None:
    assert storage_keys.incoming_key("s-1", UPLOAD) == f"incoming/s-1/{UPLOAD}"
    assert storage_keys.rejection_key("s-1", UPLOAD) == f"rejected/s-1/{UPLOAD}.json"
    assert storage_keys.held_key("s-1", UPLOAD) == f"held/s-1/{UPLOAD}.json"
    assert storage_keys.deletion_key("s-1", UPLOAD) == f"deletions/s-1/{UPLOAD}"
    assert storage_keys.manifest_key("s-1") == "avatars/s-1.json"
    assert storage_keys.stable_key("s-1") == "avatars/s-1.jpg"
    assert storage_keys.variant_key("s-1", f"{UPLOAD}-0a1b2c3d", 512) == f"avatars/s-1/{UPLOAD}-0a1b2c3d/512.webp"


def test_prefixes_end_with_a_delimiter_that_no_subject_contains() -> None:
    makers = ("incoming_prefix", "rejected_prefix", "held_prefix", "deletions_prefix", "versions_prefix")
    prefixes = [getattr(storage_keys, name)("s-1") for name in makers]
    assert prefixes == ["incoming/s-1/", "rejected/s-1/", "held/s-1/", "deletions/s-1/", "avatars/s-1/"]
    assert storage_keys.current_prefix("s-1") == "avatars/s-1."


def test_parse_incoming_key_returns_subject_and_upload_id() -> None:
    assert storage_keys.parse_incoming_key(storage_keys.incoming_key(SUBJECT, UPLOAD)) == (SUBJECT, UPLOAD)


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
def test_parse_incoming_key_other_key_raises_value_error(key: str) -> None:
    with pytest.raises(ValueError, match="is not the key of an upload"):
        storage_keys.parse_incoming_key(key)


def test_parse_held_key_returns_subject_and_upload_id() -> None:
    assert storage_keys.parse_held_key(storage_keys.held_key(SUBJECT, UPLOAD)) == (SUBJECT, UPLOAD)
    for key in (f"held/{SUBJECT}/{UPLOAD}", f"held/{SUBJECT}/{UPLOAD}xjson", f"rejected/{SUBJECT}/{UPLOAD}.json"):
        with pytest.raises(ValueError, match="is not the key of a held upload"):
            storage_keys.parse_held_key(key)


def test_parse_deletion_key_returns_subject_and_deletion_id() -> None:
    assert storage_keys.parse_deletion_key(storage_keys.deletion_key(SUBJECT, UPLOAD)) == (SUBJECT, UPLOAD)
    for key in (f"deletions/{UPLOAD}", f"deletions/{SUBJECT}/{UPLOAD}.json", f"incoming/{SUBJECT}/{UPLOAD}"):
        with pytest.raises(ValueError, match="is not the key of a deletion"):
            storage_keys.parse_deletion_key(key)


@pytest.mark.parametrize("subject", ["", "a/b", "..", "x/../victim", "a.jpg", "a%2Fb", "a b", "é", "s\n", "s" * 129])
def test_keys_subject_outside_its_prefix_raises_value_error(subject: str) -> None:
    for make in (
        lambda: storage_keys.incoming_key(subject, UPLOAD),
        lambda: storage_keys.rejection_key(subject, UPLOAD),
        lambda: storage_keys.held_key(subject, UPLOAD),
        lambda: storage_keys.manifest_key(subject),
        lambda: storage_keys.stable_key(subject),
        lambda: storage_keys.variant_key(subject, UPLOAD, 512),
        lambda: storage_keys.held_prefix(subject),
        lambda: storage_keys.current_prefix(subject),
    ):
        with pytest.raises(ValueError, match="cannot be part of a key"):
            make()


def test_keys_separator_in_id_or_version_raises_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be part of a key"):
        storage_keys.incoming_key(SUBJECT, "../x")
    with pytest.raises(ValueError, match="cannot be part of a key"):
        storage_keys.variant_key(SUBJECT, "v/1", 128)


@pytest.mark.parametrize(
    ("key", "version"),
    [
        ("avatars/ada/01K-000-1/256.webp", "01K-000-1"),
        ("avatars/ada/01K-000-1/256.png", None),
        ("avatars/ada/01K-000-1/x/256.webp", None),
        ("avatars/ada.json", None),
        ("defaults/ada/01K-000-1/256.webp", None),
    ],
)
def test_parse_variant_key_returns_version_of_variants_only(key: str, version: str | None) -> None:
    assert storage_keys.parse_variant_key(key) == version
