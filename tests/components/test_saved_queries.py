"""The saved queries of CloudWatch Logs Insights."""

from tests.components.conftest import RunStack
from tests.components.test_program import EVERYTHING

QUERY = "aws:cloudwatch/queryDefinition:QueryDefinition"


def test_queries_are_in_a_folder_of_the_stack(run_stack: RunStack) -> None:
    names = {query.inputs["name"] for query in run_stack().of_type(QUERY)}
    assert names == {
        f"avatars-queries-test/{name}"
        for name in ("one-upload", "one-user", "rejections-by-reason", "slowest-avatars", "errors")
    }


def test_queries_read_the_logs_of_what_users_wait_for(run_stack: RunStack) -> None:
    graph = run_stack(EVERYTHING)
    groups = {query.name: query.inputs["logGroupNames"] for query in graph.of_type(QUERY)}
    expected = [
        *(f"avatars-api-{name}-logs-abc1234" for name in ("authorize", "presign-upload", "upload-status")),
        *(f"avatars-api-{name}-logs-abc1234" for name in ("current-avatar", "delete-avatar")),
        *(f"avatars-pipeline-{name}-logs-abc1234" for name in ("process-avatar", "finish-upload")),
        "avatars-profiles-profile-logs-abc1234",
        "/aws/vendedlogs/avatars-api-a1b2c3d4e5",
    ]
    assert list(groups.values()) == [expected] * 5
    assert len(expected) <= 50  # CloudWatch's maximum


def test_query_has_one_command_on_each_line(run_stack: RunStack) -> None:
    text = run_stack().one(QUERY, "avatars-queries-rejections-by-reason").inputs["queryString"]
    assert text == (
        'filter message = "avatar.rejected"\n'
        "| stats count(*) as uploads, count_distinct(subject) as users by reason\n"
        "| sort uploads desc"
    )
