"""The CDN and the image pipeline, with an API of the program's own instead of `UploadApi`."""

import json

import pulumi
import pulumi_avatars as avatars
import pulumi_aws as aws

cdn = avatars.AssetsCdn("photos-cdn", allowed_origins=["https://app.example.com"])
pipeline = avatars.AvatarPipeline(
    "photos-pipeline",
    assets_bucket_name=cdn.bucket_name,
    assets_bucket_arn=cdn.bucket_arn,
    cdn_url=cdn.base_url,
    allowed_origins=["https://app.example.com"],
    sizes=[64, 256],
)

role = aws.iam.Role(
    "photos-api",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
    ),
    managed_policy_arns=["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
)
# The signed form has the permissions of this role.
aws.iam.RolePolicy(
    "photos-api",
    role=role.id,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:PutObject",
                    "Resource": pulumi.Output.concat(pipeline.uploads_bucket_arn, "/incoming/*"),
                }
            ],
        }
    ),
)
api = aws.lambda_.Function(
    "photos-api",
    runtime="python3.13",
    handler="handler.handle",
    role=role.arn,
    code=pulumi.FileArchive("api"),
    environment={"variables": {"UPLOADS_BUCKET": pipeline.uploads_bucket_name}},
)
# Only callers with AWS credentials can call it: your backend, which knows its users.
url = aws.lambda_.FunctionUrl("photos-api", function_name=api.name, authorization_type="AWS_IAM")

pulumi.export("apiUrl", url.function_url)
pulumi.export("avatarUrl", pulumi.Output.concat(cdn.base_url, "/avatars/{user}.jpg"))
pulumi.export("topicArn", pipeline.topic_arn)
