"""Rules for the infrastructure, as a Pulumi policy pack and as tests.

Every rule of cdk-nag's AwsSolutions pack and of checkov that applies to a resource type of the program, by the tool's
own ID, restated for the properties of pulumi-aws.

https://github.com/cdklabs/cdk-nag/blob/main/RULES.md
https://github.com/bridgecrewio/checkov/tree/main/checkov/terraform/checks
"""

from collections.abc import Mapping

from policies import api_gateway, cloudfront, compute, data, identity, messaging, network, s3
from policies.rule import Rule

SERVICES: Mapping[str, tuple[Rule, ...]] = {
    "S3": s3.RULES,
    "CloudFront, certificates, DNS": cloudfront.RULES,
    "API Gateway": api_gateway.RULES,
    "Lambda, Scheduler": compute.RULES,
    "SQS, SNS": messaging.RULES,
    "IAM, Cognito": identity.RULES,
    "Aurora, DynamoDB, Parameter Store, CloudWatch": data.RULES,
    "VPC": network.RULES,
}

RULES = tuple(rule for rules in SERVICES.values() for rule in rules)

LEFT_OUT = {
    "AwsSolutions-RDS3": "it is about instances that are not Aurora's",
    "AwsSolutions-RDS13": "it is about instances that are not Aurora's",
    "CKV_AWS_233": "it is about Terraform's lifecycle block; Pulumi creates a replacement first",
    "CKV2_AWS_1": "it is about network ACLs, of which there are none",
    "CKV2_AWS_7": "it is about Amazon EMR",
    "CKV2_AWS_10": "it is about AWS CloudTrail",
    "CKV2_AWS_36": "it is about Terraform's data source for HTTP requests",
    "CKV2_AWS_47": "it is about the rules of a web ACL, which the program does not create",
    "CKV2_AWS_68": "it is about Amazon SageMaker",
    "CKV2_AWS_77": "it is about the rules of a web ACL, which an HTTP API cannot have",
}
"""Rules that name a resource type of the program but judge something else, with the reason."""
