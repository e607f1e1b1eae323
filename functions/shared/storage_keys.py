"""Where everything lies in the two buckets. Every key the service reads or writes is made here.

Uploads bucket:
    incoming/<subject>/<upload_id>                   the original, until it has been answered
    rejected/<subject>/<upload_id>.json              why an original was refused
Assets bucket, which the CDN serves:
    avatars/<subject>/<version>/<size>.webp          never changes
    avatars/<subject>.jpg                            the stable address
    avatars/<subject>.json                           the manifest: what is current
"""

import re

INCOMING = "incoming/"
REJECTED = "rejected/"
AVATARS = "avatars/"

# A subject is one path segment of keys and URLs. Cognito's are UUIDs; with a slash or dots in one, a subject
# could name a key outside its own folder.
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INCOMING_KEY = re.compile(rf"{INCOMING}({_SEGMENT.pattern})/({_SEGMENT.pattern})")


def incoming_key(subject: str, upload_id: str) -> str:
    return f"{INCOMING}{_segment(subject)}/{_segment(upload_id)}"


def parse_incoming_key(key: str) -> tuple[str, str]:
    """The (subject, upload_id) of an original's key. ValueError for any other key."""
    match = _INCOMING_KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} is not the key of an upload: {INCOMING}<subject>/<upload_id>")
    subject, upload_id = match.groups()
    return subject, upload_id


def rejection_key(subject: str, upload_id: str) -> str:
    return f"{REJECTED}{_segment(subject)}/{_segment(upload_id)}.json"


def manifest_key(subject: str) -> str:
    return f"{AVATARS}{_segment(subject)}.json"


def stable_key(subject: str) -> str:
    return f"{AVATARS}{_segment(subject)}.jpg"


def variant_key(subject: str, version: str, size: int) -> str:
    return f"{AVATARS}{_segment(subject)}/{_segment(version)}/{size}.webp"


def _segment(text: str) -> str:
    if not _SEGMENT.fullmatch(text):
        raise ValueError(f"{text!r} cannot be part of a key: 1 to 128 of A-Z a-z 0-9 _ -")
    return text
