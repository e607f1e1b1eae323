"""What Cognito knows of a user who asks for a profile for the first time.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetUser.html
"""

import json
import logging
import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from functions.profile.profile_validation import sanitize_name
from functions.shared.aws.kept_connection import KeptConnection

log = logging.getLogger()

# A user waits, and can do without: they change their name when they like.
_TIMEOUT_SECONDS = 2
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSCognitoIdentityProviderService.GetUser",
}

# What people sign in with and may not want to show: e-mail addresses and phone numbers. UUIDs are no names either.
_NOT_A_NAME = re.compile(r"\S@\S|^[+\d\s().-]{7,}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)


class UserPool:
    def __init__(self, issuer: str, endpoint: str | None) -> None:
        """Asked at the issuer's own host, at `endpoint` instead if that is given."""
        self._url = endpoint or issuer

    def name(self, access_token: str) -> str | None:
        """A name to show for the token's user; None if there is none, or none can be had.

        A function in a VPC has no way to Cognito, and a token may lack the scope aws.cognito.signin.user.admin:
        nobody is refused a profile for that.
        """
        try:
            return _name_of(self._get_user(access_token))
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.info("no name to be had", extra={"reason": type(error).__name__, "details": str(error)})
            return None

    def _get_user(self, access_token: str) -> Mapping[str, Any]:
        body = json.dumps({"AccessToken": access_token}).encode()
        with closing(KeptConnection(self._url)) as connection:
            answer = connection.request("POST", "/", _HEADERS, body, timeout_seconds=_TIMEOUT_SECONDS)
        if answer.status != 200:
            raise LookupError(f"GetUser answered {answer.status}")
        return json.loads(answer.body)


def _name_of(user: Mapping[str, Any]) -> str | None:
    attributes = {attribute["Name"]: attribute["Value"] for attribute in user["UserAttributes"]}
    # The username of somebody who came through another provider is that provider's id for them.
    username = "" if "identities" in attributes else user["Username"]
    candidates = (attributes.get("name", ""), attributes.get("preferred_username", ""), username)
    return next(filter(None, map(_shown, candidates)), None)


def _shown(text: str) -> str:
    name = sanitize_name(text)
    return "" if _NOT_A_NAME.search(text) or _NOT_A_NAME.search(name) else name
