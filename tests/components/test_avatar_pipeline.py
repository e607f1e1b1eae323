"""AvatarPipeline, used alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi
import pytest

from components.avatar_pipeline import AvatarPipeline, AvatarPipelineArgs
from functions.erase_user import erasure
from functions.process_avatar.imaging import render_process
from functions.process_avatar.moderation import READ_TIMEOUT_SECONDS
from functions.shared.aws.clients import CONNECT_TIMEOUT_SECONDS
from lambda_packages.build import REPOSITORY, Package
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, REGION, RunAlone, arn, get_statements

UPLOADS_ARN = "arn:aws:s3:::pipeline-uploads-abc1234"
ASSETS_ARN = "arn:aws:s3:::their-assets"
QUEUE_ARN = arn("sqs", "pipeline-queue-abc1234")
DEAD_LETTERS_ARN = arn("sqs", "pipeline-dead-letters-abc1234")
TOPIC_ARN = arn("sns", "pipeline-events-abc1234")
UNDELIVERED_ARN = arn("sqs", "pipeline-undelivered-abc1234")
QUEUE = "aws:sqs/queue:Queue"
TABLE = "aws:dynamodb/table:Table"
FUNCTION = "aws:lambda/function:Function"
FINISH = "finish-upload"
FINISH_HANDLER = REPOSITORY / "functions/finish_upload/handler.py"
PROFILE_SECONDS = 90  # the timeout of erase_profile
SQS = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"


def args(**settings: Any) -> AvatarPipelineArgs:
    given: dict[str, Any] = {
        "assets_bucket_name": "their-assets",
        "assets_bucket_arn": ASSETS_ARN,
        "cdn_url": "https://cdn.example.com",
    }
    return AvatarPipelineArgs(**{**given, **settings})


@pytest.fixture(scope="module")
def pipeline(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: AvatarPipeline("pipeline", args()))


def test_uploads_bucket_expires_originals_and_incomplete_uploads(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(originals_days=3)))
    rules = graph.named("pipeline-uploads-lifecycle").inputs["rules"]
    assert {rule["filter"]["prefix"]: rule.get("expiration") for rule in rules} == {
        "": None,
        "incoming/": {"days": 3},
        "rejected/": {"days": 3},
        "held/": {"days": 3},
        "deletions/": {"days": 3},
    }
    assert rules[0]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}


def test_uploads_bucket_cors_allows_post_from_origins(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(allowed_origins=["https://app.example.com"])))
    assert graph.named("pipeline-uploads-cors").inputs["corsRules"] == [
        {
            "allowedMethods": ["POST"],
            "allowedOrigins": ["https://app.example.com"],
            "allowedHeaders": ["content-type"],
            "maxAgeSeconds": 3600,
        }
    ]


def test_uploads_bucket_without_origins_has_no_cors(pipeline: Graph) -> None:
    assert pipeline.of_type("aws:s3/bucketCorsConfiguration:BucketCorsConfiguration") == []


def test_notification_covers_originals_and_requests_to_delete_only(pipeline: Graph) -> None:
    """Including multipart uploads and copies; without the objects that the function writes, which would be a loop."""
    notification = pipeline.one("aws:s3/bucketNotification:BucketNotification")
    assert notification.inputs == {
        "bucket": "pipeline-uploads-abc1234",
        "queues": [
            {
                "id": id_,
                "queueArn": QUEUE_ARN,
                "events": ["s3:ObjectCreated:*"],
                "filterPrefix": prefix,
            }
            for id_, prefix in (("uploaded", "incoming/"), ("deleted", "deletions/"))
        ],
    }
    assert pipeline.named("pipeline-queue-policy").urn in notification.dependencies


def test_queue_policy_allows_uploads_bucket_of_the_account_only(pipeline: Graph) -> None:
    assert get_statements(pipeline.named("pipeline-queue-policy").inputs["policy"]) == [
        deny_insecure_transport("sqs:*", QUEUE_ARN),
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


def test_queue_redrives_to_dead_letter_queue_after_eight_receives(pipeline: Graph) -> None:
    queue = dict(pipeline.one(QUEUE, "pipeline-queue").inputs)
    assert json.loads(queue.pop("redrivePolicy")) == {"deadLetterTargetArn": DEAD_LETTERS_ARN, "maxReceiveCount": 8}
    assert queue == {
        "sqsManagedSseEnabled": True,
        "visibilityTimeoutSeconds": 84,
        "messageRetentionSeconds": 4 * 86_400,
    }
    allowed = pipeline.named("pipeline-redrive-allow-policy").inputs
    assert allowed["queueUrl"] == f"{SQS}/pipeline-dead-letters-abc1234"
    assert json.loads(allowed["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [QUEUE_ARN],
    }


@pytest.mark.parametrize(
    ("originals_days", "queued_days", "kept_days"), [(1, 1, 1), (3, 3, 3), (14, 4, 14), (365, 4, 14)]
)
def test_messages_expire_with_their_originals(
    run_alone: RunAlone, originals_days: int, queued_days: int, kept_days: int
) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(originals_days=originals_days)))
    assert graph.one(QUEUE, "pipeline-dead-letters").inputs == {
        "sqsManagedSseEnabled": True,
        "messageRetentionSeconds": kept_days * 86_400,
    }
    assert graph.one(QUEUE, "pipeline-queue").inputs["messageRetentionSeconds"] == queued_days * 86_400


def test_visibility_timeout_is_six_function_timeouts(pipeline: Graph) -> None:
    hidden = pipeline.one(QUEUE, "pipeline-queue").inputs["visibilityTimeoutSeconds"]
    assert hidden == 6 * pipeline.one(FUNCTION, "pipeline-process-avatar").inputs["timeout"]


def test_killed_sandbox_costs_less_than_90_seconds(pipeline: Graph) -> None:
    assert pipeline.one(QUEUE, "pipeline-queue").inputs["visibilityTimeoutSeconds"] < 90


def test_event_source_has_batches_of_one_and_max_concurrency(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(max_concurrency=7)))
    assert graph.one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs == {
        "eventSourceArn": QUEUE_ARN,
        "functionName": "pipeline-process-avatar-abc1234",
        "batchSize": 1,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "scalingConfig": {"maximumConcurrency": 7},
    }


def test_function_inputs(run_alone: RunAlone, packages: dict[str, Package]) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(sizes=[64, 256])))
    inputs = graph.one(FUNCTION, "pipeline-process-avatar").inputs
    assert inputs.pop("code").path == str(packages["process_avatar"].archive)
    assert inputs == {
        "description": "Processes uploads into avatars, and deletions",
        "runtime": "python3.14",
        "architectures": ["arm64"],
        "handler": "functions.process_avatar.handler.handle",
        "layers": [
            arn("lambda", "layer:pipeline-boto3-test:1"),
            arn("lambda", "layer:pipeline-heif-test:1"),
            arn("lambda", "layer:pipeline-imaging-test:1"),
        ],
        "role": f"arn:aws:iam::{ACCOUNT}:role/pipeline-process-avatar-role-abc1234",
        "memorySize": 896,
        "timeout": 14,
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
                "UPLOADS_PER_HOUR": "60",
                "LIMITS_TABLE": "pipeline-limits-abc1234",
                "DISTRIBUTION_ID": "",
                "MODERATION_FUNCTION_ARN": "",
                "METRICS_SERVICE": "pipeline-test",
            }
        },
        "loggingConfig": {
            "logFormat": "JSON",
            "logGroup": "pipeline-process-avatar-logs-abc1234",
            "applicationLogLevel": "INFO",
            "systemLogLevel": "WARN",
        },
    }


def test_function_memory_and_timeout_fit_decoder_limits(pipeline: Graph) -> None:
    """Memory: 200 MB for the rest of the process.

    Time: CPU is proportional to memory. After the longest wait for a decoder there is time for encoding and one request
    that is answered at its last attempt only, or for making the message visible again.
    """
    inputs = pipeline.one(FUNCTION, "pipeline-process-avatar").inputs
    memory = inputs["memorySize"]
    assert memory * 2**20 >= render_process.MEMORY_BYTES + 200_000_000
    assert render_process.CPU_SECONDS / min(1, memory / 1769) <= render_process.TIMEOUT_SECONDS
    assert inputs["timeout"] >= render_process.TIMEOUT_SECONDS + 6


def test_function_policy_has_exactly_these_statements(pipeline: Graph) -> None:
    assert get_statements(pipeline.named("pipeline-process-avatar-policy").inputs["policy"]) == [
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
        {"Effect": "Allow", "Action": "sqs:ChangeMessageVisibility", "Resource": QUEUE_ARN},
        {
            "Effect": "Allow",
            "Action": "s3:DeleteObject",
            "Resource": [f"{UPLOADS_ARN}/{prefix}/*" for prefix in ("incoming", "rejected", "deletions")],
        },
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{UPLOADS_ARN}/{prefix}/*" for prefix in ("incoming", "rejected", "deletions")],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/rejected/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {
            "Effect": "Allow",
            "Action": "s3:PutObjectTagging",
            "Resource": [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"],
        },
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{ASSETS_ARN}/avatars/*.webp"},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": TOPIC_ARN},
        *(
            {"Effect": "Allow", "Action": action, "Resource": arn("dynamodb", "table/pipeline-limits-abc1234")}
            for action in ("dynamodb:GetItem", "dynamodb:UpdateItem")
        ),
    ]


def test_finish_function_has_less_memory_time_and_permissions(pipeline: Graph) -> None:
    """Memory: 200 MB for the rest of the process. Time: API Gateway waits for 30 seconds."""
    inputs, processor = (pipeline.one(FUNCTION, f"pipeline-{name}").inputs for name in (FINISH, "process-avatar"))
    assert (inputs["memorySize"], inputs["timeout"]) == (480, 10)
    assert inputs["memorySize"] * 2**20 >= finish_upload_handler_memory() + 200_000_000
    variables = {**processor["environment"]["variables"]}
    del variables["QUEUE_URL"], variables["DISTRIBUTION_ID"]
    assert inputs["environment"]["variables"] == variables
    assert get_statements(pipeline.named(f"pipeline-{FINISH}-policy").inputs["policy"]) == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{arn('logs', f'log-group:pipeline-{FINISH}-logs-abc1234')}:*",
        },
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{UPLOADS_ARN}/incoming/*"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{UPLOADS_ARN}/{prefix}/*" for prefix in ("incoming", "rejected")],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/rejected/*"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": TOPIC_ARN},
        *(
            {"Effect": "Allow", "Action": action, "Resource": arn("dynamodb", "table/pipeline-limits-abc1234")}
            for action in ("dynamodb:GetItem", "dynamodb:UpdateItem")
        ),
    ]


def finish_upload_handler_memory() -> int:
    """The limit of the render process, without importing the handler, which would start it."""
    (limit,) = re.findall(r"^_RENDER_MEMORY_BYTES = ([0-9_]+)$", FINISH_HANDLER.read_text(), re.MULTILINE)
    return int(limit)


def test_distribution_is_invalidated_by_its_id(run_alone: RunAlone) -> None:
    distribution = f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1A2B3C4D5"
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(distribution_arn=distribution)))
    inputs = graph.one(FUNCTION, "pipeline-process-avatar").inputs
    assert inputs["environment"]["variables"]["DISTRIBUTION_ID"] == "E1A2B3C4D5"
    assert {"Effect": "Allow", "Action": "cloudfront:CreateInvalidation", "Resource": distribution} in get_statements(
        graph.named("pipeline-process-avatar-policy").inputs["policy"]
    )


@pytest.mark.parametrize("qualifier", ["", ":7", ":live"])
def test_moderation_adds_statements_variable_and_time_only(
    run_alone: RunAlone, pipeline: Graph, qualifier: str
) -> None:
    moderation = f"arn:aws:lambda:us-east-1:210987654321:function:moderate{qualifier}"
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(moderation_function_arn=moderation)))
    policy, before = (
        get_statements(g.named("pipeline-process-avatar-policy").inputs["policy"]) for g in (graph, pipeline)
    )
    held = f"{UPLOADS_ARN}/held/*"
    assert policy == [
        *before,
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": moderation},
        *({"Effect": "Allow", "Action": f"s3:{verb}Object", "Resource": held} for verb in ("Get", "Put", "Delete")),
    ]
    inputs, unmoderated = (g.one(FUNCTION, "pipeline-process-avatar").inputs for g in (graph, pipeline))
    variables = unmoderated["environment"]["variables"] | {"MODERATION_FUNCTION_ARN": moderation}
    changed = {"timeout": 25, "environment": {"variables": variables}, "code": inputs["code"]}
    assert inputs == {**unmoderated, **changed}
    queue, shorter = (g.one(QUEUE, "pipeline-queue").inputs for g in (graph, pipeline))
    assert queue == {**shorter, "visibilityTimeoutSeconds": 150}
    assert set(graph.resources) == set(pipeline.resources)


def test_moderated_function_timeout_has_room_for_one_answer(run_alone: RunAlone, pipeline: Graph) -> None:
    moderation = arn("lambda", "function:moderate")
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(moderation_function_arn=moderation)))
    longer, timeout = (g.one(FUNCTION, "pipeline-process-avatar").inputs["timeout"] for g in (graph, pipeline))
    assert longer - timeout >= READ_TIMEOUT_SECONDS + CONNECT_TIMEOUT_SECONDS


def test_sweep_inputs(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(originals_days=3)))
    inputs = graph.one(FUNCTION, "pipeline-sweep-avatars").inputs
    assert (inputs["handler"], inputs["timeout"]) == ("functions.sweep_avatars.handler.handle", 900)
    assert inputs["environment"]["variables"] == {"ASSETS_BUCKET": "their-assets", "ORIGINALS_DAYS": "3"}


def test_sweep_policy_has_exactly_these_statements(pipeline: Graph) -> None:
    """It deletes nothing of the uploads bucket."""
    assert get_statements(pipeline.named("pipeline-sweep-avatars-policy").inputs["policy"])[1:] == [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{ASSETS_ARN}/avatars/*"},
    ]


def test_erase_function_inputs(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(log_retention_days=7)))
    inputs = graph.one(FUNCTION, "pipeline-erase-user").inputs
    assert (inputs["handler"], inputs["timeout"]) == ("functions.erase_user.handler.handle", 300)
    assert "vpcConfig" not in inputs
    assert inputs["environment"]["variables"] == {
        "UPLOADS_BUCKET": "pipeline-uploads-abc1234",
        "ASSETS_BUCKET": "their-assets",
        "LIMITS_TABLE": "pipeline-limits-abc1234",
        "ERASE_PROFILE_ARN": "",
        "PROCESSING_SECONDS": str(graph.one(FUNCTION, "pipeline-process-avatar").inputs["timeout"] + 5),
        "LOG_RETENTION_DAYS": "7",
    }


def test_erase_function_timeout_allows_for_everything_it_waits_for(pipeline: Graph) -> None:
    inputs = pipeline.one(FUNCTION, "pipeline-erase-user").inputs
    processing = int(inputs["environment"]["variables"]["PROCESSING_SECONDS"])
    assert inputs["timeout"] >= erasure.QUEUE_SECONDS + processing + PROFILE_SECONDS + 60


def test_erase_policy_has_exactly_these_statements(pipeline: Graph) -> None:
    prefixes = ("incoming", "rejected", "held")
    assert get_statements(pipeline.named("pipeline-erase-user-policy").inputs["policy"])[1:] == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": UPLOADS_ARN},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{UPLOADS_ARN}/deletions/*"},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"],
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ASSETS_ARN},
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:PutObjectTagging"],
            "Resource": [f"{ASSETS_ARN}/avatars/*.json", f"{ASSETS_ARN}/avatars/*.jpg"],
            "Condition": {"StringEquals": {"s3:RequestObjectTag/deleted": "true"}},
        },
        {"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": UPLOADS_ARN},
        {
            "Effect": "Allow",
            "Action": "s3:DeleteObjectVersion",
            "Resource": [f"{UPLOADS_ARN}/{prefix}/*" for prefix in prefixes],
        },
        {"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": ASSETS_ARN},
        {"Effect": "Allow", "Action": "s3:DeleteObjectVersion", "Resource": f"{ASSETS_ARN}/avatars/*"},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
            "Resource": arn("dynamodb", "table/pipeline-limits-abc1234"),
        },
    ]


def test_erase_function_may_invoke_the_given_function_only(run_alone: RunAlone) -> None:
    function = arn("lambda", "function:erase-profile")
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(), create_profiles=lambda _: function))
    inputs = graph.one(FUNCTION, "pipeline-erase-user").inputs
    assert inputs["environment"]["variables"]["ERASE_PROFILE_ARN"] == function
    statements = get_statements(graph.named("pipeline-erase-user-policy").inputs["policy"])
    assert statements[-1] == {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}


def test_sweep_is_scheduled_once_a_day(pipeline: Graph) -> None:
    schedule = pipeline.one("aws:scheduler/schedule:Schedule")
    role = f"arn:aws:iam::{ACCOUNT}:role/pipeline-sweep-schedule-role-abc1234"
    assert schedule.inputs == {
        "description": "Once a day, at any time",
        "scheduleExpression": "rate(1 days)",
        "flexibleTimeWindow": {"mode": "FLEXIBLE", "maximumWindowInMinutes": 60},
        "target": {"arn": arn("lambda", "function:pipeline-sweep-avatars-abc1234"), "roleArn": role},
    }
    assert pipeline.named("pipeline-sweep-schedule-policy").urn in schedule.dependencies


def test_schedule_role_may_invoke_the_sweep_only(pipeline: Graph) -> None:
    assert get_statements(pipeline.named("pipeline-sweep-schedule-policy").inputs["policy"]) == [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": arn("lambda", "function:pipeline-sweep-avatars-abc1234"),
        }
    ]
    assert get_statements(pipeline.named("pipeline-sweep-schedule-role").inputs["assumeRolePolicy"]) == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }
    ]


def test_topic_is_encrypted_signed_and_tls_only(pipeline: Graph) -> None:
    assert pipeline.one("aws:sns/topic:Topic").inputs == {"kmsMasterKeyId": "alias/aws/sns", "signatureVersion": 2}
    assert get_statements(pipeline.one("aws:sns/topicPolicy:TopicPolicy").inputs["policy"]) == [
        deny_insecure_transport("sns:Publish", TOPIC_ARN)
    ]


def test_limits_table_is_on_demand_and_expires_items(pipeline: Graph) -> None:
    assert pipeline.one(TABLE).inputs == {
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "subject",
        "rangeKey": "period",
        "attributes": [{"name": "subject", "type": "S"}, {"name": "period", "type": "S"}],
        "ttl": {"attributeName": "expires_at", "enabled": True},
    }


def test_without_quota_the_function_gets_0_and_can_note_ended_events(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(uploads_per_hour=0)))
    policy = graph.named("pipeline-process-avatar-policy").inputs["policy"]
    assert re.findall(r"dynamodb:[A-Z]\w+", policy) == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    variables = graph.one(FUNCTION, "pipeline-process-avatar").inputs["environment"]["variables"]
    assert variables["UPLOADS_PER_HOUR"] == "0"


def test_webhook_gets_signed_envelope(run_alone: RunAlone) -> None:
    url = "https://hooks.example.com/avatars"
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(webhook_url=url)))
    assert graph.one("aws:sns/topicSubscription:TopicSubscription").inputs == {
        "topic": TOPIC_ARN,
        "protocol": "https",
        "endpoint": url,
        "rawMessageDelivery": False,
        "deliveryPolicy": '{"healthyRetryPolicy": {"numRetries": 50, "numNoDelayRetries": 3, "numMinDelayRetries": 2, '
        '"minDelayTarget": 1, "numMaxDelayRetries": 35, "maxDelayTarget": 60, "backoffFunction": "exponential"}}',
        "redrivePolicy": f'{{"deadLetterTargetArn": "{UNDELIVERED_ARN}"}}',
    }


def test_webhook_undelivered_events_are_kept_with_alarm(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(webhook_url="https://h.example.com", originals_days=3)))
    assert graph.named("pipeline-undelivered").inputs == {
        "sqsManagedSseEnabled": True,
        "messageRetentionSeconds": 14 * 86_400,
    }
    policy = graph.named("pipeline-undelivered-policy")
    assert get_statements(policy.inputs["policy"]) == [
        deny_insecure_transport("sqs:*", UNDELIVERED_ARN),
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


def test_webhook_not_given_has_no_subscription(pipeline: Graph) -> None:
    assert pipeline.of_type("aws:sns/topicSubscription:TopicSubscription") == []


def test_alarms_notify_topic_of_failed_and_late_uploads(run_alone: RunAlone) -> None:
    on_call = arn("sns", "on-call")
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(alarm_topic_arn=on_call)))
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
        "alarmDescription": "Uploads or deletions in the dead-letter queue: processing failed",
        "metricName": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": "pipeline-dead-letters-abc1234"},
        "threshold": 0,
    }
    assert graph.named("pipeline-late-uploads").inputs == {
        **common,
        "alarmDescription": "The oldest upload in the queue is older than 15 minutes",
        "metricName": "ApproximateAgeOfOldestMessage",
        "dimensions": {"QueueName": "pipeline-queue-abc1234"},
        "threshold": 900,
    }


def test_alarms_to_the_own_topic_are_refused(run_alone: RunAlone) -> None:
    """It is encrypted with a key that CloudWatch may not use, so that they would never arrive."""
    with pytest.raises(pulumi.RunError, match=f"alarmTopicArn is {TOPIC_ARN}, the stack's own topic"):
        run_alone(lambda: AvatarPipeline("pipeline", args(alarm_topic_arn=TOPIC_ARN)))


def test_alarm_notifies_topic_of_failed_sweeps(run_alone: RunAlone) -> None:
    on_call = arn("sns", "on-call")
    graph = run_alone(lambda: AvatarPipeline("pipeline", args(alarm_topic_arn=on_call)))
    assert graph.named("pipeline-failed-sweeps").inputs == {
        "alarmDescription": "All attempts of a day to sweep the avatars failed: what no manifest names stays",
        "namespace": "AWS/Lambda",
        "metricName": "Errors",
        "dimensions": {"FunctionName": "pipeline-sweep-avatars-abc1234"},
        "statistic": "Sum",
        "period": 86_400,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanOrEqualToThreshold",
        "threshold": 3,
        "treatMissingData": "notBreaching",
        "alarmActions": [on_call],
        "okActions": [on_call],
    }


def test_alarms_without_topic_have_no_actions(pipeline: Graph) -> None:
    alarms = pipeline.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert len(alarms) == 3
    assert not [alarm for alarm in alarms if "alarmActions" in alarm.inputs or "okActions" in alarm.inputs]


def test_outputs(pipeline: Graph) -> None:
    assert pipeline.one("avatars:index:AvatarPipeline").component_outputs == {
        "uploads_bucket_name": "pipeline-uploads-abc1234",
        "uploads_bucket_arn": UPLOADS_ARN,
        "uploads_url": "https://pipeline-uploads-abc1234.s3.eu-west-1.amazonaws.com",
        "topic_arn": TOPIC_ARN,
        "queue_url": f"{SQS}/pipeline-queue-abc1234",
        "dead_letter_queue_url": f"{SQS}/pipeline-dead-letters-abc1234",
        "limits_table_name": "pipeline-limits-abc1234",
        "erase_function_name": "pipeline-erase-user-abc1234",
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"distribution_arn": "E1A2B3C4D5"},
            "distribution_arn is 'E1A2B3C4D5'; allowed is the ARN of a CloudFront distribution",
        ),
        ({"cdn_url": "cdn.example.com"}, "cdn_url is 'cdn.example.com'; allowed is an https:// URL"),
        ({"sizes": []}, r"sizes is \[\]"),
        (
            {"reserved_concurrency": {"process_avatar": 19}},
            "process_avatar': 19}; process_avatar must not be below max_concurrency",
        ),
        (
            {"reserved_concurrency": {"authorize": 1}},
            "allowed is a map from process_avatar, finish_upload, sweep_avatars or erase_user to",
        ),
        ({"uploads_per_hour": 1001}, "uploads_per_hour is 1001; allowed is an integer from 0 to 1,000"),
        ({"max_concurrency": 1}, "max_concurrency is 1; allowed is an integer from 2 to 1,000"),
        (
            {"moderation_function_arn": "moderate"},
            "moderation_function_arn is 'moderate'; allowed is the ARN of a Lambda function, also with a version",
        ),
        ({"webhook_url": "http://example.com"}, "webhook_url is 'http://example.com'"),
        ({"originals_days": 0, "max_pixels": 1}, r"max_pixels is 1;[^\n]*\n.*originals_days is 0"),
    ],
)
def test_args_invalid_raises_value_error(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        args(**settings)


def deny_insecure_transport(actions: str, resource: str) -> dict[str, Any]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
