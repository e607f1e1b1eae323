"""A signed-in user of a deployed or local stack."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import requests

_TIMEOUT_SECONDS = 30
_FIRST_POLL_SECONDS = 0.02
_MAX_POLL_SECONDS = 1.0


class ClientError(Exception):
    """The stack rejected a request, or its response does not match the API contract."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` is that of the API's response."""
        super().__init__(message)
        self.status = status


class UploadHeldError(ClientError):
    """A person has to look at the photo before it is published."""


@dataclass(frozen=True)
class Upload:
    """The result of an upload. Durations are in seconds."""

    upload_id: str
    avatar: Mapping[str, Any]
    """The manifest."""
    presigned: float
    """Until the presigned form was received."""
    posted: float
    """Until S3 accepted the photo."""
    processed: float
    """Until the API returned the status `ready`."""
    fetched: float
    """Until the largest picture was received from the CDN."""

    @property
    def total(self) -> float:
        return self.presigned + self.posted + self.processed + self.fetched


class Session:
    """A signed-in user."""

    def __init__(self, outputs: Mapping[str, Any], access_token: str) -> None:
        """`outputs` has `apiUrl`.

        Raises:
            ClientError: It has not.
        """
        _require(outputs, "apiUrl")
        self._api = outputs["apiUrl"].rstrip("/")
        self._http = requests.Session()
        self.access_token = access_token

    @classmethod
    def sign_in(cls, outputs: Mapping[str, Any], username: str, password: str) -> Self:
        """Signs in with Cognito. `outputs` has `apiUrl`, `userPoolId`, `userPoolClientId` and optionally
        `cognitoEndpoint`.

        Raises:
            ClientError: An output is missing, or Cognito rejects the user.
        """
        _require(outputs, "apiUrl", "userPoolId", "userPoolClientId")
        region = outputs["userPoolId"].partition("_")[0]
        endpoint = outputs.get("cognitoEndpoint") or f"https://cognito-idp.{region}.amazonaws.com"
        return cls(outputs, _sign_in(endpoint, outputs["userPoolClientId"], username, password))

    @functools.cached_property
    def subject(self) -> str:
        """The user as URLs and events have it, which for other issuers than Cognito is not the token's `sub`."""
        return self._request("GET", "/avatars/me").json()["subject"]  # also if there is no avatar

    def upload(self, photo: bytes, content_type: str, timeout: float = 60, *, finish: bool = True) -> Upload:
        """Uploads a photo, waits for the avatar and fetches it from the CDN. `timeout` is in seconds.

        With `finish`, the API is told that the photo was posted, instead of waiting for the queue.

        Raises:
            ClientError: The stack rejects the upload or the photo, or does not process it within `timeout`.
        """
        started = time.monotonic()
        form = self.request_form(photo, content_type)
        presigned = time.monotonic()
        self.post(form, photo)
        posted = time.monotonic()
        state = self._try_to_finish(form["upload_id"]) if finish else None
        avatar = self._await_avatar(form["upload_id"], state, posted + timeout)
        processed = time.monotonic()
        largest = avatar["images"][0]
        picture = self._http.get(largest["url"], timeout=_TIMEOUT_SECONDS)
        if picture.status_code != 200 or len(picture.content) != largest["bytes"]:
            raise ClientError(f"{largest['url']} returned {picture.status_code} with {len(picture.content)} bytes")
        return Upload(
            upload_id=form["upload_id"],
            avatar=avatar,
            presigned=presigned - started,
            posted=posted - presigned,
            processed=processed - posted,
            fetched=time.monotonic() - processed,
        )

    def request_form(self, photo: bytes, content_type: str) -> dict[str, Any]:
        """Returns a form for the photo, with its `upload_id`.

        Raises:
            ClientError: The API rejects the request.
        """
        return self._call("POST", "/avatars/key_upload", {"content_type": content_type, "size": len(photo)})

    def post(self, form: Mapping[str, Any], photo: bytes) -> None:
        """Posts the photo to S3.

        Raises:
            ClientError: S3 rejects it.
        """
        response = self._http.post(form["url"], data=form["fields"], files={"file": photo}, timeout=_TIMEOUT_SECONDS)
        if not response.ok:
            raise ClientError(f"the upload was rejected with status {response.status_code}: {response.text}")

    def finish(self, upload_id: str) -> dict[str, Any]:
        """Returns the `status` of an upload that was posted, which is processed now; `pending` if that is not possible.

        Raises:
            ClientError: The API rejects the request, for example because nothing was posted.
        """
        return self._call("POST", f"/avatars/uploads/{upload_id}/finish")

    def fetch_status(self, upload_id: str) -> dict[str, Any]:
        """Returns the `status` of an upload, with its `reason` or `avatar`.

        Raises:
            ClientError: The API rejects the request, for example because it does not know the upload.
        """
        return self._call("GET", f"/avatars/uploads/{upload_id}")

    def _try_to_finish(self, upload_id: str) -> dict[str, Any] | None:
        try:
            return self.finish(upload_id)
        except (ClientError, requests.RequestException):  # the queue processes the upload all the same
            return None

    def _await_avatar(self, upload_id: str, state: dict[str, Any] | None, deadline: float) -> dict[str, Any]:
        delay = _FIRST_POLL_SECONDS
        while True:
            state = state or self.fetch_status(upload_id)
            if state["status"] == "ready":
                return state["avatar"]
            if state["status"] == "rejected":
                raise ClientError(f"the photo was rejected: {state['reason']}")
            if state["status"] == "held":
                raise UploadHeldError(f"upload {upload_id} of {self.subject} is held until it is approved or rejected")
            if time.monotonic() > deadline:
                raise ClientError(f"upload {upload_id} is still pending; see the queue and its dead-letter queue")
            state = None
            time.sleep(delay)
            delay = min(delay * 1.3, _MAX_POLL_SECONDS)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._request(method, path, body)
        if not response.ok:
            raise ClientError(f"{method} {path} returned {response.status_code}: {response.text}", response.status_code)
        return response.json()

    def _request(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.access_token}"}
        return self._http.request(method, self._api + path, json=body, headers=headers, timeout=_TIMEOUT_SECONDS)


def _require(outputs: Mapping[str, Any], *names: str) -> None:
    if missing := [name for name in names if not outputs.get(name)]:
        raise ClientError(f"the outputs have no {', '.join(missing)}: they are not those of an avatars stack")


def _sign_in(endpoint: str, client_id: str, username: str, password: str) -> str:
    """https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html"""
    response = requests.post(
        endpoint,
        json={
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": client_id,
            "AuthParameters": {"USERNAME": username, "PASSWORD": password},
        },
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
        timeout=_TIMEOUT_SECONDS,
    )
    document = response.json()
    if not response.ok:
        raise ClientError(f"{username} cannot sign in: {document.get('message', document)}")
    if "AuthenticationResult" not in document:
        raise ClientError(f"{username} cannot sign in: Cognito requires the challenge {document.get('ChallengeName')}")
    return document["AuthenticationResult"]["AccessToken"]
