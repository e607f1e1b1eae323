"""What process_avatar is called with: SQS messages that carry S3 events, in the shapes AWS documents.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

EVENTS = Path(__file__).parent / "events"
_BATCH: dict[str, Any] = json.loads((EVENTS / "object_created_in_sqs.json").read_text())


def s3_event(*keys: str, age: timedelta = timedelta(0), etag: str | None = None) -> str:
    """The body of a message: the keys encoded as S3 does it, slashes left as they are; the objects made `age` ago.
    `etag` is in quotes; None: one that no object has."""
    at = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (template,) = _BATCH["Records"][0]["body"]["Records"]
    records = [deepcopy(template) for _ in keys]
    for record, key in zip(records, keys, strict=True):
        record["s3"]["object"]["key"] = quote_plus(key, safe="/")
        record["eventTime"] = at
        if etag:
            record["s3"]["object"]["eTag"] = etag.strip('"')
    return json.dumps({"Records": records})


def s3_test_event() -> str:
    return (EVENTS / "s3_test_event.json").read_text()


def message(body: str, *, receive_count: int = 1) -> dict[str, Any]:
    (template,) = _BATCH["Records"]
    attributes = {**template["attributes"], "ApproximateReceiveCount": str(receive_count)}
    return {**template, "messageId": str(uuid4()), "body": body, "attributes": attributes}


def batch(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(messages)}
