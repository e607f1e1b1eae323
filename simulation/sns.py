"""Simulated SNS: what was published, in order."""

from __future__ import annotations

from typing import Any

from simulation.network import Request, SimulatedClient


class SimulatedSns:
    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        """Messages and their attributes."""


class SimulatedSnsClient(SimulatedClient):
    """`boto3.client("sns")`, as far as the functions use it."""

    service = "sns"

    def publish(self, *, TopicArn: str, Message: str, MessageAttributes: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""

        def effect(request: Request) -> dict[str, Any]:
            published = request.simulation.sns.published
            published.append((Message, MessageAttributes))
            return {"MessageId": f"published-{len(published)}"}

        return self.call("Publish", TopicArn, effect, bucket="sns", is_append=True)
