"""Moderates avatars with Amazon Rekognition. The contract is in docs/moderation.md.

https://docs.aws.amazon.com/rekognition/latest/APIReference/API_DetectModerationLabels.html
"""

import base64
import os
from typing import Any

import boto3

# In percent. Labels below it are ignored.
MIN_CONFIDENCE = float(os.environ.get("MIN_CONFIDENCE", "60"))
# Top-level categories. A response contains those of the labels that were found, with an empty ParentName.
# https://docs.aws.amazon.com/rekognition/latest/dg/moderation-api.html
REJECTED = {"Explicit", "Hate Symbols", "Visually Disturbing"}
HELD = {"Non-Explicit Nudity of Intimate parts and Kissing", "Rude Gestures", "Violence"}

REKOGNITION: Any = boto3.client("rekognition")


def handle(event: dict[str, Any], _context: object) -> dict[str, str]:
    image = {"Bytes": base64.b64decode(event["image"])}
    try:
        response = REKOGNITION.detect_moderation_labels(Image=image, MinConfidence=MIN_CONFIDENCE)
    except REKOGNITION.exceptions.InvalidParameterException:
        # Below 80 pixels, for example: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
        return {"decision": "hold", "reason": "Rekognition does not accept the image"}
    labels = response["ModerationLabels"]
    for decision, categories in (("reject", REJECTED), ("hold", HELD)):
        if any(label["Name"] in categories for label in labels):
            return {"decision": decision, "reason": _describe(labels)}
    return {"decision": "approve"}


def _describe(labels: list[dict[str, Any]]) -> str:
    return ", ".join(f"{label['Name']} {label['Confidence']:.0f}%" for label in labels)[:200]
