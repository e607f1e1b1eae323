"""The CDN's caches."""

from botocore.client import BaseClient

from functions.shared.aws import clients

# Where CloudFront's API is: https://docs.aws.amazon.com/general/latest/gr/cf_region.html
_REGION = "us-east-1"
# CloudFront's API is slower than S3's, and nobody waits for it.
_READ_TIMEOUT_SECONDS = 5


class Cdn:
    """A CloudFront distribution.

    Its client is created when it is first needed: few execution environments ever process a deletion.
    """

    def __init__(self, distribution_id: str) -> None:
        self._distribution_id = distribution_id
        self._client: BaseClient | None = None

    def invalidate(self, path: str, request_id: str) -> None:
        """Remove what matches `path` from all caches, within minutes. A repeated request has the same `request_id`.

        https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html

        Raises:
            ClientError: CloudFront refused the request, for example because too many wildcards are in progress.
            BotoCoreError: there was no response.
        """
        if self._client is None:
            self._client = clients.create("cloudfront", read_timeout_seconds=_READ_TIMEOUT_SECONDS, region=_REGION)
        self._client.create_invalidation(
            DistributionId=self._distribution_id,
            InvalidationBatch={"Paths": {"Quantity": 1, "Items": [path]}, "CallerReference": request_id},
        )
