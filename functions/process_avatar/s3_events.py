"""S3's event notifications, as they lie in an SQS message.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from typing import Any
from urllib.parse import unquote_plus


def object_keys(body: str) -> list[str]:
    """The keys of the objects a message tells of; none for the test message S3 sends when it is first connected.

    ValueError for a body that is not an S3 event.
    """
    event = json.loads(body)
    if not isinstance(event, dict):
        raise ValueError(f"not an S3 event: a JSON {type(event).__name__} where an object is expected")
    if event.get("Event") == "s3:TestEvent":
        return []
    try:
        return [_key(record) for record in event["Records"]]
    except (KeyError, TypeError) as error:
        raise ValueError("not an S3 event: Records[].s3.object.key is missing") from error


def _key(record: dict[str, Any]) -> str:
    return unquote_plus(record["s3"]["object"]["key"])  # S3 encodes keys as an HTML form does: a space is a plus
