"""Who is told when the service fails or costs too much, and of what."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import budgets, cloudwatch, sns

from components.avatar_pipeline import METRICS_NAMESPACE
from components.blocks import iam
from components.blocks.alarm import Actions, Metric, MetricMath, Threshold, create_alarm

# The service level objective, over 30 days: the share of avatars that are published within five seconds.
_OBJECTIVE = 0.99
# At this rate, an hour uses 2% of the 30 days' error budget. The objective must be missed by it in the last hour, which
# tells that it matters, and in the last five minutes, which tells that it goes on:
# https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts
_BURN_RATE = 14.4
_MIN_SHARE = round(1 - _BURN_RATE * (1 - _OBJECTIVE), 4)
_SHORT_SECONDS, _LONG_SECONDS = 5 * 60, 60 * 60
# In an hour with fewer, one late avatar would be too large a share.
_MIN_AVATARS = 10

# Three of the last five minutes: a moment is retried, and so is a paused database, which resumes in less than a minute.
_PERSISTING = (3, 5)
_MAX_ERROR_PERCENT = 5

# ACM renews a certificate earlier, if it can validate the domain:
# https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting-renewal.html
_MIN_CERTIFICATE_DAYS = 30
_DAY_SECONDS = 24 * 60 * 60

# These tell the costs of a stack from those of others.
_BUDGET_TAGS = ("Project", "Stack")


class AlarmTopic(pulumi.ComponentResource):
    """`avatars:index:AlarmTopic`

    Creates an SNS topic that the account's alarms may publish to, with its policy, and the subscription of an email
    address.
    """

    topic_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        email: pulumi.Input[str],
        region: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`region` is the topic's region, if it is not the provider's."""
        super().__init__("avatars:index:AlarmTopic", name, None, opts)
        child_options = pulumi.ResourceOptions(parent=self)

        # Without a KMS key: CloudWatch may not use the AWS managed one (docs/decisions/0059-alarms-for-causes.md).
        topic = sns.Topic(f"{name}-topic", region=region, opts=child_options)
        policy = sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            policy=iam.policy_document(
                iam.deny_insecure_transport("sns:Publish", topic.arn), iam.allow_alarms_publish(topic.arn)
            ),
            region=region,
            opts=child_options,
        )
        sns.TopicSubscription(
            f"{name}-email",
            topic=topic.arn,
            protocol="email",
            endpoint=email,
            region=region,
            opts=pulumi.ResourceOptions(parent=self, depends_on=policy),
        )

        self.topic_arn = topic.arn
        self.register_outputs({"topic_arn": self.topic_arn})


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of ACM, and its region if that is not the provider's."""

    arn: pulumi.Input[str]
    region: str | None
    actions: pulumi.Input[Actions]
    """Topics in that region."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the stack may cost in a month, and whom AWS Budgets notifies if it costs more, or will."""

    usd: int
    email: pulumi.Input[str] | None
    """An address, to which AWS Budgets sends email itself."""
    topic_arn: pulumi.Input[str] | None
    """An SNS topic whose policy allows budgets.amazonaws.com."""
    tags: Mapping[str, str]
    """Those of the stack's resources. Without Project and Stack, the budget is for the whole account."""


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    actions: Actions
    """The topics to notify."""
    metrics_service: str
    """The dimension `service` of the pipeline's own metrics."""
    api_id: pulumi.Input[str]
    """The ID of the HTTP API."""
    functions: Mapping[str, pulumi.Input[str]]
    """The names of the functions that users wait for, by package, ten at most; one of them is `authorize`."""
    late_uploads: cloudwatch.MetricAlarm
    """The pipeline's alarm about uploads in the queue, which notifies nobody itself."""
    database_metrics_service: str | None
    """The dimension `service` of the profiles' own metrics. None: no database."""
    certificates: Mapping[str, Certificate]
    """By what they are for."""
    budget: Budget | None


class Alarms(pulumi.ComponentResource):
    """`avatars:index:Alarms`

    Creates alarms about what users notice: late avatars, errors of the API and the authorizer, throttled functions, and
    a database that does not answer. They notify nobody; a composite alarm joins them and the pipeline's alarm about
    late uploads, so that a fault is one message. And an alarm for each certificate, and a budget if one is given.
    """

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("avatars:index:Alarms", name, None, opts)
        self._name = name
        self._args = args
        self._child_options = pulumi.ResourceOptions(parent=self)

        short, long = self._create_slow_avatars()
        joined = [args.late_uploads, self._create_api_errors(), self._create_authorizer_errors()]
        joined.append(self._create_throttles())
        if args.database_metrics_service is not None:
            joined.append(self._create_database_errors(args.database_metrics_service))
        self._join(short, long, joined)
        for purpose, certificate in args.certificates.items():
            self._create_certificate_alarm(purpose, certificate)
        if args.budget:
            self._create_budget(args.budget)
        self.register_outputs({})

    def _create_slow_avatars(self) -> tuple[cloudwatch.MetricAlarm, cloudwatch.MetricAlarm]:
        dimensions = {"service": self._args.metrics_service}
        share, count = (
            Metric(METRICS_NAMESPACE, "AvatarWithin5Seconds", dimensions, statistic)
            for statistic in ("Average", "SampleCount")
        )
        description = f"Less than {_MIN_SHARE:.1%} of avatars were published within five seconds"
        too_few = Threshold("LessThanThreshold", _MIN_SHARE)
        short = create_alarm(
            f"{self._name}-slow-avatars-5-minutes",
            f"{description}, in five minutes",
            MetricMath("FILL(share, 1)", {"share": share}),
            too_few,
            None,
            self._child_options,
            period=_SHORT_SECONDS,
        )
        long = create_alarm(
            f"{self._name}-slow-avatars-1-hour",
            f"{description}, in an hour",
            MetricMath(
                f"IF(FILL(avatars, 0) >= {_MIN_AVATARS}, FILL(share, 1), 1)", {"share": share, "avatars": count}
            ),
            too_few,
            None,
            self._child_options,
            period=_LONG_SECONDS,
        )
        return short, long

    def _create_api_errors(self) -> cloudwatch.MetricAlarm:
        dimensions = {"ApiId": self._args.api_id}
        return create_alarm(
            f"{self._name}-api-errors",
            f"More than {_MAX_ERROR_PERCENT}% of the API's responses have a status 5xx",
            MetricMath(
                "100 * FILL(errors, 0) / FILL(requests, 1)",
                {
                    "errors": Metric("AWS/ApiGateway", "5xx", dimensions),
                    "requests": Metric("AWS/ApiGateway", "Count", dimensions),
                },
            ),
            Threshold("GreaterThanThreshold", _MAX_ERROR_PERCENT),
            None,
            self._child_options,
            datapoints=_PERSISTING,
        )

    def _create_authorizer_errors(self) -> cloudwatch.MetricAlarm:
        return create_alarm(
            f"{self._name}-authorizer-errors",
            "The authorizer fails: it cannot tell whether a token is valid",
            _count_zero(Metric("AWS/Lambda", "Errors", {"FunctionName": self._args.functions["authorize"]})),
            Threshold("GreaterThanThreshold", 0),
            None,
            self._child_options,
            datapoints=_PERSISTING,
        )

    def _create_throttles(self) -> cloudwatch.MetricAlarm:
        metrics = {
            package: Metric("AWS/Lambda", "Throttles", {"FunctionName": function})
            for package, function in self._args.functions.items()
        }
        return create_alarm(
            f"{self._name}-throttles",
            "Lambda throttles a function that users wait for",
            MetricMath(" + ".join(f"FILL({id_}, 0)" for id_ in metrics), metrics),
            Threshold("GreaterThanThreshold", 0),
            None,
            self._child_options,
            datapoints=_PERSISTING,
        )

    def _create_database_errors(self, metrics_service: str) -> cloudwatch.MetricAlarm:
        return create_alarm(
            f"{self._name}-database-errors",
            "The database of profiles does not answer",
            _count_zero(Metric(METRICS_NAMESPACE, "DatabaseUnavailable", {"service": metrics_service})),
            Threshold("GreaterThanThreshold", 0),
            None,
            self._child_options,
            datapoints=_PERSISTING,
        )

    def _join(
        self,
        short: cloudwatch.MetricAlarm,
        long: cloudwatch.MetricAlarm,
        joined: list[cloudwatch.MetricAlarm],
    ) -> None:
        rules = [pulumi.Output.format('ALARM("{0}")', alarm.name) for alarm in joined]
        slow = pulumi.Output.format('(ALARM("{0}") AND ALARM("{1}"))', short.name, long.name)
        cloudwatch.CompositeAlarm(
            f"{self._name}-outage",
            alarm_name=f"{self._name}-outage-{pulumi.get_stack()}",
            alarm_description="Users wait or get errors. docs/runbook.md#outages",
            alarm_rule=pulumi.Output.all(slow, *rules).apply(" OR ".join),
            alarm_actions=self._args.actions,
            ok_actions=self._args.actions,
            opts=self._child_options,
        )

    def _create_certificate_alarm(self, purpose: str, certificate: Certificate) -> None:
        create_alarm(
            f"{self._name}-{purpose}-certificate",
            f"The certificate expires in less than {_MIN_CERTIFICATE_DAYS} days: ACM could not renew it",
            # https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
            Metric("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": certificate.arn}, "Minimum"),
            Threshold("LessThanThreshold", _MIN_CERTIFICATE_DAYS),
            certificate.actions,
            self._child_options,
            period=_DAY_SECONDS,
            region=certificate.region,
        )

    def _create_budget(self, budget: Budget) -> None:
        filters = [
            budgets.BudgetFilterExpressionAndArgs(
                tags=budgets.BudgetFilterExpressionAndTagsArgs(key=key, values=[budget.tags[key]])
            )
            for key in _BUDGET_TAGS
            if key in budget.tags
        ]
        is_filtered = len(filters) == len(_BUDGET_TAGS)
        budgets.Budget(
            f"{self._name}-budget",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(budget.usd),
            limit_unit="USD",
            filter_expression=budgets.BudgetFilterExpressionArgs(ands=filters) if is_filtered else None,
            metrics="UnblendedCost" if is_filtered else None,
            notifications=[
                budgets.BudgetNotificationArgs(
                    notification_type=type_,
                    comparison_operator="GREATER_THAN",
                    threshold=100,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=None if budget.email is None else [budget.email],
                    subscriber_sns_topic_arns=None if budget.topic_arn is None else [budget.topic_arn],
                )
                for type_ in ("ACTUAL", "FORECASTED")
            ],
            opts=self._child_options,
        )


def _count_zero(metric: Metric) -> MetricMath:
    """Fills minutes without data, in whose place CloudWatch would look at older ones.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    return MetricMath("FILL(count, 0)", {"count": metric})
