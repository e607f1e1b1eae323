"""Upload IDs: created by the server, sorted by time, and bound to a subject without a database.

An ID is 128 bits in the 26 characters of a ULID (https://github.com/ulid/spec), upper case only: 48 bits of
milliseconds since 1970, 32 random bits, and the first 48 bits of a SHA-256 of both and the subject. The last part is a
checksum, not a secret: it identifies invalid IDs and those of other users. No permission depends on it alone, because
every object key contains the subject too.
"""

import hashlib
import os

# Expiration of the upload form. Presigned URLs of the S3 console expire after five minutes by default. Below two
# minutes, ordinary clock skew causes valid uploads to be rejected.
UPLOAD_WINDOW_SECONDS = 300

LENGTH = 26
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, https://www.crockford.com/base32.html
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_TIME_BYTES, _RANDOM_BYTES, _CHECKSUM_BYTES = 6, 4, 6
_PREFIX_BYTES = _TIME_BYTES + _RANDOM_BYTES


def create(subject: str, now_ms: int) -> str:
    """Create the ID of an upload that `subject` starts at `now_ms`, in milliseconds since 1970.

    Raises:
        OverflowError: The time has more than 48 bits, or is negative.
    """
    prefix = now_ms.to_bytes(_TIME_BYTES) + os.urandom(_RANDOM_BYTES)
    return _encode(prefix + _checksum(subject, prefix))


def is_owned_by(upload_id: str, subject: str) -> bool:
    """Whether the ID was created for `subject`. False for text that is not an upload ID."""
    try:
        raw = _decode(upload_id)
    except ValueError:
        return False
    prefix, checksum = raw[:_PREFIX_BYTES], raw[_PREFIX_BYTES:]
    return checksum == _checksum(subject, prefix)


def parse_time_ms(upload_id: str) -> int:
    """Return the time of creation, in milliseconds since 1970.

    Raises:
        ValueError: The text is not an upload ID.
    """
    return int.from_bytes(_decode(upload_id)[:_TIME_BYTES])


def _checksum(subject: str, prefix: bytes) -> bytes:
    return hashlib.sha256(prefix + subject.encode()).digest()[:_CHECKSUM_BYTES]


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def _decode(upload_id: str) -> bytes:
    # The first character has 3 bits, not 5. A greater one would be a second spelling of another ID.
    if len(upload_id) != LENGTH or upload_id[0] > "7" or not _VALUES.keys() >= set(upload_id):
        raise ValueError(f"{upload_id!r} is not an upload id: {LENGTH} characters of {ALPHABET}, the first 0 to 7")
    number = 0
    for character in upload_id:
        number = number << 5 | _VALUES[character]
    return number.to_bytes(_PREFIX_BYTES + _CHECKSUM_BYTES)
