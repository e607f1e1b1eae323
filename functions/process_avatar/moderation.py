"""Moderation: the team's own Lambda function decides what is published, and holds what a person has to look at.

A held upload keeps its original. Its record says which file is held: another one may be posted with the same form.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from botocore.client import BaseClient

from functions.shared import storage_keys
from functions.shared.aws.s3 import PreconditionFailedError, get_json, get_object, head_object, replace_object
from functions.shared.moderation_decision import MAX_REASON_CHARACTERS, Decision, Verdict

# Long enough for a cold start and a request to an image recognition service. With one attempt, the function's timeout
# has room for it (components/avatar_pipeline.py); SQS repeats what fails.
READ_TIMEOUT_SECONDS = 10

HeldRecord: TypeAlias = dict[str, Any]
"""`reason` (text or None), `at`, and of the original `etag` and `sha256`."""


class ModerationError(Exception):
    """The moderation function failed, or gave an invalid answer."""


class NotAllowedError(Exception):
    """The upload must not be published."""

    reason: Literal["not_allowed"] = "not_allowed"

    def __init__(self, moderation_reason: str | None) -> None:
        super().__init__(moderation_reason)
        self.moderation_reason = moderation_reason


class HeldError(Exception):
    """The upload must not be published before an operator has approved it."""

    def __init__(self, moderation_reason: str | None) -> None:
        super().__init__(moderation_reason)
        self.moderation_reason = moderation_reason


def require_approval(decision: Decision) -> None:
    """Raises NotAllowedError or HeldError unless the upload is approved."""
    if decision.verdict == "reject":
        raise NotAllowedError(decision.reason)
    if decision.verdict == "hold":
        raise HeldError(decision.reason)


@dataclass(frozen=True)
class Moderation:
    lambda_client: BaseClient | None
    """In the function's own region. None: there is no moderation, every upload is approved."""
    function_arn: str
    s3: BaseClient
    uploads_bucket: str

    def ask(self, subject: str, upload_id: str, jpeg: bytes) -> Decision:
        """Ask the moderation function. See docs/moderation.md.

        Raises:
            ModerationError: It failed, or gave an invalid answer.
            ClientError: Lambda refused the request, for example because the function is throttled.
            BotoCoreError: there was no response in time.
        """
        if not self.lambda_client:
            return Decision("approve")
        request = {
            "subject": subject,
            "upload_id": upload_id,
            "image": base64.b64encode(jpeg).decode(),
            "content_type": "image/jpeg",
        }
        response = self.lambda_client.invoke(FunctionName=self.function_arn, Payload=json.dumps(request).encode())
        payload: bytes = response["Payload"].read()
        if "FunctionError" in response:
            raise ModerationError(f"the moderation function failed: {payload[:500]!r}")
        return _parse_answer(payload)

    def find_held(self, subject: str, upload_id: str) -> HeldRecord | None:
        """The record of a held upload, None if there is none."""
        if not self.lambda_client:
            return None
        return get_json(self.s3, self.uploads_bucket, storage_keys.held_key(subject, upload_id))

    def hold(self, subject: str, upload_id: str, record: HeldRecord) -> HeldRecord:
        """Write the record of a held upload. Returns the one that exists, if another delivery was faster.

        Raises:
            PreconditionFailedError: Another file, which was posted with the same form, is held, or is being held.
        """
        key = storage_keys.held_key(subject, upload_id)
        existing = get_object(self.s3, self.uploads_bucket, key)
        if existing and json.loads(existing.data)["sha256"] != record["sha256"]:
            self._require_unchanged(storage_keys.incoming_key(subject, upload_id), record["etag"])
        try:
            replace_object(
                self.s3,
                existing.etag if existing else None,
                Bucket=self.uploads_bucket,
                Key=key,
                Body=json.dumps(record).encode(),
                ContentType="application/json",
            )
        except PreconditionFailedError:
            # boto3 retries a write whose response was lost: the record may be this delivery's own.
            found = self.find_held(subject, upload_id)
            if found is None or found["sha256"] != record["sha256"]:
                raise
            return found
        return record

    def _require_unchanged(self, key: str, etag: str) -> None:
        """The record of a file that was posted earlier is replaced, that of one that was posted later is not."""
        original = head_object(self.s3, self.uploads_bucket, key)
        if original is None or original["ETag"] != etag:
            raise PreconditionFailedError(f"{key} is another file now")

    def release(self, subject: str, upload_id: str, etag: str) -> None:
        """Delete the record of a held upload, if the original with that ETag is the one that is held.

        The copy that has an operator's decision has the ETag of the original:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
        """
        held = self.find_held(subject, upload_id)
        if held and held["etag"] == etag:
            self.s3.delete_object(Bucket=self.uploads_bucket, Key=storage_keys.held_key(subject, upload_id))


def _parse_answer(payload: bytes) -> Decision:
    try:
        answer = json.loads(payload)
        verdict, reason = answer["decision"], answer.get("reason")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModerationError(f"the answer has no decision: {payload[:500]!r}") from error
    if verdict not in get_args(Verdict):
        raise ModerationError(f"the decision {verdict!r:.80} is not one of {', '.join(get_args(Verdict))}")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= MAX_REASON_CHARACTERS):
        raise ModerationError(f"the reason is not a text of up to {MAX_REASON_CHARACTERS} characters: {reason!r:.80}")
    return Decision(verdict, reason or None)
