"""The Pulumi program: an AvatarService with the stack's configuration."""

import pulumi
import pulumi_aws as aws

from components.avatar_service import AvatarService
from components.configuration import StackConfig
from lambda_packages import build

config = StackConfig.load()
build.build_packages_once(config.service.functions)  # first, so that a failed build registers no resources
provider = aws.Provider(
    "aws",
    region=config.region,
    profile=config.profile,
    allowed_account_ids=config.allowed_account_ids or None,
    default_tags=aws.ProviderDefaultTagsArgs(tags=config.service.tags),
)
service = AvatarService("avatars", config.service, pulumi.ResourceOptions(providers=[provider]))

pulumi.export("apiUrl", service.api_url)
pulumi.export("cdnUrl", service.cdn_url)
pulumi.export("distributionId", service.distribution_id)
pulumi.export("avatarUrl", service.avatar_url)
pulumi.export("avatarUploadUrl", service.avatar_upload_url)
pulumi.export("uploadsBucket", service.uploads_bucket)
pulumi.export("assetsBucket", service.assets_bucket)
pulumi.export("topicArn", service.topic_arn)
pulumi.export("queueUrl", service.queue_url)
pulumi.export("deadLetterQueueUrl", service.dead_letter_queue_url)
pulumi.export("limitsTable", service.limits_table)
pulumi.export("sizes", config.service.sizes)
pulumi.export("eraseFunction", service.erase_function)
pulumi.export("functions", service.functions)
if service.undelivered_queue_url is not None:
    pulumi.export("undeliveredQueueUrl", service.undelivered_queue_url)
if service.user_pool_id is not None:
    pulumi.export("userPoolId", service.user_pool_id)
    pulumi.export("userPoolClientId", service.user_pool_client_id)
if service.profile_url is not None:
    pulumi.export("profileUrl", service.profile_url)
if service.migrate_function is not None:
    pulumi.export("migrateFunction", service.migrate_function)
