"""A decision about an upload: of the moderation function, or of an operator about an upload that it holds.

An operator's decision is metadata of the original. Users cannot write it: S3 refuses a form with a field that
presign_upload has not signed. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
It names the file by its SHA-256: a user can make two files with the same ETag, which is an MD5.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Verdict: TypeAlias = Literal["approve", "reject", "hold"]

MAX_REASON_CHARACTERS = 200

_VERDICT_KEY, _REASON_KEY, _FILE_KEY = "moderation", "moderation-reason", "moderation-file"
_VERDICTS: Mapping[str, Verdict] = {"approved": "approve", "rejected": "reject"}


class Decision(NamedTuple):
    verdict: Verdict
    reason: str | None = None
    """For the team: users do not see it."""

    def to_metadata(self, sha256: str) -> dict[str, str]:
        """The metadata of an original whose data has that SHA-256, for `approve` and `reject`.

        The reason is in base64, as S3 takes only ASCII: at most 1,068 of the 2,048 bytes that all metadata may have.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        verdict = next(text for text, verdict in _VERDICTS.items() if verdict == self.verdict)
        metadata = {_VERDICT_KEY: verdict, _FILE_KEY: sha256}
        if self.reason:
            metadata[_REASON_KEY] = base64.b64encode(self.reason.encode()).decode()
        return metadata


def hash_file(data: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_decision(metadata: Mapping[str, str], data: bytes) -> Decision | None:
    """The operator's decision in the metadata of an original, None if there is none or it is about another file.

    Raises:
        ValueError: The metadata are not those of `Decision.to_metadata`.
    """
    if _VERDICT_KEY not in metadata or metadata.get(_FILE_KEY) != hash_file(data):
        return None
    verdict = _VERDICTS.get(metadata[_VERDICT_KEY])
    if verdict is None:
        raise ValueError(f"{metadata[_VERDICT_KEY]!r:.80} is not one of {', '.join(_VERDICTS)}")
    reason = base64.b64decode(metadata.get(_REASON_KEY, "")).decode()
    return Decision(verdict, reason or None)
