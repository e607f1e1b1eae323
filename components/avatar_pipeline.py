"""From an upload to the pictures the CDN serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_aws import cloudwatch, lambda_, s3, sns, sqs

from components.blocks import iam, validation
from components.blocks.private_bucket import PrivateBucket, PrivateBucketArgs
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from lambda_packages.build import Package

_DAY_SECONDS = 24 * 60 * 60
_TIMEOUT_SECONDS = 60
# As AWS advises, so that a message is not handed out again while its batch is still worked on or throttled:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_VISIBILITY_SECONDS = 6 * _TIMEOUT_SECONDS
_MAX_RECEIVES = 5
_LONGEST_RETENTION_DAYS = 14  # SQS keeps no message longer
_LATE_SECONDS = 15 * 60
# About forty minutes in all, so that a receiver can be deployed anew. SNS's own default for a webhook is three retries
# within a minute: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
_WEBHOOK_RETRIES = {
    "numRetries": 50,
    "numNoDelayRetries": 3,
    "numMinDelayRetries": 2,
    "minDelayTarget": 1,
    "numMaxDelayRetries": 35,
    "maxDelayTarget": 60,
    "backoffFunction": "exponential",
}


@dataclass(frozen=True, kw_only=True)
class AvatarPipelineArgs:
    packages: Mapping[str, Package]
    """As `lambda_packages.build.build_packages()` gives them."""
    assets_bucket_name: pulumi.Input[str]
    assets_bucket_arn: pulumi.Input[str]
    cdn_url: pulumi.Input[str]
    """Where the assets bucket is served, https://<host>; the manifests' URLs begin with it."""
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may post uploads to the bucket."""
    bucket_name: str | None = None
    sizes: Sequence[int] = (256,)
    """Edges of the WebP variants, in pixels. The JPEG at the stable address has 512."""
    max_upload_bytes: int = 10_485_760
    max_pixels: int = 50_000_000
    originals_days: int = 14
    """Days an original that could not be processed, and the note why one was rejected, are kept."""
    webhook_url: pulumi.Input[str] | None = None
    """Gets the topic's events, in SNS's envelope, which carries the signature to check."""
    max_concurrency: int = 20
    """Uploads worked on at once, at most."""
    alarm_topic_arn: pulumi.Input[str] | None = None
    protect: bool = True
    log_retention_days: int = 30

    def __post_init__(self) -> None:
        validation.require(
            self,
            packages=validation.having("process_avatar"),
            cdn_url=validation.HTTPS_URL,
            allowed_origins=validation.each(validation.ORIGIN),
            bucket_name=validation.optional(validation.BUCKET_NAME),
            sizes=validation.SIZES,
            max_upload_bytes=validation.MAX_UPLOAD_BYTES,
            max_pixels=validation.MAX_PIXELS,
            originals_days=validation.ORIGINALS_DAYS,
            webhook_url=validation.optional(validation.HTTPS_URL),
            max_concurrency=validation.MAX_CONCURRENCY,
            alarm_topic_arn=validation.optional(validation.TOPIC_ARN),
            log_retention_days=validation.LOG_RETENTION_DAYS,
        )


class AvatarPipeline(pulumi.ComponentResource):
    """`avatars:index:AvatarPipeline`

    Makes: the uploads bucket with its notification, the queue, its dead-letter queue and two alarms, the topic,
    `process_avatar` with its layers, and the event source mapping; with a webhook also its subscription, a queue of the
    events it did not take, and an alarm.
    """

    uploads_bucket_name: pulumi.Output[str]
    uploads_bucket_arn: pulumi.Output[str]
    uploads_url: pulumi.Output[str]
    """Where pages post their uploads, https://<host>, without a slash at the end."""
    topic_arn: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_queue_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: AvatarPipelineArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:AvatarPipeline", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)

        uploads = self._uploads_bucket(args)
        dead_letters, queue = self._queues(args)
        self._send_uploads_to(queue, uploads)
        topic = self._topic()
        function = self._process_avatar(args, uploads, queue, topic)
        lambda_.EventSourceMapping(
            f"{name}-source",
            event_source_arn=queue.arn,
            function_name=function.function_name,
            # Small, and without a window to fill it: a user is waiting for the picture.
            batch_size=5,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=args.max_concurrency),
            opts=self._child,
        )
        undelivered = self._webhook(args.webhook_url, topic) if args.webhook_url is not None else None
        self._alarms(args, queue, dead_letters, undelivered)

        self.uploads_bucket_name = uploads.bucket_name
        self.uploads_bucket_arn = uploads.bucket_arn
        self.uploads_url = pulumi.Output.concat("https://", uploads.regional_domain_name)
        self.topic_arn = topic.arn
        self.queue_url = queue.url
        self.dead_letter_queue_url = dead_letters.url
        self.register_outputs(
            {
                "uploads_bucket_name": self.uploads_bucket_name,
                "uploads_bucket_arn": self.uploads_bucket_arn,
                "uploads_url": self.uploads_url,
                "topic_arn": self.topic_arn,
                "queue_url": self.queue_url,
                "dead_letter_queue_url": self.dead_letter_queue_url,
            }
        )

    def _uploads_bucket(self, args: AvatarPipelineArgs) -> PrivateBucket:
        bucket = PrivateBucket(
            f"{self._name}-uploads",
            PrivateBucketArgs(
                protect=args.protect,
                bucket_name=args.bucket_name,
                expire_days=[("incoming/", args.originals_days), ("rejected/", args.originals_days)],
                post_origins=args.allowed_origins,
            ),
            self._child,
        )
        bucket.attach_policy()
        return bucket

    def _queues(self, args: AvatarPipelineArgs) -> tuple[sqs.Queue, sqs.Queue]:
        dead_letters = sqs.Queue(
            f"{self._name}-dead-letters",
            sqs_managed_sse_enabled=True,
            # An event is of no use longer than the original it names.
            message_retention_seconds=min(_LONGEST_RETENTION_DAYS, args.originals_days) * _DAY_SECONDS,
            opts=self._child,
        )
        self._queue_policy("dead-letters", dead_letters)
        queue = sqs.Queue(
            f"{self._name}-queue",
            sqs_managed_sse_enabled=True,
            visibility_timeout_seconds=_VISIBILITY_SECONDS,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": _MAX_RECEIVES}
            ),
            opts=self._child,
        )
        sqs.RedriveAllowPolicy(
            f"{self._name}-dead-letters-from",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
            ),
            opts=self._child,
        )
        return dead_letters, queue

    def _send_uploads_to(self, queue: sqs.Queue, uploads: PrivateBucket) -> None:
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
        admitted = self._queue_policy(
            "queue",
            queue,
            iam.admit_bucket_events(queue.arn, uploads.bucket_arn, account.account_id),
        )
        # A bucket has one notification: a second one, here or elsewhere, would silently replace this.
        s3.BucketNotification(
            f"{self._name}-uploaded",
            bucket=uploads.bucket_name,
            queues=[
                s3.BucketNotificationQueueArgs(
                    id="uploaded",
                    queue_arn=queue.arn,
                    # All ways an object is made, multipart and copy too.
                    events=["s3:ObjectCreated:*"],
                    # Not rejected/, which the function itself writes: that would go round in circles.
                    filter_prefix="incoming/",
                )
            ],
            # S3 tries the queue before it takes the notification.
            opts=pulumi.ResourceOptions(parent=self, depends_on=admitted),
        )

    def _queue_policy(self, role: str, queue: sqs.Queue, *statements: iam.Statement) -> sqs.QueuePolicy:
        return sqs.QueuePolicy(
            f"{self._name}-{role}-policy",
            queue_url=queue.url,
            policy=iam.policy(iam.tls_only("sqs:*", queue.arn), *statements),
            opts=self._child,
        )

    def _topic(self) -> sns.Topic:
        topic = sns.Topic(
            f"{self._name}-events",
            # AWS's own key: its policy admits whoever may publish in the account, so the function needs no KMS rights.
            kms_master_key_id="alias/aws/sns",
            signature_version=2,  # SHA-256; version 1 signs with SHA-1
            opts=self._child,
        )
        sns.TopicPolicy(
            f"{self._name}-events-policy",
            arn=topic.arn,
            policy=iam.policy(iam.tls_only("sns:Publish", topic.arn)),
            opts=self._child,
        )
        return topic

    def _webhook(self, url: pulumi.Input[str], topic: sns.Topic) -> sqs.Queue:
        """Subscribes the address; gives the queue of what it would not take."""
        undelivered = sqs.Queue(
            f"{self._name}-undelivered",
            sqs_managed_sse_enabled=True,
            message_retention_seconds=_LONGEST_RETENTION_DAYS * _DAY_SECONDS,
            opts=self._child,
        )
        admitted = self._queue_policy("undelivered", undelivered, iam.admit_topic(undelivered.arn, topic.arn))
        sns.TopicSubscription(
            f"{self._name}-webhook",
            topic=topic.arn,
            protocol="https",
            endpoint=url,
            raw_message_delivery=False,
            delivery_policy=json.dumps({"healthyRetryPolicy": _WEBHOOK_RETRIES}),
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": undelivered.arn}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=admitted),
        )
        return undelivered

    def _process_avatar(
        self,
        args: AvatarPipelineArgs,
        uploads: PrivateBucket,
        queue: sqs.Queue,
        topic: sns.Topic,
    ) -> PythonFunction:
        package = args.packages["process_avatar"]
        return PythonFunction(
            f"{self._name}-process-avatar",
            PythonFunctionArgs(
                package=package,
                description="Turns an upload into the pictures the CDN serves",
                # As little as the worst file needs, for most of the time is spent waiting for S3 (bench/results.md has
                # the curve): a decoder that is confined may take 700 MB and has to end in its time
                # (functions/process_avatar/imaging/subprocess_decoder.py).
                memory=1024,
                timeout=_TIMEOUT_SECONDS,
                environment={
                    "UPLOADS_BUCKET": uploads.bucket_name,
                    "ASSETS_BUCKET": args.assets_bucket_name,
                    "CDN_URL": args.cdn_url,
                    "TOPIC_ARN": topic.arn,
                    "QUEUE_URL": queue.url,
                    "SIZES": ",".join(str(size) for size in sorted(args.sizes, reverse=True)),
                    "MAX_PIXELS": str(args.max_pixels),
                    "MAX_UPLOAD_BYTES": str(args.max_upload_bytes),
                },
                statements=[
                    iam.consume_queue(queue.arn),
                    # Pictures that were replaced are taken away by a message to itself, ten minutes later.
                    iam.send_to_queue(queue.arn),
                    iam.delete_objects(args.assets_bucket_arn, "avatars/*.webp"),
                    # An original goes as soon as it has been answered.
                    iam.delete_objects(uploads.bucket_arn, "incoming/*"),
                    # What it wrote to rejected/ it reads to tell its own record from an earlier delivery's.
                    *iam.read_objects(uploads.bucket_arn, "incoming/*", "rejected/*"),
                    iam.write_objects(uploads.bucket_arn, "rejected/*"),
                    *iam.read_objects(args.assets_bucket_arn, "avatars/*"),
                    iam.write_objects(args.assets_bucket_arn, "avatars/*"),
                    iam.publish(topic.arn),
                ],
                layers=publish_layers(self._name, [package], self._child),
                log_retention_days=args.log_retention_days,
            ),
            self._child,
        )

    def _alarms(
        self,
        args: AvatarPipelineArgs,
        queue: sqs.Queue,
        dead_letters: sqs.Queue,
        undelivered: sqs.Queue | None,
    ) -> None:
        actions = [args.alarm_topic_arn] if args.alarm_topic_arn is not None else None
        self._alarm(
            "failed-uploads",
            "Uploads could not be processed and wait in the dead-letter queue",
            dead_letters,
            "ApproximateNumberOfMessagesVisible",
            0,
            actions,
        )
        self._alarm(
            "late-uploads",
            f"An upload has been waiting for more than {_LATE_SECONDS // 60} minutes",
            queue,
            "ApproximateAgeOfOldestMessage",
            _LATE_SECONDS,
            actions,
        )
        if undelivered is not None:
            self._alarm(
                "undelivered-events",
                "The webhook did not take events, which wait in a queue",
                undelivered,
                "ApproximateNumberOfMessagesVisible",
                0,
                actions,
            )

    def _alarm(
        self,
        role: str,
        description: str,
        queue: sqs.Queue,
        metric: str,
        threshold: int,
        actions: Sequence[pulumi.Input[str]] | None,
    ) -> None:
        cloudwatch.MetricAlarm(
            f"{self._name}-{role}",
            alarm_description=description,
            namespace="AWS/SQS",
            metric_name=metric,
            dimensions={"QueueName": queue.name},
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=threshold,
            # SQS stops reporting for a queue that nobody used for six hours: that is good news here.
            treat_missing_data="notBreaching",
            alarm_actions=actions,
            ok_actions=actions,
            opts=self._child,
        )
