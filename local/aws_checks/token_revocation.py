"""The RevokeToken operation of Cognito, which moto does not implement.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
"""

from __future__ import annotations

import json

from local.aws_checks.signature import SignedRequest

_SERVICE = "AWSCognitoIdentityProviderService."


class RevokedTokens:
    """Rejects InitiateAuth with a refresh token that was revoked."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()

    def respond(self, request: SignedRequest) -> tuple[str, bytes] | None:
        """Returns the status line and the body of the response, or None if moto handles the request."""
        operation = request.headers.get("x-amz-target", "").removeprefix(_SERVICE)
        if operation == "RevokeToken":
            self._revoked.add(json.loads(request.body)["Token"])
            return "200 OK", b"{}"
        if operation == "InitiateAuth" and self._is_revoked(json.loads(request.body)):
            error = {"__type": "NotAuthorizedException", "message": "Refresh Token has been revoked"}
            return "400 Bad Request", json.dumps(error).encode()
        return None

    def _is_revoked(self, initiation: dict[str, dict[str, str]]) -> bool:
        return initiation.get("AuthParameters", {}).get("REFRESH_TOKEN") in self._revoked
