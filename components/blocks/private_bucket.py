"""A bucket that nobody outside the account can be given by mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from components.blocks import iam, validation


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """What differs between buckets; that they are private, encrypted and TLS-only does not."""

    protect: bool = True
    """Whether Pulumi refuses to delete the bucket, and keeps it when it leaves the program."""
    bucket_name: str | None = None
    """The physical name; made up by Pulumi, unique, when not given."""
    expire_days: Sequence[tuple[str, int]] = ()
    """Pairs of a key prefix and the days after which what is below it is deleted."""
    old_versions_days: int | None = None
    """Days an overwritten or deleted object can be brought back. None: the bucket keeps no versions."""
    post_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may POST forms to the bucket."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            bucket_name=validation.optional(validation.BUCKET_NAME),
            old_versions_days=validation.optional(validation.whole_number(1, 365)),
            post_origins=validation.each(validation.ORIGIN),
        )


class PrivateBucket(pulumi.ComponentResource):
    """`avatars:index:PrivateBucket`

    Its owner calls `attach_policy` once, when it knows who else may use the bucket: for a CDN's origin that is after
    the distribution, which needs the bucket.

    Makes: the bucket, public access block, ownership controls, encryption, lifecycle, and as asked for versioning and
    CORS; `attach_policy` makes the policy.
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
        child = pulumi.ResourceOptions(parent=self)

        self._bucket = s3.Bucket(
            name,
            bucket=args.bucket_name,
            force_destroy=not args.protect,
            # On the bucket itself: a component hands both down to all its children, and some of those are replaced.
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )
        self._access_block = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=self._bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=self._bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self._bucket.bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=_ENCRYPTION_DEFAULT
                )
            ],
            opts=child,
        )
        versioning = self._keep_versions(child) if args.old_versions_days else None
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self._bucket.bucket,
            rules=_lifecycle_rules(args),
            # A rule about old versions is refused by a bucket that keeps none yet.
            opts=pulumi.ResourceOptions(parent=self, depends_on=versioning),
        )
        if args.post_origins:
            s3.BucketCorsConfiguration(
                f"{name}-cors",
                bucket=self._bucket.bucket,
                cors_rules=[_form_posts_from(args.post_origins)],
                opts=child,
            )

        self.bucket_name = self._bucket.bucket
        self.bucket_arn = self._bucket.arn
        self.regional_domain_name = self._bucket.bucket_regional_domain_name
        self.register_outputs(
            {
                "bucket_name": self.bucket_name,
                "bucket_arn": self.bucket_arn,
                "regional_domain_name": self.regional_domain_name,
            }
        )

    def attach_policy(self, *statements: iam.Statement) -> s3.BucketPolicy:
        """Gives the bucket its one policy: TLS only, and the statements."""
        return s3.BucketPolicy(
            f"{self._name}-policy",
            bucket=self._bucket.bucket,
            policy=iam.policy(
                iam.tls_only("s3:*", self.bucket_arn, pulumi.Output.concat(self.bucket_arn, "/*")),
                *statements,
            ),
            # S3 answers 409 to two changes of a bucket's access at once: https://github.com/pulumi/pulumi-aws/issues/1570
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._access_block),
        )

    def _keep_versions(self, child: pulumi.ResourceOptions) -> s3.BucketVersioning:
        return s3.BucketVersioning(
            f"{self._name}-versioning",
            bucket=self._bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )


# Keys managed by S3. With keys of KMS the CDN and the functions would each need to be let in by a key policy too, and
# objects read would be paid requests to KMS.
_ENCRYPTION_DEFAULT = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
    sse_algorithm="AES256"
)


def _lifecycle_rules(
    args: PrivateBucketArgs,
) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    whole_bucket = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    rules_ = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="abort-incomplete-multipart-uploads",
            status="Enabled",
            filter=whole_bucket,
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=1
            ),
        )
    ]
    rules_ += [
        s3.BucketLifecycleConfigurationRuleArgs(
            id=f"expire-{prefix.strip('/') or 'all'}",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
        )
        for prefix, days in args.expire_days
    ]
    if args.old_versions_days:
        rules_.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="expire-old-versions",
                status="Enabled",
                filter=whole_bucket,
                noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=args.old_versions_days
                ),
                # A delete marker with nothing behind it says only that there once was something.
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            )
        )
    return rules_


def _form_posts_from(
    origins: Sequence[pulumi.Input[str]],
) -> s3.BucketCorsConfigurationCorsRuleArgs:
    """A form post needs no preflight, until the page watches the upload's progress.

    https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    return s3.BucketCorsConfigurationCorsRuleArgs(
        allowed_methods=["POST"],
        allowed_origins=origins,
        allowed_headers=["content-type"],
        max_age_seconds=3600,
    )
