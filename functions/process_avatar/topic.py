"""The topic that is told what became of uploads.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import json
from collections.abc import Mapping

from functions.process_avatar.aws_query import QueryApi


class Topic:
    def __init__(self, arn: str) -> None:
        self._arn = arn
        region = arn.split(":")[3]  # arn:partition:sns:region:account:name
        self._sns = QueryApi("sns", region, "2010-03-31")

    def publish(self, event: str, message: Mapping[str, object]) -> None:
        """Send `message` as JSON; subscribers filter by the attribute `event`. QueryError if SNS refuses it."""
        self._sns.call(
            "Publish",
            {
                "TopicArn": self._arn,
                "Message": json.dumps(message),
                "MessageAttributes.entry.1.Name": "event",
                "MessageAttributes.entry.1.Value.DataType": "String",
                "MessageAttributes.entry.1.Value.StringValue": event,
            },
        )
