"""Subjects of tokens as part of object keys and URLs, which are public.

A token's `sub` is any text of up to 255 characters
(https://openid.net/specs/openid-connect-core-1_0.html#IDToken), which may be an e-mail address, or have a slash.
"""

import hashlib
import re

MAX_LENGTH = 255

# As Cognito, Supabase and Keycloak have them. In lower case only: two subjects must never become the same.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def to_path_segment(sub: str) -> str:
    """Return a UUID as it is, and the SHA-256 of any other subject in hexadecimal digits.

    Neither form can be mistaken for the other: they have 36 and 64 characters.

    Raises:
        ValueError: `sub` is empty, has more than 255 characters, or cannot be encoded as UTF-8.
    """
    if not 1 <= len(sub) <= MAX_LENGTH:
        raise ValueError(f"a subject has 1 to {MAX_LENGTH} characters, not {len(sub)}")
    return sub if _UUID.fullmatch(sub) else hashlib.sha256(sub.encode()).hexdigest()
