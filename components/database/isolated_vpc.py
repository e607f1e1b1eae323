"""Isolated VPC with an S3 gateway endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_aws import ec2

from components.blocks import iam
from components.blocks.dependencies import after

# The VPC has no peering connections, so the range cannot overlap with another. It is small: RDS needs one address per
# instance, Lambda one per combination of subnet and security groups.
_CIDR_BLOCK = "10.0.0.0/24"
# The oldest zone of us-east-1, under another name in each account. Lambda refuses a function with a subnet in it:
# https://github.com/keboola/developer-portal/issues/81
_ZONES_WITHOUT_LAMBDA = ("use1-az3",)
_SUBNET_CIDR_BLOCKS = ("10.0.0.0/26", "10.0.0.64/26")


@dataclass(frozen=True, kw_only=True)
class IsolatedVpcArgs:
    s3_statements: Sequence[iam.Statement]
    """The endpoint's policy. Callers need the same permissions in their own policies."""


class IsolatedVpc(pulumi.ComponentResource):
    """`avatars:index:IsolatedVpc`

    Creates a VPC without internet access: two subnets in two Availability Zones, their route table, a gateway endpoint
    for S3, and the default security group without rules.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: pulumi.Output[Sequence[str]]
    """Depends on the subnets' route table associations."""
    s3_prefix_list_id: pulumi.Output[str]
    """The prefix list of S3's addresses, for security group rules; depends on the endpoint."""

    def __init__(
        self,
        name: str,
        args: IsolatedVpcArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:IsolatedVpc", name, None, opts)
        self._name = name
        self._child_options = pulumi.ResourceOptions(parent=self)

        vpc = ec2.Vpc(name, cidr_block=_CIDR_BLOCK, enable_dns_support=True, opts=self._child_options)
        # AWS creates it with rules that allow all traffic, and uses it for what has no other security group.
        ec2.DefaultSecurityGroup(
            f"{name}-default-group", vpc_id=vpc.id, ingress=[], egress=[], opts=self._child_options
        )
        route_table = ec2.RouteTable(f"{name}-routes", vpc_id=vpc.id, opts=self._child_options)
        endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", vpc.region, ".s3"),
            # Free of charge, unlike an interface endpoint:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
            vpc_endpoint_type="Gateway",
            route_table_ids=[route_table.id],
            policy=iam.policy_document(*args.s3_statements),
            opts=self._child_options,
        )

        self.vpc_id = vpc.id
        self.subnet_ids = self._create_subnets(vpc, route_table)
        self.s3_prefix_list_id = endpoint.prefix_list_id
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "subnet_ids": self.subnet_ids,
                "s3_prefix_list_id": self.s3_prefix_list_id,
            }
        )

    def _create_subnets(self, vpc: ec2.Vpc, route_table: ec2.RouteTable) -> pulumi.Output[Sequence[str]]:
        zones = aws.get_availability_zones_output(
            state="available",
            # Without Local Zones, which RDS does not support.
            filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
            exclude_zone_ids=_ZONES_WITHOUT_LAMBDA,
            opts=pulumi.InvokeOptions(parent=self),
        )
        ids: list[pulumi.Output[str]] = []
        for index, cidr_block in enumerate(_SUBNET_CIDR_BLOCKS):
            subnet = ec2.Subnet(
                f"{self._name}-subnet-{index + 1}",
                vpc_id=vpc.id,
                cidr_block=cidr_block,
                availability_zone=zones.names[index],
                map_public_ip_on_launch=False,
                opts=self._child_options,
            )
            association = ec2.RouteTableAssociation(
                f"{self._name}-subnet-{index + 1}-routes",
                subnet_id=subnet.id,
                route_table_id=route_table.id,
                opts=self._child_options,
            )
            ids.append(after(subnet.id, association))
        return pulumi.Output.all(*ids)
