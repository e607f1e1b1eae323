"""Alarms: whom they notify, and what cannot be broken in a local stack: certificates and the bill."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cost
from components import profile_api
from components.avatar_service import AvatarServiceArgs
from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, REGION, ROOT, RunStack, arn, get_statements
from tests.components.test_program import DOMAIN, EVERYTHING
from tests.local.cloudwatch import COMPOSITE_ALARM, METRIC_ALARM, Figures, is_in_alarm

ON_CALL = arn("sns", "on-call")
OWN_TOPIC = arn("sns", "avatars-on-call-topic-abc1234")
OWN_CDN_TOPIC = arn("sns", "avatars-on-call-us-east-1-topic-abc1234", "us-east-1")
EMAIL = {"alarmEmail": "on-call@example.com"}
# Whoever invokes these sees the error: Lambda itself, which repeats the sweep, an operator, or a deployment.
BACKGROUND = {"sweep-avatars", "erase-user", "erase-profile", "migrate-database"}


def get_actions(graph: Graph) -> dict[str, list[str]]:
    """The topics of the alarms that notify somebody, by name."""
    alarms = [*graph.of_type(METRIC_ALARM), *graph.of_type(COMPOSITE_ALARM)]
    assert all(alarm.inputs.get("okActions") == alarm.inputs.get("alarmActions") for alarm in alarms)
    actions = {alarm.name.removeprefix("avatars-"): alarm.inputs.get("alarmActions") for alarm in alarms}
    return {name: topics for name, topics in actions.items() if topics}


def test_without_email_and_topic_no_alarm_notifies(run_stack: RunStack) -> None:
    graph = run_stack()
    assert (get_actions(graph), len(graph.of_type(METRIC_ALARM))) == ({}, 3)
    assert not [resource for resource in graph if "on-call" in resource.name]


def test_separate_causes_and_one_outage_notify_both_topics(run_stack: RunStack) -> None:
    both = [ON_CALL, OWN_TOPIC]
    assert get_actions(run_stack(EVERYTHING)) == {
        "alarms-outage": both,
        "pipeline-failed-uploads": both,
        "pipeline-undelivered-events": both,
        "pipeline-failed-sweeps": both,
        "alarms-api-certificate": both,
        "alarms-cdn-certificate": [OWN_CDN_TOPIC],
    }


def test_runbook_has_a_row_for_each_alarm(run_stack: RunStack) -> None:
    graph = run_stack(EVERYTHING)
    alarms = [its.name for its in (*graph.of_type(METRIC_ALARM), graph.one("aws:budgets/budget:Budget"))]
    text = (ROOT / "docs" / "runbook.md").read_text()
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert [name for name in alarms if f"`...-{name.split('-', 2)[2]}`" not in rows] == ["avatars-alarms-budget"]
    assert "`...-alarms-budget`" in rows
    assert "`...-alarms-outage-...`" in rows


def test_outage_is_any_alarm_that_notifies_nobody(run_stack: RunStack) -> None:
    graph = run_stack(EVERYTHING)
    silent = [alarm.outputs["name"] for alarm in graph.of_type(METRIC_ALARM) if "alarmActions" not in alarm.inputs]
    rule: str = graph.one(COMPOSITE_ALARM).inputs["alarmRule"]
    assert sorted(part.split('"')[0] for part in rule.split('ALARM("')[1:]) == sorted(silent)
    assert rule.startswith(
        '(ALARM("avatars-alarms-slow-avatars-5-minutes-abc1234") AND '
        'ALARM("avatars-alarms-slow-avatars-1-hour-abc1234")) OR '
    )
    assert (rule.count(" AND "), rule.count(" OR ")) == (1, len(silent) - 2)


@pytest.mark.parametrize(("region", "notified"), [(REGION, []), ("us-east-1", ["topic"])])
def test_alarm_of_cdn_certificate_notifies_topic_in_its_region_only(
    run_stack: RunStack, region: str, notified: list[str]
) -> None:
    topic = f"arn:aws:sns:{region}:{ACCOUNT}:topic"
    alarm = run_stack({**DOMAIN, "alarmTopicArn": topic}).named("avatars-alarms-cdn-certificate").inputs
    assert alarm["region"] == "us-east-1"
    assert [topic.rpartition(":")[2] for topic in alarm["alarmActions"]] == notified


@pytest.mark.parametrize("purpose", ["api", "cdn"])
def test_certificate_alarm_goes_off_at_29_days(run_stack: RunStack, purpose: str) -> None:
    """The metric and its dimension: https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html"""
    graph = run_stack(EVERYTHING)
    alarm = graph.named(f"avatars-alarms-{purpose}-certificate").inputs
    certificate = graph.one("aws:acm/certificate:Certificate", f"avatars-{purpose}-tls")
    assert alarm.get("region") == certificate.inputs.get("region")
    figures, day = Figures(), 86_400
    for days, at in ((30, 0), (29, day)):  # ACM publishes it twice a day
        figures.add("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": certificate.outputs["arn"]}, days, at)
    assert [is_in_alarm(alarm, figures, now) for now in (day, 2 * day)] == [False, True]


def test_throttles_of_all_functions_that_users_wait_for_are_watched(run_stack: RunStack) -> None:
    """An alarm can have ten metrics: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms.html"""
    graph = run_stack(EVERYTHING)
    queries = graph.named("avatars-alarms-throttles").inputs["metricQueries"]
    metrics = [query["metric"] for query in queries if "metric" in query]
    assert {(its["namespace"], its["metricName"]) for its in metrics} == {("AWS/Lambda", "Throttles")}
    watched = {its["dimensions"]["FunctionName"] for its in metrics}
    functions = {function.outputs["name"] for function in graph.of_type("aws:lambda/function:Function")}
    unwatched = {name.split("-", 2)[2].removesuffix("-abc1234") for name in functions - watched}
    assert (watched <= functions, unwatched, len(metrics) <= 10) == (True, BACKGROUND, True)
    assert {"erase_profile", "migrate_database"} < set(profile_api.FUNCTIONS)


def test_cost_has_the_alarms_of_each_configuration(run_stack: RunStack) -> None:
    def count(settings: dict[str, Any]) -> tuple[int, int]:
        """CloudWatch bills each metric of an alarm: https://aws.amazon.com/cloudwatch/pricing/"""
        graph = run_stack(settings)
        metrics = [
            [its for its in alarm.inputs.get("metricQueries", [alarm.inputs]) if "expression" not in its]
            for alarm in graph.of_type(METRIC_ALARM)
        ]
        return sum(map(len, metrics)), len(graph.of_type(COMPOSITE_ALARM))

    assert [count(settings) for settings in ({}, EMAIL, EVERYTHING)] == list(cost.ALARMS.values())


def test_email_topic_accepts_alarms_of_account_and_region_only(run_stack: RunStack) -> None:
    graph = run_stack(EMAIL)
    topic = graph.one("aws:sns/topic:Topic", "avatars-on-call-topic")
    assert "kmsMasterKeyId" not in topic.inputs  # the AWS managed key would keep CloudWatch out
    subscription = graph.one("aws:sns/topicSubscription:TopicSubscription")
    assert subscription.inputs == {"topic": OWN_TOPIC, "protocol": "email", "endpoint": "on-call@example.com"}
    policy = graph.named("avatars-on-call-policy")
    assert policy.urn in subscription.dependencies
    assert get_statements(policy.inputs["policy"])[1:] == [
        {
            "Sid": "Alarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": OWN_TOPIC,
            "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"}},
        }
    ]


def test_budget_counts_costs_with_the_tags_of_the_stack(run_stack: RunStack) -> None:
    budget = run_stack(EVERYTHING).one("aws:budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("50", "USD", "MONTHLY")
    tags = [its["tags"] for its in budget["filterExpression"]["ands"]]
    assert tags == [{"key": "Project", "values": ["avatars"]}, {"key": "Stack", "values": ["test"]}]
    common = {
        "comparisonOperator": "GREATER_THAN",
        "threshold": 100,
        "thresholdType": "PERCENTAGE",
        "subscriberEmailAddresses": ["on-call@example.com"],
        "subscriberSnsTopicArns": [ON_CALL],
    }
    assert budget["notifications"] == [{**common, "notificationType": type_} for type_ in ("ACTUAL", "FORECASTED")]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"monthly_budget": 5}, "monthly_budget: it requires alarm_email"),
        ({"monthly_budget": -1}, "monthly_budget is -1; allowed is an integer from 0 to 1,000,000"),
        ({"alarm_email": "on call@example.com"}, "allowed is an email address such as on-call@example.com"),
        ({"alarm_email": "on-call@localhost"}, "allowed is an email address"),
    ],
)
def test_args_without_recipient_or_address_raise_value_error(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        AvatarServiceArgs(**settings)


@pytest.mark.parametrize("recipient", [{"alarm_email": "a@example.com"}, {"alarm_topic_arn": ON_CALL}])
def test_budget_with_either_recipient_is_valid(recipient: dict[str, Any]) -> None:
    assert AvatarServiceArgs(monthly_budget=5, **recipient).monthly_budget == 5
