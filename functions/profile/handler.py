"""GET /profiles/{handle}, GET /profile and PUT /profile."""

import logging
import os

from functions.profile import handle_generator, profile_validation
from functions.profile.user_pool import UserPool
from functions.profile.users import HandleTakenError, User, Users
from functions.shared import http_api, stored_avatar
from functions.shared.aws import clients
from functions.shared.db import login, postgres

log = logging.getLogger()

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
CDN_URL = os.environ["CDN_URL"]
# A database that is awake accepts a connection within milliseconds. The first attempt to connect to a paused one starts
# to resume it, which takes about 15 seconds: requests that waited for it would each occupy an execution environment.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
USERS = Users(postgres.Database(login.from_environment(timeout_seconds=3)))
USER_POOL = UserPool(os.environ["ISSUER"], os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"))

# A database that is not available after those seconds is probably resuming.
RETRY_AFTER_SECONDS = 5

# Anybody can request a public profile, and popular ones are requested often. A cache must not give one origin the CORS
# headers of another.
_PUBLIC_HEADERS = {"cache-control": "public, max-age=30", "vary": "origin"}


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    try:
        user = _ROUTES[event["routeKey"]](event)
    except http_api.ClientError as error:
        return error.response
    except postgres.UnavailableError as error:
        log.error("database unavailable", extra={"reason": str(error)})
        retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
        return http_api.error_response(503, "unavailable", "profiles cannot be reached; try again", headers=retry)
    headers = _PUBLIC_HEADERS if event["routeKey"] == _PUBLIC_ROUTE else None
    return http_api.response(200, {**user._asdict(), "avatar": _avatar(user.subject)}, headers)


def _public(event: http_api.Event) -> User:
    handle: str = event["pathParameters"]["handle"]
    user = USERS.find_by_handle(handle) if profile_validation.is_handle(handle) else None
    if user is None:
        raise http_api.ClientError(404, "not_found", "there is no such profile")
    return user


def _own(event: http_api.Event) -> User:
    return USERS.find_by_subject(http_api.get_subject(event)) or _first(event)


def _changed(event: http_api.Event) -> User:
    try:
        wanted = profile_validation.parse_update(http_api.parse_json_object(event))
        while (user := USERS.update(http_api.get_subject(event), wanted)) is None:
            _first(event)
    except profile_validation.InvalidProfileError as error:
        raise _invalid(error) from error
    except HandleTakenError as error:
        raise _invalid(profile_validation.InvalidProfileError({"handle": "This handle is taken."})) from error
    return user


def _first(event: http_api.Event) -> User:
    """The profile of a caller who has none: two first requests at once come to the same."""
    subject = http_api.get_subject(event)
    name = USER_POOL.name(http_api.get_access_token(event))
    users = (USERS.create(subject, handle, name or handle) for handle in handle_generator.generate_handles(name))
    return next(filter(None, users))


def _invalid(error: profile_validation.InvalidProfileError) -> http_api.ClientError:
    return http_api.ClientError(422, "invalid_profile", str(error), error.fields)


def _avatar(subject: str) -> dict[str, object] | None:
    manifest = stored_avatar.read_avatar(S3, ASSETS_BUCKET, subject, CDN_URL)
    return {name: manifest[name] for name in ("url", "updated_at", "images")} if manifest else None


_PUBLIC_ROUTE = "GET /profiles/{handle}"
_ROUTES = {_PUBLIC_ROUTE: _public, "GET /profile": _own, "PUT /profile": _changed}
