"""AvatarPipeline, used alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from components.avatar_pipeline import AvatarPipeline, AvatarPipelineArgs
from functions.process_avatar.imaging import subprocess_decoder
from lambda_packages.build import Package
from local.recording.recorder import Graph
from tests.components.conftest import ACCOUNT, REGION, RunAlone, arn, document

UPLOADS_ARN = "arn:aws:s3:::pipeline-uploads-abc1234"
ASSETS_ARN = "arn:aws:s3:::their-assets"
QUEUE_ARN = arn("sqs", "pipeline-queue-abc1234")
DEAD_LETTERS_ARN = arn("sqs", "pipeline-dead-letters-abc1234")
TOPIC_ARN = arn("sns", "pipeline-events-abc1234")
UNDELIVERED_ARN = arn("sqs", "pipeline-undelivered-abc1234")
QUEUE = "aws:sqs/queue:Queue"
FUNCTION = "aws:lambda/function:Function"
SQS = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"


def args(built: Mapping[str, Package], **settings: Any) -> AvatarPipelineArgs:
    given: dict[str, Any] = {
        "packages": built,
        "assets_bucket_name": "their-assets",
        "assets_bucket_arn": ASSETS_ARN,
        "cdn_url": "https://cdn.example.com",
    }
    return AvatarPipelineArgs(**{**given, **settings})


@pytest.fixture(scope="module")
def pipeline(run_alone: RunAlone, packages: dict[str, Package]) -> Graph:
    return run_alone(lambda: AvatarPipeline("pipeline", args(packages)))


def test_originals_and_rejections_expire_and_nothing_half_uploaded_stays(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, originals_days=3)))
    rules = graph.named("pipeline-uploads-lifecycle").inputs["rules"]
    assert {rule["filter"]["prefix"]: rule.get("expiration") for rule in rules} == {
        "": None,
        "incoming/": {"days": 3},
        "rejected/": {"days": 3},
    }
    assert rules[0]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}


def test_pages_of_the_allowed_origins_may_post_and_nothing_else(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, allowed_origins=["https://app.example.com"])))
    assert graph.named("pipeline-uploads-cors").inputs["corsRules"] == [
        {
            "allowedMethods": ["POST"],
            "allowedOrigins": ["https://app.example.com"],
            "allowedHeaders": ["content-type"],
            "maxAgeSeconds": 3600,
        }
    ]


def test_without_origins_no_page_may_post(pipeline: Graph) -> None:
    assert pipeline.of_type("aws:s3/bucketCorsConfiguration:BucketCorsConfiguration") == []


def test_every_way_an_original_comes_into_being_is_noticed_and_nothing_the_function_writes(pipeline: Graph) -> None:
    """Multipart uploads and copies as well as plain ones; under the incoming prefix alone, or it would feed itself."""
    notification = pipeline.one("aws:s3/bucketNotification:BucketNotification")
    assert notification.inputs == {
        "bucket": "pipeline-uploads-abc1234",
        "queues": [
            {
                "id": "uploaded",
                "queueArn": QUEUE_ARN,
                "events": ["s3:ObjectCreated:*"],
                "filterPrefix": "incoming/",
            }
        ],
    }
    assert pipeline.named("pipeline-queue-policy").urn in notification.dependencies


def test_only_this_bucket_of_this_account_may_send_to_the_queue(pipeline: Graph) -> None:
    assert document(pipeline.named("pipeline-queue-policy").inputs["policy"]) == [
        tls_only("sqs:*", QUEUE_ARN),
        {
            "Sid": "BucketEvents",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": QUEUE_ARN,
            "Condition": {
                "ArnEquals": {"aws:SourceArn": UPLOADS_ARN},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        },
    ]


def test_a_message_that_keeps_failing_goes_to_the_dead_letter_queue(pipeline: Graph) -> None:
    queue = dict(pipeline.one(QUEUE, "pipeline-queue").inputs)
    assert json.loads(queue.pop("redrivePolicy")) == {"deadLetterTargetArn": DEAD_LETTERS_ARN, "maxReceiveCount": 5}
    assert queue == {"sqsManagedSseEnabled": True, "visibilityTimeoutSeconds": 360}
    allowed = pipeline.named("pipeline-dead-letters-from").inputs
    assert allowed["queueUrl"] == f"{SQS}/pipeline-dead-letters-abc1234"
    assert json.loads(allowed["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [QUEUE_ARN],
    }


@pytest.mark.parametrize(("originals_days", "kept_days"), [(1, 1), (14, 14), (365, 14)])
def test_dead_letters_are_kept_as_long_as_there_is_an_original_to_try_again(
    run_alone: RunAlone, packages: dict[str, Package], originals_days: int, kept_days: int
) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, originals_days=originals_days)))
    assert graph.one(QUEUE, "pipeline-dead-letters").inputs == {
        "sqsManagedSseEnabled": True,
        "messageRetentionSeconds": kept_days * 86_400,
    }


def test_the_queue_hides_a_message_six_times_as_long_as_the_function_may_run(pipeline: Graph) -> None:
    hidden = pipeline.one(QUEUE, "pipeline-queue").inputs["visibilityTimeoutSeconds"]
    assert hidden == 6 * pipeline.one(FUNCTION).inputs["timeout"]


def test_the_function_gets_small_batches_at_once_reports_each_failure_and_is_bounded(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, max_concurrency=7)))
    assert graph.one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs == {
        "eventSourceArn": QUEUE_ARN,
        "functionName": "pipeline-process-avatar-abc1234",
        "batchSize": 5,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "scalingConfig": {"maximumConcurrency": 7},
    }


def test_the_function(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, sizes=[64, 256])))
    inputs = graph.one(FUNCTION).inputs
    assert inputs.pop("code").path == str(packages["process_avatar"].archive)
    assert inputs == {
        "description": "Turns an upload into the pictures the CDN serves",
        "runtime": "python3.14",
        "architectures": ["arm64"],
        "handler": "functions.process_avatar.handler.handle",
        "layers": [
            arn("lambda", "layer:pipeline-boto3-test:1"),
            arn("lambda", "layer:pipeline-heif-test:1"),
            arn("lambda", "layer:pipeline-imaging-test:1"),
        ],
        "role": f"arn:aws:iam::{ACCOUNT}:role/pipeline-process-avatar-role-abc1234",
        "memorySize": 1024,
        "timeout": 60,
        "environment": {
            "variables": {
                "UPLOADS_BUCKET": "pipeline-uploads-abc1234",
                "ASSETS_BUCKET": "their-assets",
                "CDN_URL": "https://cdn.example.com",
                "TOPIC_ARN": TOPIC_ARN,
                "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/pipeline-queue-abc1234",
                "SIZES": "256,64",
                "MAX_PIXELS": "50000000",
                "MAX_UPLOAD_BYTES": "10485760",
            }
        },
        "loggingConfig": {
            "logFormat": "JSON",
            "logGroup": "pipeline-process-avatar-logs-abc1234",
            "applicationLogLevel": "INFO",
            "systemLogLevel": "WARN",
        },
    }


def test_what_a_decoder_is_allowed_fits_into_the_function(pipeline: Graph) -> None:
    """In memory, beside 200 MB for the rest of the process; and in time, with the processor that the memory brings."""
    memory = pipeline.one(FUNCTION).inputs["memorySize"]
    assert memory * 2**20 >= subprocess_decoder.MEMORY_BYTES + 200_000_000
    assert subprocess_decoder.CPU_SECONDS / min(1, memory / 1769) <= subprocess_decoder.PATIENCE_SECONDS


def test_the_function_may_do_this_and_no_more(pipeline: Graph) -> None:
    assert document(pipeline.named("pipeline-process-avatar-policy").inputs["policy"]) == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{arn('logs', 'log-group:pipeline-process-avatar-logs-abc1234')}:*",
        },
        {
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "Resource": QUEUE_ARN,
        },
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE_ARN},
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{ASSETS_ARN}/avatars/*.webp"},
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{UPLOADS_ARN}/incoming/*"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{UPLOADS_ARN}/incoming/*", f"{UPLOADS_ARN}/rejected/*"],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/rejected/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": TOPIC_ARN},
    ]


def test_the_topic_is_encrypted_signs_with_sha_256_and_takes_nothing_over_plain_http(pipeline: Graph) -> None:
    assert pipeline.one("aws:sns/topic:Topic").inputs == {"kmsMasterKeyId": "alias/aws/sns", "signatureVersion": 2}
    assert document(pipeline.one("aws:sns/topicPolicy:TopicPolicy").inputs["policy"]) == [
        tls_only("sns:Publish", TOPIC_ARN)
    ]


def test_a_webhook_gets_the_signed_envelope(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    url = "https://hooks.example.com/avatars"
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, webhook_url=url)))
    assert graph.one("aws:sns/topicSubscription:TopicSubscription").inputs == {
        "topic": TOPIC_ARN,
        "protocol": "https",
        "endpoint": url,
        "rawMessageDelivery": False,
        "deliveryPolicy": '{"healthyRetryPolicy": {"numRetries": 50, "numNoDelayRetries": 3, "numMinDelayRetries": 2, '
        '"minDelayTarget": 1, "numMaxDelayRetries": 35, "maxDelayTarget": 60, "backoffFunction": "exponential"}}',
        "redrivePolicy": f'{{"deadLetterTargetArn": "{UNDELIVERED_ARN}"}}',
    }


def test_what_a_webhook_does_not_take_is_kept_and_somebody_is_told(
    run_alone: RunAlone, packages: dict[str, Package]
) -> None:
    graph = run_alone(
        lambda: AvatarPipeline("pipeline", args(packages, webhook_url="https://h.example.com", originals_days=3))
    )
    assert graph.named("pipeline-undelivered").inputs == {
        "sqsManagedSseEnabled": True,
        "messageRetentionSeconds": 14 * 86_400,
    }
    policy = graph.named("pipeline-undelivered-policy")
    assert document(policy.inputs["policy"]) == [
        tls_only("sqs:*", UNDELIVERED_ARN),
        {
            "Sid": "Undelivered",
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": UNDELIVERED_ARN,
            "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC_ARN}},
        },
    ]
    assert policy.urn in graph.one("aws:sns/topicSubscription:TopicSubscription").dependencies
    alarm = graph.named("pipeline-undelivered-events").inputs
    assert (alarm["metricName"], alarm["threshold"]) == ("ApproximateNumberOfMessagesVisible", 0)


def test_without_a_webhook_there_is_no_subscription_that_waits_for_ever(pipeline: Graph) -> None:
    assert pipeline.of_type("aws:sns/topicSubscription:TopicSubscription") == []


def test_somebody_is_told_of_uploads_that_failed_or_wait(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    on_call = arn("sns", "on-call")
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(packages, alarm_topic_arn=on_call)))
    common = {
        "namespace": "AWS/SQS",
        "statistic": "Maximum",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "treatMissingData": "notBreaching",
        "alarmActions": [on_call],
        "okActions": [on_call],
    }
    assert graph.named("pipeline-failed-uploads").inputs == {
        **common,
        "alarmDescription": "Uploads could not be processed and wait in the dead-letter queue",
        "metricName": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": "pipeline-dead-letters-abc1234"},
        "threshold": 0,
    }
    assert graph.named("pipeline-late-uploads").inputs == {
        **common,
        "alarmDescription": "An upload has been waiting for more than 15 minutes",
        "metricName": "ApproximateAgeOfOldestMessage",
        "dimensions": {"QueueName": "pipeline-queue-abc1234"},
        "threshold": 900,
    }


def test_alarms_are_there_to_be_seen_when_nobody_is_told(pipeline: Graph) -> None:
    alarms = pipeline.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert len(alarms) == 2
    assert not [alarm for alarm in alarms if "alarmActions" in alarm.inputs or "okActions" in alarm.inputs]


def test_what_it_gives(pipeline: Graph) -> None:
    assert pipeline.one("avatars:index:AvatarPipeline").component_outputs == {
        "uploads_bucket_name": "pipeline-uploads-abc1234",
        "uploads_bucket_arn": UPLOADS_ARN,
        "uploads_url": "https://pipeline-uploads-abc1234.s3.eu-west-1.amazonaws.com",
        "topic_arn": TOPIC_ARN,
        "queue_url": f"{SQS}/pipeline-queue-abc1234",
        "dead_letter_queue_url": f"{SQS}/pipeline-dead-letters-abc1234",
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"packages": {}}, r"packages is \{\}; allowed is a mapping with process_avatar"),
        ({"cdn_url": "cdn.example.com"}, "cdn_url is 'cdn.example.com'; allowed is an https:// URL"),
        ({"sizes": []}, r"sizes is \[\]"),
        ({"max_concurrency": 1}, "max_concurrency is 1; allowed is a whole number from 2 to 1,000"),
        ({"webhook_url": "http://example.com"}, "webhook_url is 'http://example.com'"),
        ({"originals_days": 0, "max_pixels": 1}, r"max_pixels is 1;[^\n]*\n.*originals_days is 0"),
    ],
)
def test_wrong_arguments_are_refused(packages: dict[str, Package], settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        args(packages, **settings)


def tls_only(actions: str, resource: str) -> dict[str, Any]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
