"""PrivateBucket, used alone."""

from __future__ import annotations

import pytest

from components.blocks.private_bucket import PrivateBucket, PrivateBucketArgs
from local.recording.graph import Graph
from tests.components.conftest import RunAlone, get_statements

BUCKET = "aws:s3/bucket:Bucket"


def record(run_alone: RunAlone, args: PrivateBucketArgs) -> Graph:
    return run_alone(lambda: PrivateBucket("data", args).attach_policy())


@pytest.fixture(scope="module")
def bucket(run_alone: RunAlone) -> Graph:
    return record(run_alone, PrivateBucketArgs())


def test_bucket_is_private_encrypted_and_tls_only(bucket: Graph) -> None:
    name = {"bucket": "data-abc1234"}
    assert bucket.named("data-public-access").inputs == {
        **name,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert bucket.named("data-ownership").inputs == {**name, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
    assert bucket.named("data-encryption").inputs == {
        **name,
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    }
    assert get_statements(bucket.named("data-policy").inputs["policy"]) == [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::data-abc1234", "arn:aws:s3:::data-abc1234/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_bucket_has_no_deprecated_inline_arguments(bucket: Graph) -> None:
    assert bucket.one(BUCKET).inputs == {"forceDestroy": False}


def test_policy_depends_on_public_access_block(bucket: Graph) -> None:
    assert bucket.named("data-public-access").urn in bucket.named("data-policy").dependencies


@pytest.mark.parametrize("protect", [True, False])
def test_what_guards_a_bucket_is_kept_with_it(run_alone: RunAlone, protect: bool) -> None:
    args = PrivateBucketArgs(protect=protect, old_versions_days=7, post_origins=["https://app.example.com"])
    graph = record(run_alone, args)
    kept = {resource.name: resource.retain_on_delete for resource in graph if resource.custom}
    suffixes = ("", "-public-access", "-ownership", "-encryption", "-versioning", "-lifecycle", "-cors", "-policy")
    assert kept == {f"data{suffix}": protect for suffix in suffixes}


@pytest.mark.parametrize("protect", [True, False])
def test_protect_applies_to_bucket_and_disables_force_destroy(run_alone: RunAlone, protect: bool) -> None:
    graph = record(run_alone, PrivateBucketArgs(protect=protect))
    found = graph.one(BUCKET)
    assert (found.protect, found.retain_on_delete) == (protect, protect)
    assert found.inputs["forceDestroy"] is not protect
    assert not [other.name for other in graph if other.protect and other is not found]


def test_bucket_name_given_is_used(run_alone: RunAlone) -> None:
    graph = record(run_alone, PrivateBucketArgs(bucket_name="given-name"))
    assert graph.one(BUCKET).inputs["bucket"] == "given-name"
    assert graph.one("avatars:index:PrivateBucket").component_outputs == {
        "bucket_name": "given-name",
        "bucket_arn": "arn:aws:s3:::given-name",
        "regional_domain_name": "given-name.s3.eu-west-1.amazonaws.com",
    }


def test_lifecycle_depends_on_versioning(run_alone: RunAlone) -> None:
    graph = record(run_alone, PrivateBucketArgs(old_versions_days=30))
    lifecycle = graph.named("data-lifecycle")
    assert graph.named("data-versioning").urn in lifecycle.dependencies
    assert lifecycle.inputs["rules"][-1]["noncurrentVersionExpiration"] == {"noncurrentDays": 30}


def test_lifecycle_without_versioning_has_no_version_rule(bucket: Graph) -> None:
    assert bucket.of_type("aws:s3/bucketVersioning:BucketVersioning") == []
    assert [rule["id"] for rule in bucket.named("data-lifecycle").inputs["rules"]] == [
        "abort-incomplete-multipart-uploads"
    ]


def test_attach_policy_twice_is_an_error(run_alone: RunAlone) -> None:
    def program() -> None:
        data = PrivateBucket("data", PrivateBucketArgs())
        data.attach_policy()
        data.attach_policy()

    with pytest.raises(Exception, match="duplicate URN"):
        run_alone(program)


def test_args_invalid_raises_value_error() -> None:
    with pytest.raises(ValueError, match=r"bucket_name is 'A';[^\n]*\n.*old_versions_days is 0"):
        PrivateBucketArgs(bucket_name="A", old_versions_days=0)
