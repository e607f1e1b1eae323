"""Amazon API Gateway (HTTP and WebSocket APIs)."""

from policies.rule import Rule, is_given

_STAGE = "aws:apigatewayv2/stage:Stage"

RULES = (
    Rule(
        "AwsSolutions-APIG1 CKV_AWS_76",
        "Access logs are on.",
        _STAGE,
        is_given("accessLogSettings.destinationArn"),
        passes={"accessLogSettings": {"destinationArn": "arn:aws:logs:eu-west-1:123456789012:log-group:a"}},
        fails={},
    ),
    Rule(
        "AwsSolutions-APIG4 CKV_AWS_309",
        "Each route has an authorizer.",
        "aws:apigatewayv2/route:Route",
        lambda route: route.get("authorizationType", "NONE") != "NONE",
        passes={"authorizationType": "CUSTOM"},
        fails={"authorizationType": "NONE"},
        why_not="All routes have one, except GET /profiles/{handle}: profiles are public, and the route has a throttle "
        "of its own (decision 37).",
    ),
    Rule(
        "CKV2_AWS_51",
        "A WebSocket API authenticates with a client certificate.",
        "aws:apigatewayv2/api:Api",
        lambda api, stages: (
            api["protocolType"] != "WEBSOCKET" or all(stage.get("clientCertificateId") for stage in stages)
        ),
        beside=((_STAGE, "apiId"),),
        passes={"protocolType": "HTTP"},
        passes_beside=({},),
        fails={"protocolType": "WEBSOCKET"},
        fails_beside=({},),
    ),
)
