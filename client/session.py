"""A signed-in user of one stack, known by the stack's outputs alone: works the same for a deployed and a local one."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

_TIMEOUT_SECONDS = 30
_FIRST_POLL_SECONDS = 0.02
_SLOWEST_POLL_SECONDS = 1.0


class ClientError(Exception):
    """The stack refused, or did not answer as its contract says."""


@dataclass(frozen=True)
class Upload:
    """One photo's way through a stack. Durations in seconds."""

    upload_id: str
    avatar: Mapping[str, Any]
    """The manifest."""
    presigned: float
    """Asking for the upload form."""
    posted: float
    """Sending the photo."""
    processed: float
    """From the photo's arrival until the API called it ready."""
    fetched: float
    """Fetching the largest picture from the CDN."""

    @property
    def total(self) -> float:
        return self.presigned + self.posted + self.processed + self.fetched


class Session:
    """Signs in on creation. `outputs` has `apiUrl`, `userPoolId`, `userPoolClientId` and maybe `cognitoEndpoint`."""

    def __init__(self, outputs: Mapping[str, Any], username: str, password: str) -> None:
        """Raises ClientError when an output is missing or the sign-in fails."""
        missing = [name for name in ("apiUrl", "userPoolId", "userPoolClientId") if not outputs.get(name)]
        if missing:
            raise ClientError(f"the outputs lack {', '.join(missing)}: are they those of an avatars stack?")
        self._api = outputs["apiUrl"].rstrip("/")
        self._http = requests.Session()
        region = outputs["userPoolId"].partition("_")[0]
        endpoint = outputs.get("cognitoEndpoint") or f"https://cognito-idp.{region}.amazonaws.com"
        self.access_token = self._sign_in(endpoint, outputs["userPoolClientId"], username, password)

    @property
    def subject(self) -> str:
        """The user's id. Read from the token without verifying it: it only names what this user made."""
        payload = self.access_token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]

    def upload(self, photo: bytes, content_type: str, timeout: float = 60) -> Upload:
        """Takes a photo all the way to the CDN. Raises ClientError with the reason when it is refused or rejected."""
        started = time.monotonic()
        form = self._call("POST", "/avatars/key_upload", {"content_type": content_type, "size": len(photo)})
        presigned = time.monotonic()
        answer = self._http.post(
            form["url"], data=form["fields"], files={"file": photo}, timeout=_TIMEOUT_SECONDS
        )  # fmt: skip
        if not answer.ok:
            raise ClientError(f"the upload was refused with status {answer.status_code}: {answer.text}")
        posted = time.monotonic()
        avatar = self._await_avatar(form["upload_id"], posted + timeout)
        processed = time.monotonic()
        largest = avatar["images"][0]
        picture = self._http.get(largest["url"], timeout=_TIMEOUT_SECONDS)
        if picture.status_code != 200 or len(picture.content) != largest["bytes"]:
            raise ClientError(f"{largest['url']} answered {picture.status_code} with {len(picture.content)} bytes")
        return Upload(
            upload_id=form["upload_id"],
            avatar=avatar,
            presigned=presigned - started,
            posted=posted - presigned,
            processed=processed - posted,
            fetched=time.monotonic() - processed,
        )

    def _await_avatar(self, upload_id: str, deadline: float) -> dict[str, Any]:
        pause = _FIRST_POLL_SECONDS
        while True:
            state = self._call("GET", f"/avatars/uploads/{upload_id}")
            if state["status"] == "ready":
                return state["avatar"]
            if state["status"] == "rejected":
                raise ClientError(f"the photo was rejected: {state['reason']}")
            if time.monotonic() > deadline:
                raise ClientError(f"upload {upload_id} is still pending; the queue or its dead-letter queue knows why")
            time.sleep(pause)
            pause = min(pause * 1.3, _SLOWEST_POLL_SECONDS)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.access_token}"}
        answer = self._http.request(method, self._api + path, json=body, headers=headers, timeout=_TIMEOUT_SECONDS)
        if not answer.ok:
            raise ClientError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def _sign_in(self, endpoint: str, client_id: str, username: str, password: str) -> str:
        """https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html"""
        answer = self._http.post(
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
        document = answer.json()
        if not answer.ok:
            raise ClientError(f"{username} cannot sign in: {document.get('message', document)}")
        if "AuthenticationResult" not in document:
            raise ClientError(f"{username} cannot sign in here: Cognito asks for {document.get('ChallengeName')} first")
        return document["AuthenticationResult"]["AccessToken"]
