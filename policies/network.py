"""Amazon VPC."""

from collections.abc import Callable, Iterator

from policies.rule import Props, Rule, has_one, is_given

VPC = "aws:ec2/vpc:Vpc"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"

_EVERYWHERE = {"0.0.0.0/0", "::/0"}


def _list_ranges(rule: Props) -> set[str | None]:
    return {rule.get("cidrIpv4"), rule.get("cidrIpv6"), *rule.get("cidrBlocks", ()), *rule.get("ipv6CidrBlocks", ())}


def _includes(rule: Props, port: int | None) -> bool:
    """Whether everyone is allowed to connect to a port; None: to every port."""
    protocol = str(rule.get("ipProtocol", rule.get("protocol")))
    is_every_port = protocol == "-1"
    is_port = port is not None and rule.get("fromPort", 0) <= port <= rule.get("toPort", 0)
    return bool(_EVERYWHERE & _list_ranges(rule)) and (is_every_port or is_port)


def _opens(port: int | None) -> Callable[[Props], bool]:
    return lambda rule: not _includes(rule, port)


def _list_open_routes(table: Props, target: str) -> Iterator[Props]:
    for route in table.get("routes") or ():
        if route.get(target) and {route.get("cidrBlock"), route.get("ipv6CidrBlock")} & _EVERYWHERE:
            yield route


def _port(port: int, source: str = "0.0.0.0/0") -> Props:
    return {"ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": source}


RULES = (
    Rule(
        "AwsSolutions-EC23",
        "Not everyone may connect.",
        INGRESS_RULE,
        lambda rule: not _EVERYWHERE & _list_ranges(rule),
        passes=_port(5432, "10.0.0.0/24"),
        fails=_port(5432),
    ),
    *(
        Rule(
            id_,
            f"Not everyone may connect to port {port} ({name}).",
            INGRESS_RULE,
            _opens(port),
            passes=_port(port + 1),
            fails=_port(port),
        )
        for id_, port, name in (("CKV_AWS_24", 22, "SSH"), ("CKV_AWS_25", 3389, "RDP"), ("CKV_AWS_260", 80, "HTTP"))
    ),
    Rule(
        "CKV_AWS_277",
        "Not everyone may connect to every port.",
        INGRESS_RULE,
        _opens(None),
        passes=_port(443),
        fails={"ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"},
    ),
    Rule(
        "CKV_AWS_382",
        "Connections to everywhere and every port are not allowed.",
        EGRESS_RULE,
        _opens(None),
        passes=_port(443),
        fails={"ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"},
    ),
    Rule(
        "AwsSolutions-EC27 CKV_AWS_23",
        "The security group has a description.",
        SECURITY_GROUP,
        is_given("description"),
        passes={"description": "Functions"},
        fails={},
    ),
    *(
        Rule(
            "CKV_AWS_23",
            "The rule has a description.",
            type_,
            is_given("description"),
            passes={"description": "PostgreSQL"},
            fails={},
        )
        for type_ in (INGRESS_RULE, EGRESS_RULE)
    ),
    Rule(
        "CKV2_AWS_5",
        "The security group is used.",
        SECURITY_GROUP,
        has_one,
        beside=(("aws:lambda/function:Function", "vpcConfig"), ("AWS::RDS::DBCluster", "desiredState")),
        passes={},
        passes_beside=({"vpcConfig": {}},),
        fails={},
    ),
    Rule(
        "CKV2_AWS_12",
        "The default security group allows nothing.",
        VPC,
        lambda _, groups: any(not group.get("ingress") and not group.get("egress") for group in groups),
        beside=(("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "vpcId"),),
        passes={},
        passes_beside=({"ingress": [], "egress": []},),
        fails={},
        fails_beside=({"ingress": [], "egress": [{"protocol": "-1"}]},),
    ),
    Rule(
        "AwsSolutions-VPC7 CKV2_AWS_11",
        "Connections are logged (flow logs).",
        VPC,
        has_one,
        beside=(("aws:ec2/flowLog:FlowLog", "vpcId"),),
        passes={},
        passes_beside=({"trafficType": "ALL"},),
        fails={},
        why_not="The VPC has no route to the internet, and its security groups allow two connections: from functions "
        "to the database and to S3. Flow logs are billed by the GB.",
    ),
    Rule(
        "CKV_AWS_130",
        "Instances in the subnet get no public address.",
        "aws:ec2/subnet:Subnet",
        lambda subnet: not subnet.get("mapPublicIpOnLaunch"),
        passes={"mapPublicIpOnLaunch": False},
        fails={"mapPublicIpOnLaunch": True},
    ),
    Rule(
        "CKV2_AWS_35",
        "The default route does not lead to an instance.",
        ROUTE_TABLE,
        lambda table: not any(_list_open_routes(table, "instanceId")),
        passes={"routes": [{"cidrBlock": "0.0.0.0/0", "natGatewayId": "nat-1"}]},
        fails={"routes": [{"cidrBlock": "0.0.0.0/0", "instanceId": "i-1"}]},
    ),
    Rule(
        "CKV2_AWS_44",
        "The default route does not lead to a peered VPC.",
        ROUTE_TABLE,
        lambda table: not any(_list_open_routes(table, "vpcPeeringConnectionId")),
        passes={"routes": [{"cidrBlock": "10.1.0.0/16", "vpcPeeringConnectionId": "pcx-1"}]},
        fails={"routes": [{"cidrBlock": "0.0.0.0/0", "vpcPeeringConnectionId": "pcx-1"}]},
    ),
)
