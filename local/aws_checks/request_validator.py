"""WSGI middleware that validates requests before moto handles them."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from werkzeug.formparser import parse_form_data

from local.aws_checks import cors
from local.aws_checks.actions import (
    Permission,
    UnknownActionError,
    find_required_permissions,
    list_bucket_permission,
    parse_s3_path,
)
from local.aws_checks.post_policy import Form, PolicyError, verify_form
from local.aws_checks.principals import Principal, Principals
from local.aws_checks.signature import SignatureError, SignedRequest, is_signed, verify_signature
from local.aws_checks.token_revocation import RevokedTokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Operations that need no AWS credentials:
# https://docs.aws.amazon.com/cognito/latest/developerguide/authentication-flows-public-server-side.html
_COGNITO = "AWSCognitoIdentityProviderService"
_INITIATE_AUTH = f"{_COGNITO}.InitiateAuth"
_REFRESH_TOKENS = f"{_COGNITO}.GetTokensFromRefreshToken"
_PUBLIC_COGNITO = frozenset(
    f"{_COGNITO}.{operation}"
    for operation in ("InitiateAuth", "RespondToAuthChallenge", "SignUp", "ConfirmSignUp", "ForgotPassword",
                      "ConfirmForgotPassword", "ResendConfirmationCode", "GetUser", "RevokeToken",
                      "GetTokensFromRefreshToken")
)  # fmt: skip
_STATUS = {400: "400 Bad Request", 403: "403 Forbidden"}


class RequestValidator:
    """Forwards a request to `aws` only if AWS would accept it.

    `cors_rules` maps bucket names to the CORS rules that the program registers. `clock` is replaced in tests,
    and `aws` by a load run, which lets requests fail.
    """

    def __init__(self, aws: WSGIApplication, principals: Principals) -> None:
        self.aws = aws
        self._principals = principals
        self._revoked_tokens = RevokedTokens()
        self.cors_rules: dict[str, Sequence[cors.Rule]] = {}
        self.clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _read_request(environ)
        origin = request.headers.get("origin")
        if request.method == "OPTIONS" and origin:
            return self._respond_to_preflight(request, origin, start_response)
        respond = self._add_cors_headers(request, origin, start_response)
        try:
            hides_missing_keys = self._authorize(request, environ)
        except SignatureError as error:
            return _respond_with_error(request, error, respond)
        if request.headers.get("x-amz-target") == _REFRESH_TOKENS:
            request = _convert_to_initiate_auth(environ, request)
        if response := self._revoked_tokens.respond(request):
            status, body = response
            respond(status, [("Content-Type", "application/x-amz-json-1.1")])
            return [body]
        if hides_missing_keys is None:
            return self.aws(environ, respond)
        return self._forward_hiding_missing_keys(environ, request, hides_missing_keys, respond)

    def _authorize(self, request: SignedRequest, environ: WSGIEnvironment) -> Callable[[], bool] | None:
        """Authenticates and authorizes the request.

        For a role that reads an object, returns a function that tells whether S3 reports a missing key as 403, because
        the role may not list the bucket. It is called only for a missing key, as it records the permission as used.

        Raises:
            SignatureError: AWS would reject the request.
        """
        now = self.clock()
        if is_signed(request):
            principal, service = verify_signature(request, self._principals, now)
            if principal.statements is None:
                return None
            try:
                permissions = find_required_permissions(request, service)
            except UnknownActionError as error:
                raise SignatureError("AccessDenied", f"{principal.name} is not authorized: {error}") from error
            _require_permissions(principal, permissions)
            if service == "s3" and request.method in ("GET", "HEAD"):
                permission = list_bucket_permission(parse_s3_path(request.path).bucket)
                return lambda: not principal.is_allowed(permission.action, permission.resource, {})
            return None
        if request.headers.get("x-amz-target") in _PUBLIC_COGNITO or request.path.endswith("/.well-known/jwks.json"):
            return None
        if request.method == "POST" and request.headers.get("content-type", "").startswith("multipart/form-data"):
            form = _read_form(environ, request)
            principal = verify_form(form, self._principals, now)
            _require_permissions(
                principal, [Permission("s3:PutObject", f"arn:aws:s3:::{form.bucket}/{form.fields['key']}")]
            )
            return None
        raise SignatureError("AccessDenied", "Access Denied: the request has no credentials")

    def _forward_hiding_missing_keys(
        self,
        environ: WSGIEnvironment,
        request: SignedRequest,
        hides_missing_keys: Callable[[], bool],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        start: list[Any] = []

        def capture(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
            start[:] = [status, headers]
            return lambda _data: None

        body = b"".join(self.aws(environ, capture))
        if start[0].startswith("404") and hides_missing_keys():
            return _respond_with_error(request, SignatureError("AccessDenied", "Access Denied"), start_response)
        start_response(start[0], start[1])
        return [body]

    def _respond_to_preflight(
        self, request: SignedRequest, origin: str, start_response: StartResponse
    ) -> Iterable[bytes]:
        headers = cors.build_preflight_headers(
            self._find_cors_rules(request),
            origin,
            request.headers.get("access-control-request-method", ""),
            request.headers.get("access-control-request-headers", ""),
        )
        if headers is None:
            error = SignatureError("AccessForbidden", "CORSResponse: This CORS request is not allowed.")
            return _respond_with_error(request, error, start_response)
        start_response("200 OK", [*headers.items(), ("Content-Length", "0")])
        return []

    def _add_cors_headers(
        self, request: SignedRequest, origin: str | None, start_response: StartResponse
    ) -> StartResponse:
        if origin is None:
            return start_response
        rules = self._find_cors_rules(request)
        added = list(cors.build_response_headers(rules, origin, request.method).items())

        def respond(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, [*kept, *added])

        return respond  # pyright: ignore[reportReturnType] - matches both overloads of the protocol

    def _find_cors_rules(self, request: SignedRequest) -> Sequence[cors.Rule]:
        bucket = parse_s3_path(request.path).bucket
        return self.cors_rules.get(bucket, []) if bucket else cors.COGNITO_RULES


def _require_permissions(principal: Principal, permissions: Iterable[Permission]) -> None:
    for permission in permissions:
        if not principal.is_allowed(permission.action, permission.resource, permission.context):
            raise SignatureError(
                "AccessDenied",
                f"{principal.name} is not authorized to perform: {permission.action} on resource: "
                f"{permission.resource} because no identity-based policy allows the {permission.action} action",
            )


def _read_request(environ: WSGIEnvironment) -> SignedRequest:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if isinstance(value, str) and (name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH"))
    }
    path, _, query = environ["REQUEST_URI"].partition("?")
    return SignedRequest(environ["REQUEST_METHOD"], path, query, headers, body)


def _convert_to_initiate_auth(environ: WSGIEnvironment, request: SignedRequest) -> SignedRequest:
    """moto does not support GetTokensFromRefreshToken, which returns the same as InitiateAuth with a refresh token.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetTokensFromRefreshToken.html
    """
    given = json.loads(request.body)
    body = json.dumps(
        {
            "AuthFlow": "REFRESH_TOKEN_AUTH",
            "ClientId": given["ClientId"],
            "AuthParameters": {"REFRESH_TOKEN": given["RefreshToken"]},
        }
    ).encode()
    environ["HTTP_X_AMZ_TARGET"] = _INITIATE_AUTH
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)
    return replace(request, headers={**request.headers, "x-amz-target": _INITIATE_AUTH}, body=body)


def _read_form(environ: WSGIEnvironment, request: SignedRequest) -> Form:
    _, fields, files = parse_form_data(environ, stream_factory=_create_memory_stream)
    environ["wsgi.input"] = io.BytesIO(request.body)
    file = files.get("file")
    size = None if file is None else file.stream.seek(0, io.SEEK_END)
    return Form(parse_s3_path(request.path).bucket, {name.lower(): value for name, value in fields.items()}, size)


def _create_memory_stream(*_args: Any, **_kwargs: Any) -> io.BytesIO:
    return io.BytesIO()


def _respond_with_error(
    request: SignedRequest, error: SignatureError, start_response: StartResponse
) -> Iterable[bytes]:
    """Responds in the error format of the protocol: AWS JSON, REST-JSON, AWS query or REST-XML."""
    headers: list[tuple[str, str]] = []
    if request.path.startswith("/2015-03-31/functions/"):
        content_type = "application/json"
        headers = [("X-Amzn-ErrorType", f"{error.code.removesuffix('Exception')}Exception")]
        body = json.dumps({"Message": str(error)}).encode()
    elif "x-amz-target" in request.headers:
        content_type = "application/x-amz-json-1.0"
        body = json.dumps({"__type": error.code, "message": str(error)}).encode()
    else:
        content_type = "application/xml"
        text = f"<Code>{error.code}</Code><Message>{escape(str(error))}</Message>"
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error>{text}</Error>'.encode()
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = f"<ErrorResponse><Error><Type>Sender</Type>{text}</Error></ErrorResponse>".encode()
    status = _STATUS[error.status if isinstance(error, PolicyError) else 403]
    start_response(status, [*headers, ("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [] if request.method == "HEAD" else [body]
