"""Simulated moderation: the function that decides about uploads, and whether a run has one.

Operators decide about held uploads with the real command (operations/moderation.py).
"""

from __future__ import annotations

import io
import json
from typing import Any

from simulation.network import Request, SimulatedClient
from simulation.scheduler import current_task


class IsModerated:
    """True in runs with moderation: the handlers are loaded once, for runs with and without."""

    def __bool__(self) -> bool:
        return current_task().invocation.simulation.is_moderated


class SimulatedLambdaClient(SimulatedClient, IsModerated):
    """`boto3.client("lambda")`, as far as the functions use it."""

    service = "lambda"

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
        upload_id: str = json.loads(Payload)["upload_id"]

        def effect(request: Request) -> dict[str, Any]:
            answer = {"decision": request.simulation.uploads[upload_id].verdict}
            return {"Payload": io.BytesIO(json.dumps(answer).encode())}

        return self.call("Invoke", upload_id, effect, bucket=FunctionName, is_append=True)
