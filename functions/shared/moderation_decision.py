"""A decision about an upload: of the moderation function, or of an operator about an upload that it holds.

An operator's decision is metadata of the original. Users cannot write it: S3 refuses a form with a field that
presign_upload has not signed. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Verdict: TypeAlias = Literal["approve", "reject", "hold"]

MAX_REASON_CHARACTERS = 200

_VERDICT_KEY, _REASON_KEY = "moderation", "moderation-reason"
_VERDICTS: Mapping[str, Verdict] = {"approved": "approve", "rejected": "reject"}


class Decision(NamedTuple):
    verdict: Verdict
    reason: str | None = None
    """For the team: users do not see it."""

    def to_metadata(self) -> dict[str, str]:
        """The metadata of an original, for `approve` and `reject`.

        The reason is in base64, as S3 takes only ASCII: at most 1,068 of the 2,048 bytes that all metadata may have.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        metadata = {_VERDICT_KEY: next(text for text, verdict in _VERDICTS.items() if verdict == self.verdict)}
        if self.reason:
            metadata[_REASON_KEY] = base64.b64encode(self.reason.encode()).decode()
        return metadata


def read_decision(metadata: Mapping[str, str]) -> Decision | None:
    """The operator's decision in the metadata of an original, None if there is none.

    Raises:
        ValueError: The metadata are not those of `Decision.to_metadata`.
    """
    if _VERDICT_KEY not in metadata:
        return None
    verdict = _VERDICTS.get(metadata[_VERDICT_KEY])
    if verdict is None:
        raise ValueError(f"{metadata[_VERDICT_KEY]!r:.80} is not one of {', '.join(_VERDICTS)}")
    reason = base64.b64decode(metadata.get(_REASON_KEY, "")).decode()
    return Decision(verdict, reason or None)
