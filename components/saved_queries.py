"""The questions of the runbook, as saved queries of CloudWatch Logs Insights."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch

from components.blocks.python_function import PythonFunction

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
QUERIES = {
    # Replace UPLOAD_ID in the console: a saved query has no parameters.
    "one-upload": """
        fields @timestamp, @log, message, routeKey, status, reason, errorType, errorMessage, TimeToAvatar
        | filter upload_id = "UPLOAD_ID" or key like "UPLOAD_ID" or path like "UPLOAD_ID"
        | sort @timestamp
        | limit 200
    """,
    "one-user": """
        fields @timestamp, @log, message, upload_id, routeKey, status, reason, errorType
        | filter subject = "SUBJECT" or key like "SUBJECT"
        | sort @timestamp desc
        | limit 200
    """,
    "rejections-by-reason": """
        filter message = "avatar.rejected"
        | stats count(*) as uploads, count_distinct(subject) as users by reason
        | sort uploads desc
    """,
    "slowest-avatars": """
        fields @timestamp, TimeToAvatar, RenderTime, OriginalSize, format, upload_id, subject
        | filter ispresent(TimeToAvatar)
        | sort TimeToAvatar desc
        | limit 50
    """,
    "errors": """
        fields @timestamp, @log, level, message, errorType, errorMessage, key, upload_id, routeKey, status,
            integrationError, authorizerError
        | filter level in ["ERROR", "CRITICAL"] or status >= 500 or record.status in ["error", "timeout"]
        | sort @timestamp desc
        | limit 200
    """,
}


@dataclass(frozen=True, kw_only=True)
class SavedQueriesArgs:
    functions: Sequence[PythonFunction]
    access_log_group_name: pulumi.Input[str]
    """The log group of the requests to the API."""


class SavedQueries(pulumi.ComponentResource):
    """`avatars:index:SavedQueries`

    Creates the queries, in a folder with the names of the component and the stack.
    """

    def __init__(self, name: str, args: SavedQueriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("avatars:index:SavedQueries", name, None, opts)
        for query, text in QUERIES.items():
            cloudwatch.QueryDefinition(
                f"{name}-{query}",
                name=f"{name}-{pulumi.get_stack()}/{query}",
                query_string="\n".join(line.strip() for line in text.strip().splitlines()),
                log_group_names=[*(each.log_group_name for each in args.functions), args.access_log_group_name],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
