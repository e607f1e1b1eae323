"""X-Ray, with the key `tracing` and without."""

import json

from local.recording.graph import Graph
from tests.components.conftest import ACCOUNT, RunStack, arn, get_statements
from tests.components.invariants import WRITE_TRACES
from tests.components.test_program import AURORA, EVERYTHING

FUNCTION = "aws:lambda/function:Function"
POLICY = "aws:xray/resourcePolicy:ResourcePolicy"


def find_functions_with_permission(graph: Graph) -> set[str]:
    policies = graph.of_type("aws:iam/rolePolicy:RolePolicy")
    names = {role.outputs["name"]: role.name.removesuffix("-role") for role in graph.of_type("aws:iam/role:Role")}
    return {
        names[policy.inputs["role"]] for policy in policies if WRITE_TRACES in get_statements(policy.inputs["policy"])
    }


def test_tracing_is_active_in_functions_and_topic(run_stack: RunStack) -> None:
    graph = run_stack(EVERYTHING)
    functions = graph.of_type(FUNCTION)
    assert {function.inputs["tracingConfig"]["mode"] for function in functions} == {"Active"}
    assert find_functions_with_permission(graph) == {function.name for function in functions}
    topic = graph.one("aws:sns/topic:Topic", "avatars-pipeline-events")
    assert topic.inputs["tracingConfig"] == "Active"
    policy = graph.one(POLICY).inputs
    assert policy["policyName"] == "avatars-pipeline-events-test"
    assert json.loads(policy["policyDocument"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": ["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
            "Resource": "*",
            "Condition": {
                "ArnEquals": {"aws:SourceArn": arn("sns", "avatars-pipeline-events-abc1234")},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        }
    ]


def test_tracing_is_off_by_default_without_permissions(run_stack: RunStack) -> None:
    graph = run_stack(AURORA)
    assert not any("tracingConfig" in resource.inputs for resource in graph)
    assert find_functions_with_permission(graph) == set()
    assert graph.of_type(POLICY) == []
