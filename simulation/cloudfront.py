"""Simulated CloudFront: what was invalidated."""

from __future__ import annotations

from typing import Any

from simulation.network import Request, SimulatedClient


class SimulatedCloudFront:
    def __init__(self) -> None:
        self.invalidations: dict[str, list[str]] = {}
        """Paths, by CallerReference."""


class SimulatedCloudFrontClient(SimulatedClient):
    """`boto3.client("cloudfront")`, as far as the functions use it."""

    service = "cloudfront"

    def create_invalidation(self, *, DistributionId: str, InvalidationBatch: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html"""

        def effect(request: Request) -> dict[str, Any]:
            invalidations = request.simulation.cloudfront.invalidations
            invalidations.setdefault(InvalidationBatch["CallerReference"], InvalidationBatch["Paths"]["Items"])
            return {"Invalidation": {"Status": "InProgress", "InvalidationBatch": InvalidationBatch}}

        return self.call("CreateInvalidation", DistributionId, effect, bucket="cloudfront", is_append=True)
