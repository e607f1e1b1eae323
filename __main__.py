"""The Pulumi program: CDN, image pipeline, identity, upload API and profiles, from the stack's configuration."""

import pulumi
import pulumi_aws as aws

from components.assets_cdn import AssetsCdn, AssetsCdnArgs
from components.avatar_pipeline import AvatarPipeline, AvatarPipelineArgs
from components.blocks.custom_domain import find_zone
from components.config import StackConfig
from components.database.aurora import AuroraDatabase, AuroraDatabaseArgs
from components.database.external import ExternalDatabase, ExternalDatabaseArgs
from components.identity import Identity, IdentityArgs
from components.profile_api import ProfileApi, ProfileApiArgs
from components.profile_page import ProfilePage, ProfilePageArgs
from components.upload_api import UploadApi, UploadApiArgs
from components.web_assets import WebAssets, WebAssetsArgs

config = StackConfig.load()

provider = aws.Provider(
    "aws",
    region=config.region,
    profile=config.profile,
    allowed_account_ids=config.allowed_account_ids or None,
    default_tags=aws.ProviderDefaultTagsArgs(tags=config.tags),
)
aws_options = pulumi.ResourceOptions(providers=[provider])
zone = find_zone(config.domain, config.hosted_zone_id, pulumi.InvokeOptions(provider=provider))

cdn = AssetsCdn(
    "avatars-cdn",
    AssetsCdnArgs(
        allowed_origins=config.allowed_origins,
        domain=zone and zone.subdomain("assets"),
        bucket_name=config.assets_bucket_name,
        web_acl_arn=config.web_acl_arn,
        protect=config.protect_data,
        access_log_days=config.log_retention_days,
    ),
    aws_options,
)
origins = [*config.allowed_origins, cdn.base_url]
pipeline = AvatarPipeline(
    "avatars-pipeline",
    AvatarPipelineArgs(
        assets_bucket_name=cdn.bucket_name,
        assets_bucket_arn=cdn.bucket_arn,
        cdn_url=cdn.base_url,
        allowed_origins=origins,
        bucket_name=config.uploads_bucket_name,
        sizes=config.sizes,
        max_upload_bytes=config.max_upload_bytes,
        max_pixels=config.max_pixels,
        originals_days=config.originals_days,
        webhook_url=config.webhook_url,
        max_concurrency=config.max_concurrency,
        alarm_topic_arn=config.alarm_topic_arn,
        protect=config.protect_data,
        log_retention_days=config.log_retention_days,
    ),
    aws_options,
)
identity = Identity(
    "avatars-identity",
    IdentityArgs(
        user_pool_id=config.user_pool_id,
        client_id=config.user_pool_client_id,
        self_sign_up=config.self_sign_up,
        protect=config.protect_data,
    ),
    aws_options,
)
api = UploadApi(
    "avatars-api",
    UploadApiArgs(
        uploads_bucket_name=pipeline.uploads_bucket_name,
        uploads_bucket_arn=pipeline.uploads_bucket_arn,
        assets_bucket_name=cdn.bucket_name,
        assets_bucket_arn=cdn.bucket_arn,
        issuer=identity.issuer,
        client_id=identity.client_id,
        allowed_origins=origins,
        max_upload_bytes=config.max_upload_bytes,
        authorizer_cache_seconds=config.authorizer_cache_seconds,
        throttle_rate=config.throttle_rate,
        throttle_burst=config.throttle_burst,
        domain=zone and zone.subdomain("api"),
        log_retention_days=config.log_retention_days,
    ),
    aws_options,
)
web = WebAssets(
    "avatars-web",
    WebAssetsArgs(bucket_name=cdn.bucket_name, cdn_url=cdn.base_url, protect=config.protect_data),
    aws_options,
)
database = None
if config.database == "aurora":
    database = AuroraDatabase(
        "avatars-database",
        AuroraDatabaseArgs(assets_bucket_arn=cdn.bucket_arn, tags=config.tags, protect=config.protect_data),
        aws_options,
    )
elif config.database_url is not None:
    database = ExternalDatabase(
        "avatars-database",
        ExternalDatabaseArgs(
            url=config.database_url,
            subnet_ids=config.database_subnet_ids,
            security_group_ids=config.database_security_group_ids,
        ),
        aws_options,
    )
if database is not None:
    profiles = ProfileApi(
        "avatars-profiles",
        ProfileApiArgs(
            api=api,
            assets_bucket_name=cdn.bucket_name,
            assets_bucket_arn=cdn.bucket_arn,
            issuer=identity.issuer,
            database=database.app,
            migrations=database.owner,
            app_user=database.app_user,
            log_retention_days=config.log_retention_days,
        ),
        aws_options,
    )
    page = ProfilePage(
        "avatars-page",
        ProfilePageArgs(
            bucket_name=cdn.bucket_name,
            cdn_url=cdn.base_url,
            base_path=web.base_path,
            api_url=api.url,
            uploads_url=pipeline.uploads_url,
            sign_in_url=identity.sign_in_url,
            client_id=identity.client_id,
        ),
        aws_options,
    )
    pulumi.export("profileUrl", page.url)
    pulumi.export("migrateFunction", profiles.migrate_function_name)

pulumi.export("apiUrl", api.url)
pulumi.export("cdnUrl", cdn.base_url)
pulumi.export("distributionId", cdn.distribution_id)
pulumi.export("avatarUrl", pulumi.Output.concat(cdn.base_url, "/avatars/{subject}.jpg"))
pulumi.export("avatarUploadUrl", web.element_url)
pulumi.export("uploadsBucket", pipeline.uploads_bucket_name)
pulumi.export("assetsBucket", cdn.bucket_name)
pulumi.export("topicArn", pipeline.topic_arn)
pulumi.export("queueUrl", pipeline.queue_url)
pulumi.export("deadLetterQueueUrl", pipeline.dead_letter_queue_url)
pulumi.export("userPoolId", identity.user_pool_id)
pulumi.export("userPoolClientId", identity.client_id)
