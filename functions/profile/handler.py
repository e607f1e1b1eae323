"""GET /profiles/{handle}, GET /profile and PUT /profile."""

import logging
import os

from functions.profile import handle_generator, profile_validation
from functions.profile.user_pool import UserPool
from functions.profile.users import HandleTakenError, User, Users
from functions.shared import http_api, storage_keys
from functions.shared.aws import clients, s3
from functions.shared.db import login, postgres

log = logging.getLogger()

S3 = clients.create("s3", read_timeout_seconds=1)
ASSETS_BUCKET = os.environ["ASSETS_BUCKET"]
# Aurora Serverless takes about 15 seconds to resume from a pause, and API Gateway waits for 30.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
USERS = Users(postgres.Database(login.from_environment(patience_seconds=20)))
USER_POOL = UserPool(os.environ["ISSUER"], os.environ.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"))

# A database that is not available after those 20 seconds is probably resuming and needs a few more.
RETRY_AFTER_SECONDS = 5


def handle(event: http_api.Event, _context: object) -> http_api.Reply:
    try:
        user = _ROUTES[event["routeKey"]](event)
    except http_api.ClientError as error:
        return error.reply
    except postgres.UnavailableError as error:
        log.error("database unavailable", extra={"reason": str(error)})
        retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
        return http_api.failure(503, "unavailable", "profiles cannot be reached; try again", headers=retry)
    return http_api.reply(200, {**user._asdict(), "avatar": _avatar(user.subject)})


def _public(event: http_api.Event) -> User:
    handle: str = event["pathParameters"]["handle"]
    user = USERS.with_handle(handle) if profile_validation.is_handle(handle) else None
    if user is None:
        raise http_api.ClientError(404, "not_found", "there is no such profile")
    return user


def _own(event: http_api.Event) -> User:
    return USERS.with_subject(http_api.subject(event)) or _first(event)


def _changed(event: http_api.Event) -> User:
    try:
        wanted = profile_validation.requested(http_api.json_object(event))
        while (user := USERS.update(http_api.subject(event), wanted)) is None:
            _first(event)
    except profile_validation.InvalidError as error:
        raise _invalid(error) from error
    except HandleTakenError as error:
        raise _invalid(profile_validation.InvalidError({"handle": "This handle is taken."})) from error
    return user


def _first(event: http_api.Event) -> User:
    """The profile of a caller who has none: two first requests at once come to the same."""
    subject = http_api.subject(event)
    name = USER_POOL.name(http_api.access_token(event))
    users = (USERS.create(subject, handle, name or handle) for handle in handle_generator.handles(name))
    return next(filter(None, users))


def _invalid(error: profile_validation.InvalidError) -> http_api.ClientError:
    return http_api.ClientError(422, "invalid_profile", str(error), error.fields)


def _avatar(subject: str) -> dict[str, object] | None:
    manifest = s3.get_json(S3, ASSETS_BUCKET, storage_keys.manifest_key(subject))
    return {name: manifest[name] for name in ("url", "updated_at", "images")} if manifest else None


_ROUTES = {"GET /profiles/{handle}": _public, "GET /profile": _own, "PUT /profile": _changed}
