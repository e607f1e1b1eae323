"""Returns a form with which a browser uploads one photo of a user directly to the uploads bucket."""

import json
import os
import re
import uuid
from typing import Any

import boto3
from botocore.config import Config

# The regional host name, so that the browser is not redirected.
S3: Any = boto3.client("s3", config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"))


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    body = json.loads(event.get("body") or "{}")
    user, content_type = str(body.get("user")), str(body.get("contentType"))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", user) or content_type not in ("image/jpeg", "image/png", "image/webp"):
        return {"statusCode": 400, "body": json.dumps({"error": "user or contentType is invalid"})}
    form = S3.generate_presigned_post(
        os.environ["UPLOADS_BUCKET"],
        f"incoming/{user}/{uuid.uuid4()}",
        Fields={"Content-Type": content_type},
        Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, 10_485_760]],
        ExpiresIn=300,
    )
    return {"statusCode": 200, "body": json.dumps(form)}
