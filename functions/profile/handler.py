"""GET /profiles/{handle}, and GET, PUT and DELETE /profile."""

import logging
import os
from collections.abc import Mapping
from itertools import chain

from functions.profile import handle_generator, profile_validation
from functions.profile.reserved_handles import is_reserved
from functions.profile.user_pool import UserPool
from functions.profile.users import HandleTakenError, User, Users
from functions.shared import http_api, stored_avatar
from functions.shared.avatar_deletion import AvatarDeletion
from functions.shared.aws import clients
from functions.shared.db import login, postgres
from functions.shared.metrics import Metric, Metrics

log = logging.getLogger()

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
CDN_URL = os.environ["CDN_URL"]
AVATARS = AvatarDeletion(S3, uploads_bucket=os.environ["UPLOADS_BUCKET"], assets_bucket=ASSETS_BUCKET)
# A database that is awake accepts a connection within milliseconds. The first attempt to connect to a paused one starts
# to resume it, which takes about 15 seconds: requests that waited for it would each occupy an execution environment.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
USERS = Users(
    postgres.Database(login.from_environment(timeout_seconds=3)), hold_days=int(os.environ["HANDLE_HOLD_DAYS"])
)
METRICS = Metrics(os.environ["METRICS_SERVICE"])
ISSUER = os.environ["ISSUER"]  # empty: the names of new profiles are generated
USER_POOL = UserPool(ISSUER, os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")) if ISSUER else None

# A database that is not available after those seconds is probably resuming.
RETRY_AFTER_SECONDS = 5

# Anybody can request a public profile, and popular ones are requested often. A cache must not give one origin the CORS
# headers of another.
_PUBLIC_HEADERS = {"cache-control": "public, max-age=30", "vary": "origin"}


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    try:
        return _ROUTES[event["routeKey"]](event)
    except http_api.ClientError as error:
        return error.response
    except postgres.UnavailableError as error:
        counted = METRICS.embed(Metric("DatabaseUnavailable", "Count", 1))
        log.error("database unavailable", extra={"reason": str(error), **counted})
        retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
        return http_api.error_response(503, "unavailable", "profiles cannot be reached; try again", headers=retry)


def _get_public(event: http_api.Event) -> http_api.Response:
    handle: str = event["pathParameters"]["handle"]
    user = USERS.find_by_handle(handle) if profile_validation.is_handle(handle) else None
    if user is None:
        raise http_api.ClientError(404, "not_found", "there is no such profile")
    if user.handle != handle:
        # Relative to the path of the request, of which a custom domain may have more than this API.
        return http_api.response(301, {"handle": user.handle}, {**_PUBLIC_HEADERS, "location": f"./{user.handle}"})
    return _respond(user, _PUBLIC_HEADERS)


def _get_own(event: http_api.Event) -> http_api.Response:
    return _respond(USERS.find_by_subject(http_api.get_subject(event)) or _first(event))


def _put(event: http_api.Event) -> http_api.Response:
    try:
        wanted = profile_validation.parse_update(http_api.parse_json_object(event))
        subject = http_api.get_subject(event)
        if wanted.handle and is_reserved(wanted.handle):
            _require_own(subject, wanted.handle)
        while (user := USERS.update(subject, wanted)) is None:
            _first(event, wanted.handle)
    except profile_validation.InvalidProfileError as error:
        raise _invalid(error) from error
    except HandleTakenError as error:
        raise _invalid(profile_validation.InvalidProfileError({"handle": "This handle is taken."})) from error
    return _respond(user)


def _require_own(subject: str, handle: str) -> None:
    """Raise InvalidProfileError unless the subject has the reserved handle already, from before it was reserved."""
    user = USERS.find_by_subject(subject)
    if user is None or user.handle != handle:
        raise profile_validation.InvalidProfileError({"handle": "This handle is reserved."})


def _delete(event: http_api.Event) -> http_api.Response:
    """The avatar first: without the row, nobody could tell that it is left."""
    subject = http_api.get_subject(event)
    AVATARS.delete(subject)
    USERS.delete(subject)
    return http_api.no_content()


def _first(event: http_api.Event, wanted: str | None = None) -> User:
    """The profile of a caller who has none: two first requests at once come to the same.

    It has the handle `wanted`, if that is given and free.
    """
    subject = http_api.get_subject(event)
    name = USER_POOL.name(http_api.get_access_token(event)) if USER_POOL else None
    handles = chain([wanted] if wanted else [], handle_generator.generate_handles(name))
    users = (USERS.create(subject, handle, name or handle) for handle in handles)
    return next(filter(None, users))


def _invalid(error: profile_validation.InvalidProfileError) -> http_api.ClientError:
    return http_api.ClientError(422, "invalid_profile", str(error), error.fields)


def _respond(user: User, headers: Mapping[str, str] | None = None) -> http_api.Response:
    manifest = stored_avatar.read_avatar(S3, ASSETS_BUCKET, user.subject, CDN_URL)
    avatar = {name: manifest[name] for name in ("url", "updated_at", "images")} if manifest else None
    return http_api.response(200, {**user._asdict(), "avatar": avatar}, headers)


_ROUTES = {
    "GET /profiles/{handle}": _get_public,
    "GET /profile": _get_own,
    "PUT /profile": _put,
    "DELETE /profile": _delete,
}
