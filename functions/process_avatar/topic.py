"""The topic that announces the result of every upload."""

import json
from collections.abc import Mapping

from botocore.client import BaseClient


class Topic:
    def __init__(self, sns: BaseClient, arn: str) -> None:
        """`sns` is a client in the topic's own region."""
        self._sns = sns
        self._arn = arn

    def publish(self, event: str, message: Mapping[str, object]) -> None:
        """Send `message` as JSON. Subscribers filter by the message attribute `event`.

        Raises:
            ClientError: SNS refused the message.
            BotoCoreError: there was no response.
        """
        self._sns.publish(
            TopicArn=self._arn,
            Message=json.dumps(message),
            MessageAttributes={"event": {"DataType": "String", "StringValue": event}},
        )
