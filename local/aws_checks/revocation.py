"""Cognito's RevokeToken, which moto lacks: a refresh token that was revoked gives no more access tokens.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
"""

from __future__ import annotations

import json

from local.aws_checks.signature import SignedRequest

_SERVICE = "AWSCognitoIdentityProviderService."


class Revocations:
    def __init__(self) -> None:
        self._revoked: set[str] = set()

    def answer(self, request: SignedRequest) -> tuple[str, bytes] | None:
        """Status line and body; None for every request that is moto's to answer."""
        operation = request.headers.get("x-amz-target", "").removeprefix(_SERVICE)
        if operation == "RevokeToken":
            self._revoked.add(json.loads(request.body)["Token"])
            return "200 OK", b"{}"
        if operation == "InitiateAuth" and self._is_revoked(json.loads(request.body)):
            refusal = {"__type": "NotAuthorizedException", "message": "Refresh Token has been revoked"}
            return "400 Bad Request", json.dumps(refusal).encode()
        return None

    def _is_revoked(self, initiation: dict[str, dict[str, str]]) -> bool:
        return initiation.get("AuthParameters", {}).get("REFRESH_TOKEN") in self._revoked
