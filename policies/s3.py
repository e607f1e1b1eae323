"""Amazon S3."""

from collections.abc import Callable, Sequence

from policies.documents import get_statements, is_public, list_actions, list_principals, requires_tls
from policies.rule import Props, Rule, get, has_one, is_one_of, is_true

BUCKET = "aws:s3/bucket:Bucket"
ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"

_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
_READ = {"Effect": "Allow", "Action": "s3:GetObject"}
_PUBLIC = {**_READ, "Principal": "*"}
_OF_CDN = {**_READ, "Principal": {"Service": "cloudfront.amazonaws.com"}}


def _beside(type_: str) -> tuple[tuple[str, str], ...]:
    return ((type_, "bucket"),)


def _default_encryption(*algorithms: str) -> Callable[[Props, Sequence[Props]], bool]:
    path = "applyServerSideEncryptionByDefault.sseAlgorithm"
    return lambda _, beside: any(get(rule, path) in algorithms for each in beside for rule in each["rules"])


def _encrypted_with(algorithm: str) -> Props:
    return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]}


def _is_public(policy: Props) -> bool:
    return any(is_public(statement) for statement in get_statements(policy))


def _is_locked_out(props: Props) -> bool:
    """Whether everyone, administrators included, is denied changes of the policy."""
    locking = {"*", "s3:*", "s3:Put*", "s3:PutBucketPolicy", "s3:*BucketPolicy"}
    return any(
        statement["Effect"] == "Deny"
        and not statement.get("Condition")
        and "*" in list_principals(statement)
        and locking & set(list_actions(statement))
        for statement in get_statements(props)
    )


RULES = (
    Rule(
        "AwsSolutions-S1 CKV_AWS_18",
        "Server access logs are on.",
        BUCKET,
        has_one,
        beside=_beside("aws:s3/bucketLogging:BucketLogging"),
        passes={},
        passes_beside=({"targetBucket": "logs"},),
        fails={},
        why_not="The CDN logs what is read, and the functions what they do, by user. Access logs of S3 would record "
        "the same again, and keep addresses of those who upload. For an audit of every access, use CloudTrail data "
        "events.",
    ),
    Rule(
        "AwsSolutions-S2",
        "Public access is blocked in every way.",
        BUCKET,
        lambda _, beside: any(all(each.get(block) for block in _BLOCKS) for each in beside),
        beside=_beside(ACCESS_BLOCK),
        passes={},
        passes_beside=(dict.fromkeys(_BLOCKS, True),),
        fails={},
        fails_beside=({**dict.fromkeys(_BLOCKS, True), "restrictPublicBuckets": False},),
    ),
    Rule(
        "CKV2_AWS_6",
        "There is a public access block.",
        BUCKET,
        lambda _, beside: any(each.get("blockPublicAcls") and each.get("blockPublicPolicy") for each in beside),
        beside=_beside(ACCESS_BLOCK),
        passes={},
        passes_beside=({"blockPublicAcls": True, "blockPublicPolicy": True},),
        fails={},
        fails_beside=({"blockPublicAcls": True},),
    ),
    *(
        Rule(id_, text, ACCESS_BLOCK, is_true(block), passes={block: True}, fails={block: False})
        for id_, text, block in (
            ("CKV_AWS_53", "New public ACLs are refused.", "blockPublicAcls"),
            ("CKV_AWS_54", "New public policies are refused.", "blockPublicPolicy"),
            ("CKV_AWS_55", "Existing public ACLs are ignored.", "ignorePublicAcls"),
            ("CKV_AWS_56", "A public policy allows nobody outside of the account.", "restrictPublicBuckets"),
        )
    ),
    Rule(
        "CKV_AWS_20",
        "No ACL lets everyone read.",
        BUCKET,
        lambda bucket: bucket.get("acl") not in ("public-read", "public-read-write", "website"),
        passes={"acl": "private"},
        fails={"acl": "public-read"},
    ),
    Rule(
        "CKV_AWS_57",
        "No ACL lets everyone write.",
        BUCKET,
        lambda bucket: bucket.get("acl") != "public-read-write",
        passes={"acl": "public-read"},
        fails={"acl": "public-read-write"},
    ),
    Rule(
        "CKV2_AWS_65",
        "ACLs are off.",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        is_one_of("rule.objectOwnership", "BucketOwnerEnforced"),
        passes={"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        fails={"rule": {"objectOwnership": "ObjectWriter"}},
    ),
    Rule(
        "AwsSolutions-S5",
        "A website is only readable through CloudFront.",
        BUCKET,
        lambda bucket, policies: not bucket.get("website") or (bool(policies) and not any(map(_is_public, policies))),
        beside=_beside(POLICY),
        passes={"website": {"indexDocument": "index.html"}},
        passes_beside=({"policy": {"Statement": _OF_CDN}},),
        fails={"website": {"indexDocument": "index.html"}},
        fails_beside=({"policy": {"Statement": _PUBLIC}},),
    ),
    Rule(
        "AwsSolutions-S10",
        "Requests without TLS are denied.",
        BUCKET,
        lambda _, policies: any(requires_tls(policy) for policy in policies),
        beside=_beside(POLICY),
        passes={},
        passes_beside=({"policy": {"Statement": [_TLS_ONLY]}},),
        fails={},
        fails_beside=({"policy": {"Statement": [_OF_CDN]}},),
    ),
    Rule(
        "CKV_AWS_379",
        "Requests without TLS are denied.",
        POLICY,
        requires_tls,
        passes={"policy": {"Statement": [_TLS_ONLY]}},
        fails={"policy": {"Statement": [{**_TLS_ONLY, "Effect": "Allow"}]}},
    ),
    Rule(
        "CKV_AWS_70",
        "No action is allowed to everyone.",
        POLICY,
        lambda policy: not _is_public(policy),
        passes={"policy": {"Statement": [_TLS_ONLY, _OF_CDN]}},
        fails={"policy": {"Statement": [_TLS_ONLY, _PUBLIC]}},
    ),
    Rule(
        "CKV_AWS_93",
        "Not everyone is denied changes of the policy.",
        POLICY,
        lambda policy: not _is_locked_out(policy),
        passes={"policy": {"Statement": [_TLS_ONLY]}},
        fails={"policy": {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*"}]}},
    ),
    Rule(
        "CKV_AWS_19",
        "Objects are encrypted at rest.",
        BUCKET,
        _default_encryption("AES256", "aws:kms", "aws:kms:dsse"),
        beside=_beside(ENCRYPTION),
        passes={},
        passes_beside=(_encrypted_with("AES256"),),
        fails={},
    ),
    Rule(
        "CKV_AWS_145",
        "Objects are encrypted with a KMS key.",
        BUCKET,
        _default_encryption("aws:kms", "aws:kms:dsse"),
        beside=_beside(ENCRYPTION),
        passes={},
        passes_beside=(_encrypted_with("aws:kms"),),
        fails={},
        fails_beside=(_encrypted_with("AES256"),),
        why_not="Objects are encrypted with keys of S3. With KMS, each of the CDN's reads would be a paid request, and "
        "the key's policy would have to name CloudFront and each function: decision 11.",
    ),
    Rule(
        "CKV_AWS_21",
        "Objects are versioned.",
        BUCKET,
        lambda _, beside: any(get(each, "versioningConfiguration.status") == "Enabled" for each in beside),
        beside=_beside("aws:s3/bucketVersioning:BucketVersioning"),
        passes={},
        passes_beside=({"versioningConfiguration": {"status": "Enabled"}},),
        fails={},
        fails_beside=({"versioningConfiguration": {"status": "Suspended"}},),
        why_not="The assets bucket is. Originals are deleted as soon as they are processed, because they have the "
        "place where a photo was taken: versions would keep them. Access logs are written once.",
    ),
    Rule(
        "CKV2_AWS_61",
        "There is a lifecycle configuration.",
        BUCKET,
        has_one,
        beside=_beside(LIFECYCLE),
        passes={},
        passes_beside=({"rules": []},),
        fails={},
    ),
    Rule(
        "CKV_AWS_300",
        "Incomplete multipart uploads are deleted.",
        LIFECYCLE,
        lambda props: any(
            rule.get("status") == "Enabled" and get(rule, "abortIncompleteMultipartUpload.daysAfterInitiation")
            for rule in props["rules"]
        ),
        passes={"rules": [{"status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1}}]},
        fails={"rules": [{"status": "Disabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1}}]},
    ),
    Rule(
        "CKV2_AWS_62",
        "There are event notifications.",
        BUCKET,
        has_one,
        beside=_beside("aws:s3/bucketNotification:BucketNotification"),
        passes={},
        passes_beside=({"queues": [{}]},),
        fails={},
        why_not="The uploads bucket has them. Nothing needs to know when an avatar or an access log is written.",
    ),
    Rule(
        "CKV_AWS_143",
        "Object Lock, if it is configured, is on.",
        BUCKET,
        lambda bucket: (
            "objectLockConfiguration" not in bucket
            or get(bucket, "objectLockConfiguration.objectLockEnabled") == "Enabled"
        ),
        passes={"objectLockConfiguration": {"objectLockEnabled": "Enabled"}},
        fails={"objectLockConfiguration": {}},
    ),
    Rule(
        "CKV_AWS_144",
        "Objects are replicated to another region.",
        BUCKET,
        has_one,
        beside=_beside("aws:s3/bucketReplicationConfig:BucketReplicationConfig"),
        passes={},
        passes_beside=({"rules": [{"status": "Enabled"}]},),
        fails={},
        why_not="S3 stores objects in at least three Availability Zones. A second region doubles the cost of what a "
        "user can upload again, and erasing a user would have to reach the replica.",
    ),
)
