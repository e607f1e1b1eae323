"""The example function of docs/moderation.md in a local stack, with a server in place of Rekognition."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from client.session import Session
from local.stack import LocalStack
from operations.moderation import list_held
from tests.fixtures import pictures
from tests.functions.servers import HttpStub
from tests.local.conftest import operate, sign_in, wait_until


@pytest.fixture
def stack(openid_stack: LocalStack) -> LocalStack:
    return openid_stack


def find(rekognition: HttpStub, *labels: tuple[str, str, float, int]) -> None:
    """Lets Rekognition find labels (name, parent, confidence, level), in the documented form of a response.

    https://docs.aws.amazon.com/rekognition/latest/APIReference/API_DetectModerationLabels.html#API_DetectModerationLabels_ResponseSyntax
    """
    rekognition.status = 200
    rekognition.body = json.dumps(
        {
            "ContentTypes": [],
            "ModerationLabels": [
                {"Confidence": confidence, "Name": name, "ParentName": parent, "TaxonomyLevel": level}
                for name, parent, confidence, level in labels
            ],
            "ModerationModelVersion": "7.0",
        }
    ).encode()


def upload(session: Session, photo: bytes, status: str) -> dict[str, Any]:
    """Uploads a photo, waits for that status, and returns it with its details."""
    form = session.request_form(photo, "image/jpeg")
    session.post(form, photo)
    wait_until(lambda: session.fetch_status(form["upload_id"])["status"] == status, f"the upload is {status}")
    return session.fetch_status(form["upload_id"])


def get_reasons(stack: LocalStack, upload_id: str) -> Sequence[str | None]:
    return [event.get("moderation_reason") for event in stack.receiver.events if event["upload_id"] == upload_id]


def test_image_without_labels_is_published(stack: LocalStack, rekognition: HttpStub, photo: bytes) -> None:
    find(rekognition)
    upload(sign_in(stack), photo, "ready")
    headers, body = rekognition.requests[-1]
    assert headers["x-amz-target"] == "RekognitionService.DetectModerationLabels"
    request = json.loads(body)
    assert request["MinConfidence"] == 60
    assert Image.open(io.BytesIO(base64.b64decode(request["Image"]["Bytes"]))).size == (512, 512)


def test_label_of_no_listed_category_is_published(stack: LocalStack, rekognition: HttpStub, photo: bytes) -> None:
    find(rekognition, ("Alcohol", "", 98.7, 1), ("Alcoholic Beverages", "Alcohol", 98.7, 2))
    upload(sign_in(stack), photo, "ready")


def test_explicit_image_is_rejected_with_its_labels(stack: LocalStack, rekognition: HttpStub, photo: bytes) -> None:
    find(rekognition, ("Explicit", "", 99.6, 1), ("Explicit Nudity", "Explicit", 99.6, 2))
    rejected = upload(sign_in(stack), photo, "rejected")
    assert rejected["reason"] == "not_allowed"
    wait_until(
        lambda: get_reasons(stack, rejected["upload_id"]) == ["Explicit 100%, Explicit Nudity 100%"],
        "the labels are announced",
    )


def test_violent_image_is_held(stack: LocalStack, rekognition: HttpStub, photo: bytes) -> None:
    session = sign_in(stack)
    find(rekognition, ("Violence", "", 71.2, 1), ("Weapons", "Violence", 71.2, 2))
    upload(session, photo, "held")
    (held,) = [held for held in list_held(operate(stack)) if held.subject == session.subject]
    assert held.reason == "Violence 71%, Weapons 71%"


def test_image_that_rekognition_does_not_accept_is_held(stack: LocalStack, rekognition: HttpStub) -> None:
    rekognition.status = 400
    rekognition.body = b'{"__type": "InvalidParameterException", "message": "Request has invalid parameters"}'
    small = pictures.encode(pictures.plain(20, 20), "JPEG")
    held = upload(sign_in(stack), small, "held")
    wait_until(
        lambda: get_reasons(stack, held["upload_id"]) == ["Rekognition does not accept the image"],
        "the reason is announced",
    )
