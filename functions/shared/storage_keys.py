"""Object keys in the two buckets.

Uploads bucket:
    incoming/<subject>/<upload_id>                   original, deleted after processing
    rejected/<subject>/<upload_id>.json              rejection reason
    held/<subject>/<upload_id>.json                  why the upload waits for an operator's decision
    deletions/<subject>/<deletion_id>                request to delete the avatar, deleted after processing
Assets bucket, the origin of the CDN:
    avatars/<subject>/<version>/<size>.webp          immutable
    avatars/<subject>.jpg                            stable JPEG
    avatars/<subject>.json                           manifest of the current avatar, or record of a deletion

Functions that build a key raise ValueError if a part is not 1 to 128 characters of A-Z a-z 0-9 _ -.
"""

import re

INCOMING = "incoming/"
REJECTED = "rejected/"
HELD = "held/"
DELETIONS = "deletions/"
AVATARS = "avatars/"

# A subject is one path segment of keys and URLs. Cognito's are UUIDs. With slashes or dots, a subject could name a key
# outside its own prefix.
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VARIANT_KEY = re.compile(rf"{AVATARS}{_SEGMENT.pattern}/({_SEGMENT.pattern})/[0-9]+\.webp")
_DELETION_KEY = re.compile(rf"{DELETIONS}({_SEGMENT.pattern})/({_SEGMENT.pattern})")
_HELD_KEY = re.compile(rf"{HELD}({_SEGMENT.pattern})/({_SEGMENT.pattern})\.json")
_INCOMING_KEY = re.compile(rf"{INCOMING}({_SEGMENT.pattern})/({_SEGMENT.pattern})")


def incoming_prefix(subject: str) -> str:
    return f"{INCOMING}{_segment(subject)}/"


def incoming_key(subject: str, upload_id: str) -> str:
    return incoming_prefix(subject) + _segment(upload_id)


def parse_incoming_key(key: str) -> tuple[str, str]:
    """Return the subject and the upload ID.

    Raises:
        ValueError: The key is not that of an original.
    """
    return _parse(_INCOMING_KEY, key, f"an upload: {INCOMING}<subject>/<upload_id>")


def deletions_prefix(subject: str) -> str:
    return f"{DELETIONS}{_segment(subject)}/"


def deletion_key(subject: str, deletion_id: str) -> str:
    return deletions_prefix(subject) + _segment(deletion_id)


def parse_deletion_key(key: str) -> tuple[str, str]:
    """Return the subject and the ID of the deletion.

    Raises:
        ValueError: The key is not that of a deletion.
    """
    return _parse(_DELETION_KEY, key, f"a deletion: {DELETIONS}<subject>/<deletion_id>")


def rejected_prefix(subject: str) -> str:
    return f"{REJECTED}{_segment(subject)}/"


def rejection_key(subject: str, upload_id: str) -> str:
    return f"{rejected_prefix(subject)}{_segment(upload_id)}.json"


def held_prefix(subject: str) -> str:
    return f"{HELD}{_segment(subject)}/"


def held_key(subject: str, upload_id: str) -> str:
    return f"{held_prefix(subject)}{_segment(upload_id)}.json"


def parse_held_key(key: str) -> tuple[str, str]:
    """Return the subject and the upload ID.

    Raises:
        ValueError: The key is not that of a held upload.
    """
    return _parse(_HELD_KEY, key, f"a held upload: {HELD}<subject>/<upload_id>.json")


def manifest_key(subject: str) -> str:
    return f"{AVATARS}{_segment(subject)}.json"


def stable_key(subject: str) -> str:
    return f"{AVATARS}{_segment(subject)}.jpg"


def current_prefix(subject: str) -> str:
    """Of manifest and stable JPEG, and of nothing of other subjects, as no subject contains a dot."""
    return f"{AVATARS}{_segment(subject)}."


def versions_prefix(subject: str) -> str:
    return f"{AVATARS}{_segment(subject)}/"


def variant_key(subject: str, version: str, size: int) -> str:
    return f"{versions_prefix(subject)}{_segment(version)}/{size}.webp"


def parse_variant_key(key: str) -> str | None:
    """Return the version; None if the key is not that of a variant."""
    match = _VARIANT_KEY.fullmatch(key)
    return None if match is None else match[1]


def _parse(pattern: re.Pattern[str], key: str, expected: str) -> tuple[str, str]:
    match = pattern.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} is not the key of {expected}")
    subject, its_id = match.groups()
    return subject, its_id


def _segment(text: str) -> str:
    if not _SEGMENT.fullmatch(text):
        raise ValueError(f"{text!r} cannot be part of a key: 1 to 128 of A-Z a-z 0-9 _ -")
    return text
