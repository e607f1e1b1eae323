"""S3's event notifications, as they lie in an SQS message.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus


class Created(NamedTuple):
    """An object that was made."""

    key: str
    at: datetime  # with its time zone, UTC
    etag: str
    """Of what was posted, in quotes as in S3's responses. The object may have been replaced since."""
    sequencer: str
    """Differs between the posts of a key, and is the same when S3 sends an event twice."""
    is_copy: bool = False
    """Whether an operator has copied the object onto itself: nothing was posted."""


def created_objects(event: object) -> list[Created]:
    """The objects a decoded message tells of; none for the test message S3 sends when it is first connected.

    ValueError for what is not an S3 event.
    """
    if not isinstance(event, dict):
        raise ValueError(f"not an S3 event: a JSON {type(event).__name__} where an object is expected")
    if event.get("Event") == "s3:TestEvent":
        return []
    try:
        return [_created(record) for record in event["Records"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            "not an S3 event: eventName or eventTime of Records[], or key, eTag or sequencer of Records[].s3.object, "
            "is missing"
        ) from error


def _created(record: dict[str, Any]) -> Created:
    stored = record["s3"]["object"]
    key = unquote_plus(stored["key"])  # S3 encodes keys as an HTML form does: a space is a plus
    at = datetime.fromisoformat(record["eventTime"])
    is_copy = record["eventName"] == "ObjectCreated:Copy"
    return Created(key, at, f'"{stored["eTag"]}"', stored["sequencer"], is_copy)
