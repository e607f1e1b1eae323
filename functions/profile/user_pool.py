"""The name that Cognito has for a user who has no profile yet.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetUser.html
"""

import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from functions.profile.profile_validation import sanitize_name
from functions.shared.aws import clients

log = logging.getLogger()

# A user waits, and can do without the name. The deadline is for the whole call: in a network without a route to Cognito
# the connect timeout would be spent on each address of its host.
DEADLINE_SECONDS = 2

# Not shown: what people sign in with (e-mail addresses, phone numbers) and UUIDs.
_NOT_A_NAME = re.compile(r"\S@\S|^[+\d\s().-]{7,}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)


class UserPool:
    def __init__(self, issuer: str, endpoint: str | None) -> None:
        """Requests go to the issuer's own host, or to `endpoint` if that is given."""
        issuer_url = urlsplit(issuer)
        self._cognito = clients.create(
            "cognito-idp",
            read_timeout_seconds=DEADLINE_SECONDS - clients.CONNECT_TIMEOUT_SECONDS,
            max_attempts=1,
            endpoint_url=endpoint or f"{issuer_url.scheme}://{issuer_url.netloc}",
        )
        self._executor = ThreadPoolExecutor(max_workers=1)

    def name(self, access_token: str) -> str | None:
        """A name to show for the token's user, or None.

        A function in a VPC may have no route to Cognito, and a token may lack the scope aws.cognito.signin.user.admin:
        the user gets a profile nevertheless.
        """
        call = self._executor.submit(self._cognito.get_user, AccessToken=access_token)  # needs no signature
        try:
            return _name_of(call.result(DEADLINE_SECONDS))
        except ClientError as error:
            reason, details = type(error).__name__, error.response["Error"]["Code"]  # the message may hold the token
        except (BotoCoreError, TimeoutError, ValueError, LookupError, TypeError, AttributeError) as error:
            # The last four are what botocore and _name_of raise for a body that is not a GetUser response.
            reason, details = type(error).__name__, str(error)
        call.cancel()
        log.info("no name from Cognito", extra={"reason": reason, "details": details})
        return None


def _name_of(user: Mapping[str, Any]) -> str | None:
    attributes = {attribute["Name"]: attribute["Value"] for attribute in user["UserAttributes"]}
    # The username of somebody who came through another provider is that provider's id for them.
    username = "" if "identities" in attributes else user["Username"]
    candidates = (attributes.get("name", ""), attributes.get("preferred_username", ""), username)
    return next(filter(None, map(_shown, candidates)), None)


def _shown(text: str) -> str:
    name = sanitize_name(text)
    return "" if _NOT_A_NAME.search(text) or _NOT_A_NAME.search(name) else name
