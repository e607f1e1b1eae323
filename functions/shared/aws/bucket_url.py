"""Where a bucket is on the network."""


def bucket_url(bucket: str, region: str, endpoint: str | None) -> str:
    """Where forms for `bucket` are posted, and below which its objects are; below `endpoint` if that is given.

    The bucket's own regional host: the global one answers with redirects, which browsers do not follow across
    origins, while a bucket is new. A bucket with a dot in its name is not covered by the wildcard certificate of
    those hosts and keeps its name in the path.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}"
    if "." in bucket:
        return f"https://s3.{region}.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.{region}.amazonaws.com/"
