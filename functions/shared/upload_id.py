"""Upload ids: made by the server, ordered by time as text, and tied to one subject without a table.

An id is 128 bits in the 26 characters of a ULID (https://github.com/ulid/spec), upper case only:
48 bits of milliseconds since 1970, 32 random bits, and 48 bits of a SHA-256 over both and the subject.
The last part is a checksum, not a secret: it tells an id of another user and a made-up id from one of ours,
and no permission rests on it alone, because every key also has the subject in its path.
"""

import hashlib
import os

# How long after an id is made its bytes may arrive: the life of the form that carries it. The S3 console gives
# its own presigned URLs the same five minutes; under two, ordinary clock skew begins to refuse honest uploads.
UPLOAD_WINDOW_SECONDS = 300

LENGTH = 26
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, https://www.crockford.com/base32.html
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_TIME_BYTES, _RANDOM_BYTES, _CHECK_BYTES = 6, 4, 6
_STAMP_BYTES = _TIME_BYTES + _RANDOM_BYTES


def new(subject: str, now_ms: int) -> str:
    """An id for an upload `subject` begins at `now_ms`, milliseconds since 1970."""
    stamp = now_ms.to_bytes(_TIME_BYTES) + os.urandom(_RANDOM_BYTES)
    return _encode(stamp + _check(subject, stamp))


def belongs_to(upload_id: str, subject: str) -> bool:
    """Whether the id was made for `subject`; False for text that is no id at all."""
    try:
        raw = _decode(upload_id)
    except ValueError:
        return False
    stamp, check = raw[:_STAMP_BYTES], raw[_STAMP_BYTES:]
    return check == _check(subject, stamp)


def issued_at_ms(upload_id: str) -> int:
    """When the id was made, milliseconds since 1970. ValueError for text that is no id."""
    return int.from_bytes(_decode(upload_id)[:_TIME_BYTES])


def _check(subject: str, stamp: bytes) -> bytes:
    return hashlib.sha256(stamp + subject.encode()).digest()[:_CHECK_BYTES]


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def _decode(upload_id: str) -> bytes:
    # The first character carries 3 bits, not 5: a greater one would be a second spelling of some other id.
    if len(upload_id) != LENGTH or upload_id[0] > "7" or not _VALUES.keys() >= set(upload_id):
        raise ValueError(f"{upload_id!r} is not an upload id: {LENGTH} characters of {ALPHABET}, the first 0 to 7")
    number = 0
    for character in upload_id:
        number = number << 5 | _VALUES[character]
    return number.to_bytes(_STAMP_BYTES + _CHECK_BYTES)
