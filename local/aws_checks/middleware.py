"""The guard itself: WSGI middleware in front of moto's AWS endpoint."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from werkzeug.formparser import parse_form_data

from local.aws_checks import cors
from local.aws_checks.actions import Permission, UnknownActionError, list_permission, required_permissions, s3_target
from local.aws_checks.post_policy import Form, PolicyError, verify_form
from local.aws_checks.principals import Principal, Principals
from local.aws_checks.revocation import Revocations
from local.aws_checks.signature import SignatureError, SignedRequest, is_signed, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What a browser or an app calls without credentials:
# https://docs.aws.amazon.com/cognito/latest/developerguide/authentication-flows-public-server-side.html
_PUBLIC_COGNITO = frozenset(
    f"AWSCognitoIdentityProviderService.{operation}"
    for operation in ("InitiateAuth", "RespondToAuthChallenge", "SignUp", "ConfirmSignUp", "ForgotPassword",
                      "ConfirmForgotPassword", "ResendConfirmationCode", "GetUser", "RevokeToken")
)  # fmt: skip
_STATUS = {400: "400 Bad Request", 403: "403 Forbidden"}


class Guard:
    """Lets through to `aws` only what AWS would accept.

    `cors_rules` (bucket name to rules) is filled while the program's buckets are made.
    """

    def __init__(self, aws: WSGIApplication, principals: Principals) -> None:
        self._aws = aws
        self._principals = principals
        self._revocations = Revocations()
        self.cors_rules: dict[str, Sequence[cors.Rule]] = {}
        self.clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        origin = request.headers.get("origin")
        if request.method == "OPTIONS" and origin:
            return self._preflight(request, origin, start_response)
        respond = self._with_cors(request, origin, start_response)
        try:
            missing_key_is_hidden = self._admit(request, environ)
        except SignatureError as error:
            return _refuse(request, error, respond)
        if answered := self._revocations.answer(request):
            respond(answered[0], [("Content-Type", "application/x-amz-json-1.1")])
            return [answered[1]]
        if missing_key_is_hidden is None:
            return self._aws(environ, respond)
        return self._hiding_missing_keys(environ, request, missing_key_is_hidden, respond)

    def _admit(self, request: SignedRequest, environ: WSGIEnvironment) -> Callable[[], bool] | None:
        """Raises SignatureError for what AWS refuses.

        For a role that reads an object, gives the question whether a missing key must look forbidden to it.
        """
        now = self.clock()
        if is_signed(request):
            principal, service = verify(request, self._principals, now)
            if principal.statements is None:
                return None
            try:
                permissions = required_permissions(request, service)
            except UnknownActionError as error:
                raise SignatureError("AccessDenied", f"{principal.name} may not: {error}") from error
            _check(principal, permissions)
            if service == "s3" and request.method in ("GET", "HEAD"):
                listing = list_permission(s3_target(request.path).bucket)
                return lambda: not principal.may(listing.action, listing.resource, {})
            return None
        if request.headers.get("x-amz-target") in _PUBLIC_COGNITO or request.path.endswith("/.well-known/jwks.json"):
            return None
        if request.method == "POST" and request.headers.get("content-type", "").startswith("multipart/form-data"):
            form = _form(environ, request)
            principal = verify_form(form, self._principals, now)
            _check(principal, [Permission("s3:PutObject", f"arn:aws:s3:::{form.bucket}/{form.fields['key']}")])
            return None
        raise SignatureError("AccessDenied", "Access Denied: the request carries no credentials")

    def _hiding_missing_keys(
        self,
        environ: WSGIEnvironment,
        request: SignedRequest,
        hidden: Callable[[], bool],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        answer: list[Any] = []

        def hold(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
            answer[:] = [status, headers]
            return lambda _data: None

        body = b"".join(self._aws(environ, hold))
        if answer[0].startswith("404") and hidden():
            return _refuse(request, SignatureError("AccessDenied", "Access Denied"), start_response)
        start_response(answer[0], answer[1])
        return [body]

    def _preflight(self, request: SignedRequest, origin: str, start_response: StartResponse) -> Iterable[bytes]:
        headers = cors.preflight_headers(
            self._cors_rules_for(request),
            origin,
            request.headers.get("access-control-request-method", ""),
            request.headers.get("access-control-request-headers", ""),
        )
        if headers is None:
            refusal = SignatureError("AccessForbidden", "CORSResponse: This CORS request is not allowed.")
            return _refuse(request, refusal, start_response)
        start_response("200 OK", [*headers.items(), ("Content-Length", "0")])
        return []

    def _with_cors(self, request: SignedRequest, origin: str | None, start_response: StartResponse) -> StartResponse:
        if origin is None:
            return start_response
        rules = self._cors_rules_for(request)
        added = list(cors.response_headers(rules, origin, request.method).items())

        def respond(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, [*kept, *added])

        return respond  # pyright: ignore[reportReturnType] - the protocol's overloads say no more than this

    def _cors_rules_for(self, request: SignedRequest) -> Sequence[cors.Rule]:
        bucket = s3_target(request.path).bucket
        return self.cors_rules.get(bucket, []) if bucket else cors.COGNITO


def _check(principal: Principal, permissions: Iterable[Permission]) -> None:
    for permission in permissions:
        if not principal.may(permission.action, permission.resource, {}):
            raise SignatureError(
                "AccessDenied",
                f"{principal.name} is not authorized to perform: {permission.action} on resource: "
                f"{permission.resource} because no identity-based policy allows the {permission.action} action",
            )


def _read(environ: WSGIEnvironment) -> SignedRequest:
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


def _form(environ: WSGIEnvironment, request: SignedRequest) -> Form:
    _, fields, files = parse_form_data(environ, stream_factory=_memory_stream)
    environ["wsgi.input"] = io.BytesIO(request.body)
    file = files.get("file")
    size = None if file is None else file.stream.seek(0, io.SEEK_END)
    return Form(s3_target(request.path).bucket, {name.lower(): value for name, value in fields.items()}, size)


def _memory_stream(*_args: Any, **_kwargs: Any) -> io.BytesIO:
    return io.BytesIO()


def _refuse(request: SignedRequest, error: SignatureError, start_response: StartResponse) -> Iterable[bytes]:
    """An error as the service would write it: AWS JSON 1.x, or XML."""
    if "x-amz-target" in request.headers:
        content_type = "application/x-amz-json-1.0"
        body = json.dumps({"__type": error.code, "message": str(error)}).encode()
    else:
        content_type = "application/xml"
        text = f"<Code>{error.code}</Code><Message>{escape(str(error))}</Message>"
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error>{text}</Error>'.encode()
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = f"<ErrorResponse><Error><Type>Sender</Type>{text}</Error></ErrorResponse>".encode()
    status = _STATUS[error.status if isinstance(error, PolicyError) else 403]
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [] if request.method == "HEAD" else [body]
