"""The processor of uploads, with its clients and settings, from the environment variables of a function."""

import os
from collections.abc import Callable
from functools import partial

from functions.process_avatar.imaging.rendition import Rendition
from functions.process_avatar.moderation import Moderation
from functions.process_avatar.process_upload import UploadProcessor
from functions.process_avatar.quota import Quota
from functions.process_avatar.topic import Topic
from functions.shared import user_block
from functions.shared.aws import clients
from functions.shared.metrics import Metrics


def create_uploads(
    render: Callable[..., Rendition],
    *,
    read_timeout_seconds: float,
    moderation_timeout_seconds: float,
    max_attempts: int = clients.MAX_ATTEMPTS,
) -> UploadProcessor:
    """`render` is that of a RenderProcess, which imports the decoders while the clients are created.

    Raises:
        KeyError: A variable is not set.
    """

    def get_region(arn: str) -> str:
        return arn.split(":")[3]  # arn:partition:service:region:account:...

    s3 = clients.create("s3", read_timeout_seconds=read_timeout_seconds, max_attempts=max_attempts)
    topic_arn = os.environ["TOPIC_ARN"]
    sns = clients.create(
        "sns", read_timeout_seconds=read_timeout_seconds, max_attempts=max_attempts, region=get_region(topic_arn)
    )
    dynamodb = clients.create("dynamodb", read_timeout_seconds=read_timeout_seconds, max_attempts=max_attempts)
    uploads_bucket, limits_table = os.environ["UPLOADS_BUCKET"], os.environ["LIMITS_TABLE"]
    moderation_arn = os.environ["MODERATION_FUNCTION_ARN"]
    moderation_client = None
    if moderation_arn:
        moderation_client = clients.create(
            "lambda",
            read_timeout_seconds=moderation_timeout_seconds,
            max_attempts=1,
            region=get_region(moderation_arn),
        )
    return UploadProcessor(
        s3=s3,
        uploads_bucket=uploads_bucket,
        assets_bucket=os.environ["ASSETS_BUCKET"],
        topic=Topic(sns, topic_arn),
        render=render,
        cdn_url=os.environ["CDN_URL"],
        sizes=tuple(int(size) for size in os.environ["SIZES"].split(",")),
        max_pixels=int(os.environ["MAX_PIXELS"]),
        max_upload_bytes=int(os.environ["MAX_UPLOAD_BYTES"]),
        quota=Quota(dynamodb, limits_table, int(os.environ["UPLOADS_PER_HOUR"])),
        read_block_end=partial(user_block.read_end, dynamodb, limits_table),
        moderation=Moderation(moderation_client, moderation_arn, s3, uploads_bucket),
        metrics=Metrics(os.environ["METRICS_SERVICE"]),
    )
