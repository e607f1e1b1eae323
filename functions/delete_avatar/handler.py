"""DELETE /avatars/me: the caller has no avatar any more."""

import os

from functions.shared import http_api
from functions.shared.avatar_deletion import AvatarDeletion
from functions.shared.aws import clients

AVATARS = AvatarDeletion(
    clients.create("s3", read_timeout_seconds=1),
    uploads_bucket=os.environ["UPLOADS_BUCKET"],
    assets_bucket=os.environ["ASSETS_BUCKET"],
)


def handle(event: http_api.Event, _context: object) -> http_api.Response:
    AVATARS.delete(http_api.get_subject(event))
    return http_api.no_content()
