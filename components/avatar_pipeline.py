"""The image pipeline: processes uploads into the images that the CDN serves."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pulumi
import pulumi_aws as aws
from pulumi_aws import cloudwatch, dynamodb, lambda_, s3, scheduler, sns, sqs, xray
from pulumi_aws import iam as aws_iam

from components.blocks import iam, validation
from components.blocks.alarm import Actions, AlarmActions, Metric, Threshold, create_alarm
from components.blocks.private_bucket import PrivateBucket, PrivateBucketArgs
from components.blocks.python_function import PythonFunction, PythonFunctionArgs, publish_layers
from components.upload_api import ApiRoute
from lambda_packages import build

FUNCTIONS = ("process_avatar", "finish_upload", "sweep_avatars", "erase_user")
"""The functions that an AvatarPipeline creates."""

METRICS_NAMESPACE = "Avatars"
"""The namespace of the functions' own metrics: NAMESPACE of functions/shared/metrics.py."""

_DAY_SECONDS = 24 * 60 * 60
# For the file that takes longest to render (functions/process_avatar/imaging/render_process.py), and one request to AWS
# that is answered only at its last attempt (functions/shared/aws/clients.py). See
# docs/decisions/0033-one-upload-per-invocation.md.
_TIMEOUT_SECONDS = 14
# Six times the function's timeout, as AWS recommends, to allow for retries of throttled invocations:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_VISIBILITY_TIMEOUTS = 6
# For one attempt to invoke the moderation function: READ_TIMEOUT_SECONDS of functions/process_avatar/moderation.py and
# the connect timeout.
_MODERATION_SECONDS = 11
# A caller who waits looks at the status instead: far below the 30 seconds of an HTTP API's integration.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
_FINISH_TIMEOUT_SECONDS = 10
# A request of a function can take effect after its timeout: functions/process_avatar/quota.py.
_LAST_REQUEST_SECONDS = 5
# With the pauses of functions/process_avatar/handler.py, a message survives outages of four minutes.
MAX_RECEIVES = 8
_RETENTION_DAYS = 4  # SQS's default
_MAX_RETENTION_DAYS = 14  # SQS's maximum
_SWEEP_TIMEOUT_SECONDS = 900  # Lambda's maximum
# Lambda repeats an asynchronous invocation that fails twice:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_SWEEP_ATTEMPTS = 3
# Waits for the queue, for process_avatar, and for erase_profile: functions/erase_user.
_ERASE_TIMEOUT_SECONDS = 300
_LATE_SECONDS = 15 * 60
# About forty minutes in total, enough to redeploy a receiver. The default is three retries within a minute:
# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
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
    assets_bucket_name: pulumi.Input[str]
    """The bucket that the CDN serves."""
    assets_bucket_arn: pulumi.Input[str]
    """The ARN of that bucket."""
    cdn_url: pulumi.Input[str]
    """The base URL of the CDN, https://<host> without a slash at the end; URLs in events start with it."""
    allowed_origins: Sequence[pulumi.Input[str]] = ()
    """Origins whose pages may upload to the uploads bucket (CORS)."""
    distribution_arn: pulumi.Input[str] | None = None
    """The ARN of the CloudFront distribution whose caches deleted avatars are removed from. None: no distribution."""
    bucket_name: str | None = None
    """The uploads bucket's physical name. None: auto-named by Pulumi."""
    sizes: Sequence[int] = (256,)
    """Edge lengths of the square WebP variants in pixels. The JPEG at the stable URL always has 512."""
    max_upload_bytes: int = 10_485_760
    """The maximum size of an upload in bytes."""
    max_pixels: int = 50_000_000
    """The maximum size of an image in pixels, width times height."""
    uploads_per_hour: int = 60
    """The maximum number of uploads of one user in a clock hour. 0: no maximum."""
    originals_days: int = 14
    """Days after which unprocessed originals and the records of rejected ones expire."""
    moderation_function_arn: pulumi.Input[str] | None = None
    """The ARN of a Lambda function that approves, rejects or holds each image before it is published. None: every valid
    image is published."""
    webhook_url: pulumi.Input[str] | None = None
    """An HTTPS endpoint to subscribe to the topic. It gets SNS's JSON envelope, which has the signature."""
    max_concurrency: int = 20
    """The maximum number of concurrent invocations of `process_avatar`."""
    alarm_topic_arn: pulumi.Input[str] | None = None
    """The SNS topic for alarm notifications."""
    protect: bool = True
    """Sets `protect` and `retain_on_delete` on the uploads bucket."""
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict[str, int])
    """Reserved concurrency by function. Default: the functions share the unreserved concurrency of the account."""
    log_retention_days: int = 30
    """Days of log retention, one of the values that CloudWatch Logs supports."""
    tracing: bool = False
    """Whether Lambda and SNS send traces to X-Ray."""

    def __post_init__(self) -> None:
        validation.require(
            self,
            cdn_url=validation.HTTPS_URL,
            distribution_arn=validation.optional(validation.DISTRIBUTION_ARN),
            allowed_origins=validation.list_of(validation.ORIGIN),
            bucket_name=validation.optional(validation.BUCKET_NAME),
            sizes=validation.SIZES,
            max_upload_bytes=validation.MAX_UPLOAD_BYTES,
            max_pixels=validation.MAX_PIXELS,
            uploads_per_hour=validation.UPLOADS_PER_HOUR,
            originals_days=validation.ORIGINALS_DAYS,
            moderation_function_arn=validation.optional(validation.MODERATION_FUNCTION),
            webhook_url=validation.optional(validation.HTTPS_URL),
            max_concurrency=validation.MAX_CONCURRENCY,
            alarm_topic_arn=validation.optional(validation.TOPIC_ARN),
            reserved_concurrency=validation.map_of(FUNCTIONS, validation.RESERVED_CONCURRENCY),
            log_retention_days=validation.LOG_RETENTION_DAYS,
            tracing=validation.BOOLEAN,
        )
        if not allows_concurrency(self.reserved_concurrency, self.max_concurrency):
            raise ValueError(
                f"AvatarPipelineArgs.reserved_concurrency is {self.reserved_concurrency!r}; "
                "process_avatar must not be below max_concurrency"
            )


def allows_concurrency(reserved_concurrency: Mapping[str, int], max_concurrency: int) -> bool:
    """Whether `process_avatar` can have `max_concurrency` invocations at once.

    If it cannot, the queue's messages are received, throttled and received again, until they are in the dead-letter
    queue: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    return reserved_concurrency.get("process_avatar", max_concurrency) >= max_concurrency


CreateProfiles: TypeAlias = Callable[["AvatarPipeline"], pulumi.Input[str] | None]
"""Creates what stores the users' profiles, with a pipeline whose bucket exists. Returns the ARN of the function that
erases a profile: it gets {"subject": "..."} and returns {"profile": <bool>, "handles": <int>}. None: no profiles."""


class AvatarPipeline(pulumi.ComponentResource):
    """`avatars:index:AvatarPipeline`

    Creates the uploads bucket with its notification, a queue with a dead-letter queue and two alarms, the topic of
    events, `process_avatar` with its layers and event source mapping, `finish_upload`, `sweep_avatars` with its
    schedule and an alarm, `erase_user`, and the table of the users' limits; with a webhook also its subscription, a
    dead-letter queue of undelivered events, and an alarm. The attributes `uploads_bucket`, `queue`, `dead_letter_queue`
    and `topic` are the resources, and so are `late_uploads`, an alarm, and `undelivered_queue`, or None without a
    webhook. `functions` are those that process uploads, by package, `function_names` has the name of each function,
    `routes` has the route of `finish_upload`, for an UploadApi, and `metrics_service` is the dimension `service` of the
    functions' own metrics.
    """

    uploads_bucket_name: pulumi.Output[str]
    """Name of the uploads bucket."""
    uploads_bucket_arn: pulumi.Output[str]
    """ARN of the uploads bucket."""
    uploads_url: pulumi.Output[str]
    """The URL for form uploads, https://<host>, without a trailing slash."""
    topic_arn: pulumi.Output[str]
    """ARN of the SNS topic of avatar.ready and avatar.rejected events."""
    queue_url: pulumi.Output[str]
    """URL of the queue of uploads to process."""
    dead_letter_queue_url: pulumi.Output[str]
    """URL of the queue of uploads that failed."""
    undelivered_queue_url: pulumi.Output[str] | None
    """URL of the queue of events that the webhook did not accept; only with a webhook."""
    limits_table_name: pulumi.Output[str]
    """Name of the table of the users' limits."""
    erase_function_name: pulumi.Output[str]
    """Name of the function that erases a user."""

    def __init__(
        self,
        name: str,
        args: AvatarPipelineArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        create_profiles: CreateProfiles | None = None,
        alarm_actions: AlarmActions | None = None,
    ) -> None:
        """`create_profiles`: None if users have no profiles that are erased with them.

        `alarm_actions`: None if all alarms notify the topic of `args`.
        """
        self._packages = build.build_packages_once(FUNCTIONS)
        super().__init__("avatars:index:AvatarPipeline", name, None, opts)
        self._name = name
        # With the stack's name, as metrics of two stacks of an account are in one namespace.
        self.metrics_service = f"{name}-{pulumi.get_stack()}"
        self._child_options = pulumi.ResourceOptions(parent=self)

        uploads = self._create_uploads_bucket(args)
        self.uploads_bucket = uploads.bucket
        self.uploads_bucket_name = uploads.bucket_name
        self.uploads_bucket_arn = uploads.bucket_arn
        dead_letters, queue = self._create_queues(args)
        self._notify_queue(queue, uploads)
        topic = self._create_topic(args)
        layers = publish_layers(self._name, self._packages.values(), self._child_options)
        limits = self._create_limits_table()
        function = self._create_function(args, uploads, queue, topic, limits, layers)
        finish = self._create_finish_function(args, uploads, topic, limits, layers)
        self.functions = {"process_avatar": function, "finish_upload": finish}
        self.routes = (ApiRoute("POST /avatars/uploads/{upload_id}/finish", finish),)
        sweep = self._create_sweep(args, layers)
        self._schedule(sweep)
        erase_profile = create_profiles(self) if create_profiles else None
        erase = self._create_erase_function(args, uploads, limits, layers, erase_profile)
        lambda_.EventSourceMapping(
            f"{name}-event-source",
            event_source_arn=queue.arn,
            function_name=function.function_name,
            # Without a batching window: a user waits for the result, and for nobody else's.
            batch_size=1,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=args.max_concurrency),
            opts=self._child_options,
        )
        undelivered = self._subscribe_webhook(args.webhook_url, topic) if args.webhook_url is not None else None
        if alarm_actions is None:
            actions = None if args.alarm_topic_arn is None else [args.alarm_topic_arn]
            alarm_actions = AlarmActions(separate=actions, joined=actions)
        self.late_uploads = self._create_alarms(alarm_actions, queue, dead_letters, undelivered, sweep)

        self.queue, self.dead_letter_queue, self.topic = queue, dead_letters, topic
        self.undelivered_queue = undelivered
        self.uploads_url = pulumi.Output.concat("https://", uploads.regional_domain_name)
        self.topic_arn = topic.arn
        self.queue_url = queue.url
        self.dead_letter_queue_url = dead_letters.url
        self.undelivered_queue_url = undelivered.url if undelivered is not None else None
        self.limits_table_name = limits.name
        self.erase_function_name = erase.function_name
        functions = (function, finish, sweep, erase)
        self.function_names = {its.package_name: its.function_name for its in functions}
        self.register_outputs(
            {
                "uploads_bucket_name": self.uploads_bucket_name,
                "uploads_bucket_arn": self.uploads_bucket_arn,
                "uploads_url": self.uploads_url,
                "topic_arn": self.topic_arn,
                "queue_url": self.queue_url,
                "dead_letter_queue_url": self.dead_letter_queue_url,
                "undelivered_queue_url": self.undelivered_queue_url,
                "limits_table_name": self.limits_table_name,
                "erase_function_name": self.erase_function_name,
            }
        )

    def _create_uploads_bucket(self, args: AvatarPipelineArgs) -> PrivateBucket:
        bucket = PrivateBucket(
            f"{self._name}-uploads",
            PrivateBucketArgs(
                protect=args.protect,
                bucket_name=args.bucket_name,
                expire_days=[
                    (f"{prefix}/", args.originals_days) for prefix in ("incoming", "rejected", "held", "deletions")
                ],
                post_origins=args.allowed_origins,
            ),
            self._child_options,
        )
        bucket.attach_policy()
        return bucket

    def _create_queues(self, args: AvatarPipelineArgs) -> tuple[sqs.Queue, sqs.Queue]:
        dead_letters = sqs.Queue(
            f"{self._name}-dead-letters",
            sqs_managed_sse_enabled=True,
            # As for the queue. SQS counts from when a message was sent, not from when it was moved here.
            message_retention_seconds=min(_MAX_RETENTION_DAYS, args.originals_days) * _DAY_SECONDS,
            opts=self._child_options,
        )
        self._create_queue_policy("dead-letters", dead_letters)
        queue = sqs.Queue(
            f"{self._name}-queue",
            sqs_managed_sse_enabled=True,
            visibility_timeout_seconds=_VISIBILITY_TIMEOUTS * _get_timeout(args),
            # A message is useless after its original has expired.
            message_retention_seconds=min(_RETENTION_DAYS, args.originals_days) * _DAY_SECONDS,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": MAX_RECEIVES}
            ),
            opts=self._child_options,
        )
        sqs.RedriveAllowPolicy(
            f"{self._name}-redrive-allow-policy",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
            ),
            opts=self._child_options,
        )
        return dead_letters, queue

    def _notify_queue(self, queue: sqs.Queue, uploads: PrivateBucket) -> None:
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
        policy = self._create_queue_policy(
            "queue",
            queue,
            iam.allow_s3_send(queue.arn, uploads.bucket_arn, account.account_id),
        )
        # A bucket has one notification configuration: another BucketNotification would silently replace it.
        s3.BucketNotification(
            f"{self._name}-notification",
            bucket=uploads.bucket_name,
            queues=[
                s3.BucketNotificationQueueArgs(
                    id=id_,
                    queue_arn=queue.arn,
                    # Including multipart uploads and copies.
                    events=["s3:ObjectCreated:*"],
                    # Without rejected/, which the function writes: that would be a loop.
                    filter_prefix=prefix,
                )
                for id_, prefix in (("uploaded", "incoming/"), ("deleted", "deletions/"))
            ],
            # S3 sends a test event to the queue before it accepts the configuration.
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )

    def _create_queue_policy(self, role: str, queue: sqs.Queue, *statements: iam.Statement) -> sqs.QueuePolicy:
        return sqs.QueuePolicy(
            f"{self._name}-{role}-policy",
            queue_url=queue.url,
            policy=iam.policy_document(iam.deny_insecure_transport("sqs:*", queue.arn), *statements),
            opts=self._child_options,
        )

    def _create_topic(self, args: AvatarPipelineArgs) -> sns.Topic:
        topic = sns.Topic(
            f"{self._name}-events",
            # The AWS managed key, whose policy allows publishers of the account: the function needs no KMS permissions.
            kms_master_key_id="alias/aws/sns",
            signature_version=2,  # SHA-256; version 1 is SHA-1
            tracing_config="Active" if args.tracing else None,
            opts=self._child_options,
        )
        sns.TopicPolicy(
            f"{self._name}-events-policy",
            arn=topic.arn,
            policy=pulumi.Output.all(
                iam.policy_document(iam.deny_insecure_transport("sns:Publish", topic.arn)),
                topic.arn,
                args.alarm_topic_arn,
            ).apply(lambda values: _refuse_own_topic(*values)),
            opts=self._child_options,
        )
        if args.tracing:
            account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
            xray.ResourcePolicy(
                f"{self._name}-events-traces",
                policy_name=f"{self._name}-events-{pulumi.get_stack()}",
                policy_document=iam.policy_document(iam.allow_sns_traces(topic.arn, account.account_id)),
                opts=self._child_options,
            )
        return topic

    def _create_limits_table(self) -> dynamodb.Table:
        """The table of the users' limits: the uploads that were counted in an hour, and blocks.

        Encrypted at rest with the key that DynamoDB owns, as every table without other settings.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/EncryptionAtRest.html
        Without point-in-time recovery, and not protected: a lost table ends blocks, and begins the users' hours anew.
        """
        return dynamodb.Table(
            f"{self._name}-limits",
            billing_mode="PAY_PER_REQUEST",
            hash_key="subject",
            range_key="period",
            attributes=[dynamodb.TableAttributeArgs(name=key, type="S") for key in ("subject", "period")],
            ttl=dynamodb.TableTtlArgs(attribute_name="expires_at", enabled=True),
            opts=self._child_options,
        )

    def _subscribe_webhook(self, url: pulumi.Input[str], topic: sns.Topic) -> sqs.Queue:
        """Returns the dead-letter queue of the subscription."""
        undelivered = sqs.Queue(
            f"{self._name}-undelivered",
            sqs_managed_sse_enabled=True,
            message_retention_seconds=_MAX_RETENTION_DAYS * _DAY_SECONDS,
            opts=self._child_options,
        )
        policy = self._create_queue_policy("undelivered", undelivered, iam.allow_sns_send(undelivered.arn, topic.arn))
        sns.TopicSubscription(
            f"{self._name}-webhook",
            topic=topic.arn,
            protocol="https",
            endpoint=url,
            raw_message_delivery=False,
            delivery_policy=json.dumps({"healthyRetryPolicy": _WEBHOOK_RETRIES}),
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": undelivered.arn}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )
        return undelivered

    def _create_function(
        self,
        args: AvatarPipelineArgs,
        uploads: PrivateBucket,
        queue: sqs.Queue,
        topic: sns.Topic,
        limits: dynamodb.Table,
        layers: Mapping[str, lambda_.LayerVersion],
    ) -> PythonFunction:
        return PythonFunction(
            f"{self._name}-process-avatar",
            PythonFunctionArgs(
                package=self._packages["process_avatar"],
                description="Processes uploads into avatars, and deletions",
                # The minimum for the worst file, because most of the time is waiting for S3 (measured in
                # bench/results.md): the render process may use 700 MB and has a CPU limit
                # (functions/process_avatar/imaging/render_process.py).
                memory=896,
                timeout=_get_timeout(args),
                environment={
                    **self._get_environment(args, uploads, topic, limits),
                    "QUEUE_URL": queue.url,
                    "DISTRIBUTION_ID": _get_distribution_id(args.distribution_arn),
                },
                statements=[
                    iam.consume_queue(queue.arn),
                    iam.change_visibility(queue.arn),
                    # Originals and requests to delete are deleted after they are processed, rejections with the avatar.
                    iam.delete_objects(uploads.bucket_arn, "incoming/*", "rejected/*", "deletions/*"),
                    # Reads rejected/ to recognize a record that an earlier delivery of the message wrote, deletions/ to
                    # recognize a request that one has completed.
                    *iam.read_objects(uploads.bucket_arn, "incoming/*", "rejected/*", "deletions/*"),
                    iam.write_objects(uploads.bucket_arn, "rejected/*"),
                    *iam.read_objects(args.assets_bucket_arn, "avatars/*"),
                    iam.write_objects(args.assets_bucket_arn, "avatars/*"),
                    iam.tag_objects(args.assets_bucket_arn, "avatars/*.json", "avatars/*.jpg"),
                    iam.delete_objects(args.assets_bucket_arn, "avatars/*.webp"),
                    iam.publish(topic.arn),
                    *([iam.create_invalidation(args.distribution_arn)] if args.distribution_arn is not None else []),
                    iam.get_item(limits.arn),
                    iam.update_item(limits.arn),
                    *_moderate(args.moderation_function_arn, uploads.bucket_arn),
                    *(
                        [iam.delete_objects(uploads.bucket_arn, "held/*")]
                        if args.moderation_function_arn is not None
                        else []
                    ),
                ],
                layers=layers,
                reserved_concurrency=args.reserved_concurrency.get("process_avatar"),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _create_finish_function(
        self,
        args: AvatarPipelineArgs,
        uploads: PrivateBucket,
        topic: sns.Topic,
        limits: dynamodb.Table,
        layers: Mapping[str, lambda_.LayerVersion],
    ) -> PythonFunction:
        return PythonFunction(
            f"{self._name}-finish-upload",
            PythonFunctionArgs(
                package=self._packages["finish_upload"],
                description="Processes an upload while its user waits",
                # Less than process_avatar, as most of the time is waiting for S3. What needs more is left to it.
                memory=480,
                timeout=_FINISH_TIMEOUT_SECONDS,
                environment=self._get_environment(args, uploads, topic, limits),
                # Those of process_avatar, without what the event of the upload completes.
                statements=[
                    iam.delete_objects(uploads.bucket_arn, "incoming/*"),  # of rejected uploads
                    *iam.read_objects(uploads.bucket_arn, "incoming/*", "rejected/*"),
                    iam.write_objects(uploads.bucket_arn, "rejected/*"),
                    *iam.read_objects(args.assets_bucket_arn, "avatars/*.json", "avatars/*.jpg"),
                    iam.write_objects(args.assets_bucket_arn, "avatars/*"),
                    iam.publish(topic.arn),
                    iam.get_item(limits.arn),
                    iam.update_item(limits.arn),
                    *_moderate(args.moderation_function_arn, uploads.bucket_arn),
                ],
                layers=layers,
                reserved_concurrency=args.reserved_concurrency.get("finish_upload"),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _get_environment(
        self, args: AvatarPipelineArgs, uploads: PrivateBucket, topic: sns.Topic, limits: dynamodb.Table
    ) -> dict[str, pulumi.Input[str]]:
        """Returns the variables of functions/process_avatar/environment.py."""
        return {
            "UPLOADS_BUCKET": uploads.bucket_name,
            "ASSETS_BUCKET": args.assets_bucket_name,
            "CDN_URL": args.cdn_url,
            "TOPIC_ARN": topic.arn,
            "SIZES": ",".join(str(size) for size in sorted(args.sizes, reverse=True)),
            "MAX_PIXELS": str(args.max_pixels),
            "MAX_UPLOAD_BYTES": str(args.max_upload_bytes),
            "UPLOADS_PER_HOUR": str(args.uploads_per_hour),
            "LIMITS_TABLE": limits.name,
            "MODERATION_FUNCTION_ARN": "" if args.moderation_function_arn is None else args.moderation_function_arn,
            "METRICS_SERVICE": self.metrics_service,
        }

    def _create_sweep(self, args: AvatarPipelineArgs, layers: Mapping[str, lambda_.LayerVersion]) -> PythonFunction:
        return PythonFunction(
            f"{self._name}-sweep-avatars",
            PythonFunctionArgs(
                package=self._packages["sweep_avatars"],
                description="Deletes versions of avatars that no manifest names",
                memory=512,  # CPU is proportional to it, and listings are parsed one after the other
                timeout=_SWEEP_TIMEOUT_SECONDS,
                environment={
                    "ASSETS_BUCKET": args.assets_bucket_name,
                    "ORIGINALS_DAYS": str(args.originals_days),
                },
                statements=[
                    *iam.read_objects(args.assets_bucket_arn, "avatars/*.json", "avatars/*.jpg"),
                    iam.delete_objects(args.assets_bucket_arn, "avatars/*"),
                ],
                layers=layers,
                reserved_concurrency=args.reserved_concurrency.get("sweep_avatars"),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _create_erase_function(
        self,
        args: AvatarPipelineArgs,
        uploads: PrivateBucket,
        limits: dynamodb.Table,
        layers: Mapping[str, lambda_.LayerVersion],
        erase_profile_arn: pulumi.Input[str] | None,
    ) -> PythonFunction:
        return PythonFunction(
            f"{self._name}-erase-user",
            PythonFunctionArgs(
                package=self._packages["erase_user"],
                description="Erases a user",
                memory=512,  # as sweep_avatars
                timeout=_ERASE_TIMEOUT_SECONDS,
                environment={
                    "UPLOADS_BUCKET": uploads.bucket_name,
                    "ASSETS_BUCKET": args.assets_bucket_name,
                    "LIMITS_TABLE": limits.name,
                    "ERASE_PROFILE_ARN": "" if erase_profile_arn is None else erase_profile_arn,
                    "PROCESSING_SECONDS": str(_get_timeout(args) + _LAST_REQUEST_SECONDS),
                    "LOG_RETENTION_DAYS": str(args.log_retention_days),
                },
                statements=[
                    *iam.delete_avatars(uploads.bucket_arn, args.assets_bucket_arn),
                    iam.list_object_versions(uploads.bucket_arn),
                    iam.delete_object_versions(uploads.bucket_arn, "incoming/*", "rejected/*", "held/*"),
                    iam.list_object_versions(args.assets_bucket_arn),
                    iam.delete_object_versions(args.assets_bucket_arn, "avatars/*"),
                    iam.erase_items(limits.arn),
                    *([iam.invoke_function(erase_profile_arn)] if erase_profile_arn is not None else []),
                ],
                layers=layers,
                reserved_concurrency=args.reserved_concurrency.get("erase_user"),
                log_retention_days=args.log_retention_days,
                tracing=args.tracing,
            ),
            self._child_options,
        )

    def _schedule(self, sweep: PythonFunction) -> None:
        """Has the sweep invoked once a day.

        The scheduler invokes functions asynchronously. It needs a role, as it has no resource-based permissions.
        """
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self))
        role = aws_iam.Role(
            f"{self._name}-sweep-schedule-role",
            description="Lets EventBridge Scheduler invoke the sweep of avatars",
            assume_role_policy=iam.policy_document(
                iam.allow_assume_role("scheduler.amazonaws.com", account_id=account.account_id)
            ),
            opts=self._child_options,
        )
        policy = aws_iam.RolePolicy(
            f"{self._name}-sweep-schedule-policy",
            role=role.name,
            policy=iam.policy_document(iam.invoke_function(sweep.function_arn)),
            opts=self._child_options,
        )
        scheduler.Schedule(
            f"{self._name}-sweep-schedule",
            description="Once a day, at any time",
            schedule_expression="rate(1 days)",
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(
                mode="FLEXIBLE", maximum_window_in_minutes=60
            ),
            target=scheduler.ScheduleTargetArgs(arn=sweep.function_arn, role_arn=role.arn),
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )

    def _create_alarms(
        self,
        actions: AlarmActions,
        queue: sqs.Queue,
        dead_letters: sqs.Queue,
        undelivered: sqs.Queue | None,
        sweep: PythonFunction,
    ) -> cloudwatch.MetricAlarm:
        """Returns the one about late uploads."""
        self._create_queue_alarm(
            "failed-uploads",
            "Uploads or deletions in the dead-letter queue: processing failed",
            Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": dead_letters.name}, "Maximum"),
            0,
            actions.separate,
        )
        if undelivered is not None:
            self._create_queue_alarm(
                "undelivered-events",
                "Events in the dead-letter queue of the webhook: delivery failed",
                Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": undelivered.name}, "Maximum"),
                0,
                actions.separate,
            )
        create_alarm(
            f"{self._name}-failed-sweeps",
            "All attempts of a day to sweep the avatars failed: what no manifest names stays",
            Metric("AWS/Lambda", "Errors", {"FunctionName": sweep.function_name}),
            Threshold("GreaterThanOrEqualToThreshold", _SWEEP_ATTEMPTS),
            actions.separate,
            self._child_options,
            period=_DAY_SECONDS,
        )
        return self._create_queue_alarm(
            "late-uploads",
            f"The oldest upload in the queue is older than {_LATE_SECONDS // 60} minutes",
            Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": queue.name}, "Maximum"),
            _LATE_SECONDS,
            actions.joined,
        )

    def _create_queue_alarm(
        self, role: str, description: str, metric: Metric, limit: int, actions: Actions | None
    ) -> cloudwatch.MetricAlarm:
        """SQS stops reporting metrics for a queue after six hours of inactivity: without data, the alarm is OK."""
        above = Threshold("GreaterThanThreshold", limit)
        return create_alarm(f"{self._name}-{role}", description, metric, above, actions, self._child_options)


def _refuse_own_topic(policy: str, topic_arn: str, alarm_topic_arn: str | None) -> str:
    """Returns `policy`.

    CloudWatch may not use the AWS managed key, so that alarms would never arrive:
    https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns

    Raises:
        pulumi.RunError: The topic of events is also that of alarms.
    """
    if alarm_topic_arn == topic_arn:
        raise pulumi.RunError(
            f"alarmTopicArn is {alarm_topic_arn}, the stack's own topic of events, which CloudWatch cannot use: it is "
            "encrypted with alias/aws/sns. Create another topic."
        )
    return policy


def _get_distribution_id(arn: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """Returns the ID in arn:aws:cloudfront::<account>:distribution/<id>, or empty text for None."""
    return "" if arn is None else pulumi.Output.from_input(arn).apply(lambda text: text.rpartition("/")[2])


def _get_timeout(args: AvatarPipelineArgs) -> int:
    """Returns the timeout of `process_avatar` in seconds."""
    return _TIMEOUT_SECONDS + (_MODERATION_SECONDS if args.moderation_function_arn is not None else 0)


def _moderate(function_arn: pulumi.Input[str] | None, uploads_bucket_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """Allows to invoke the moderation function, under the ARN that is given, and to read and write held/."""
    if function_arn is None:
        return []
    held = "held/*"
    return [
        iam.invoke_function(function_arn),
        iam.read_objects(uploads_bucket_arn, held)[0],
        iam.write_objects(uploads_bucket_arn, held),
    ]
