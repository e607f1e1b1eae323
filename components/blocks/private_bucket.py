"""A private S3 bucket."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from components.blocks import iam, validation


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    protect: bool = True
    """Sets `protect` and `retain_on_delete` on the bucket, and `retain_on_delete` on its configuration; without it,
    deleting the bucket also deletes its objects."""
    bucket_name: str | None = None
    """The physical name. None: auto-named by Pulumi."""
    expire_days: Sequence[tuple[str, int]] = ()
    """Pairs of a key prefix and the days after which its objects expire."""
    old_versions_days: int | None = None
    """Days after which noncurrent versions expire. None: the bucket is not versioned."""
    post_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may upload to the bucket with a form POST (CORS)."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            bucket_name=validation.optional(validation.BUCKET_NAME),
            old_versions_days=validation.optional(validation.integer_range(1, 365)),
            post_origins=validation.list_of(validation.ORIGIN),
        )


class PrivateBucket(pulumi.ComponentResource):
    """`avatars:index:PrivateBucket`

    Creates an S3 bucket with a public access block, ownership controls without ACLs, default encryption and lifecycle
    rules; with `old_versions_days` versioning, with `post_origins` a CORS configuration.

    The owner calls `attach_policy` once. It is a separate call because the policy of a CDN's origin names the
    distribution, which needs the bucket.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    regional_domain_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: PrivateBucketArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:PrivateBucket", name, None, opts)
        self._name = name
        # A bucket that is kept also keeps its access block, encryption, policy and lifecycle. They are not protected,
        # because some of them get replaced.
        self._retain = args.protect
        child_options = pulumi.ResourceOptions(parent=self, retain_on_delete=self._retain)

        self.bucket = s3.Bucket(
            name,
            bucket=args.bucket_name,
            force_destroy=not args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )
        self._access_block = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child_options,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=self.bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child_options,
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self.bucket.bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=_ENCRYPTION_DEFAULT
                )
            ],
            opts=child_options,
        )
        versioning = self._enable_versioning(child_options) if args.old_versions_days else None
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.bucket.bucket,
            rules=_build_lifecycle_rules(args),
            # S3 rejects rules for noncurrent versions until versioning is enabled.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=self._retain, depends_on=versioning),
        )
        if args.post_origins:
            s3.BucketCorsConfiguration(
                f"{name}-cors",
                bucket=self.bucket.bucket,
                cors_rules=[_build_cors_rule(args.post_origins)],
                opts=child_options,
            )

        self.bucket_name = self.bucket.bucket
        self.bucket_arn = self.bucket.arn
        self.regional_domain_name = self.bucket.bucket_regional_domain_name
        self.register_outputs(
            {
                "bucket_name": self.bucket_name,
                "bucket_arn": self.bucket_arn,
                "regional_domain_name": self.regional_domain_name,
            }
        )

    def attach_policy(self, *statements: iam.Statement) -> s3.BucketPolicy:
        """Creates the bucket policy: TLS only, and `statements`."""
        return s3.BucketPolicy(
            f"{self._name}-policy",
            bucket=self.bucket.bucket,
            policy=iam.policy_document(
                iam.deny_insecure_transport("s3:*", self.bucket_arn, pulumi.Output.concat(self.bucket_arn, "/*")),
                *statements,
            ),
            # S3 returns 409 for concurrent changes of a bucket's access: https://github.com/pulumi/pulumi-aws/issues/1570
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=self._retain, depends_on=self._access_block),
        )

    def _enable_versioning(self, child_options: pulumi.ResourceOptions) -> s3.BucketVersioning:
        return s3.BucketVersioning(
            f"{self._name}-versioning",
            bucket=self.bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child_options,
        )


# SSE-S3. SSE-KMS would need a key policy for the CDN and each function, and each read would be a paid KMS request.
_ENCRYPTION_DEFAULT = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
    sse_algorithm="AES256"
)


def _build_lifecycle_rules(args: PrivateBucketArgs) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    whole_bucket = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="abort-incomplete-multipart-uploads",
            status="Enabled",
            filter=whole_bucket,
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=1
            ),
        )
    ]
    rules += [
        s3.BucketLifecycleConfigurationRuleArgs(
            id=f"expire-{prefix.strip('/') or 'all'}",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
        )
        for prefix, days in args.expire_days
    ]
    if args.old_versions_days:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="expire-old-versions",
                status="Enabled",
                filter=whole_bucket,
                noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=args.old_versions_days
                ),
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            )
        )
    return rules


def _build_cors_rule(origins: Sequence[pulumi.Input[str]]) -> s3.BucketCorsConfigurationCorsRuleArgs:
    """A form POST has no preflight unless the page listens to upload progress.

    https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    return s3.BucketCorsConfigurationCorsRuleArgs(
        allowed_methods=["POST"],
        allowed_origins=origins,
        allowed_headers=["content-type"],
        max_age_seconds=3600,
    )
