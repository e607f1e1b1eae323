"""A network that leads nowhere but to S3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_aws import ec2

from components.blocks import iam

# Nobody else is in it and nothing is joined to it, so any range does. Small: RDS takes an address for each instance,
# Lambda one for each subnet that functions share.
_ADDRESSES = "10.0.0.0/24"
_SUBNET_ADDRESSES = ("10.0.0.0/26", "10.0.0.64/26")


@dataclass(frozen=True, kw_only=True)
class PrivateNetworkArgs:
    s3_statements: Sequence[iam.Statement]
    """What may be asked of S3 from within; who asks needs leave of their own as well."""


class PrivateNetwork(pulumi.ComponentResource):
    """`avatars:index:PrivateNetwork`

    Makes: a VPC without an internet gateway, two subnets in two availability zones, their route table, a gateway
    endpoint for S3, and the VPC's default security group, emptied.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: pulumi.Output[Sequence[str]]
    """Known when the subnets have their routes."""
    s3_prefix_list_id: pulumi.Output[str]
    """S3's addresses, for security groups; known when the way there exists."""

    def __init__(
        self,
        name: str,
        args: PrivateNetworkArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("avatars:index:PrivateNetwork", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)

        vpc = ec2.Vpc(name, cidr_block=_ADDRESSES, enable_dns_support=True, opts=self._child)
        # Every VPC comes with one that lets its members talk to each other and to everybody; what forgets to name its
        # group is in it.
        ec2.DefaultSecurityGroup(f"{name}-default-group", vpc_id=vpc.id, ingress=[], egress=[], opts=self._child)
        routes = ec2.RouteTable(f"{name}-routes", vpc_id=vpc.id, opts=self._child)
        endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", vpc.region, ".s3"),
            # Of S3's two kinds the one that costs nothing:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=iam.policy(*args.s3_statements),
            opts=self._child,
        )

        self.vpc_id = vpc.id
        self.subnet_ids = self._subnets(vpc, routes)
        self.s3_prefix_list_id = endpoint.prefix_list_id
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "subnet_ids": self.subnet_ids,
                "s3_prefix_list_id": self.s3_prefix_list_id,
            }
        )

    def _subnets(self, vpc: ec2.Vpc, routes: ec2.RouteTable) -> pulumi.Output[Sequence[str]]:
        zones = aws.get_availability_zones_output(
            state="available",
            # Not Local Zones, which a region may have been given besides and RDS does not run in.
            filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
            opts=pulumi.InvokeOptions(parent=self),
        )
        ids: list[pulumi.Output[str]] = []
        for index, addresses in enumerate(_SUBNET_ADDRESSES):
            subnet = ec2.Subnet(
                f"{self._name}-subnet-{index + 1}",
                vpc_id=vpc.id,
                cidr_block=addresses,
                availability_zone=zones.names[index],
                map_public_ip_on_launch=False,
                opts=self._child,
            )
            association = ec2.RouteTableAssociation(
                f"{self._name}-subnet-{index + 1}-routes",
                subnet_id=subnet.id,
                route_table_id=routes.id,
                opts=self._child,
            )
            ids.append(pulumi.Output.all(subnet.id, association.id).apply(lambda known: known[0]))
        return pulumi.Output.all(*ids)
