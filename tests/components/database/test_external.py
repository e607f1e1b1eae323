"""ExternalDatabase, used alone."""

from __future__ import annotations

from typing import Any

import pytest

from components.blocks.python_function import PythonFunction, PythonFunctionArgs, VpcConfig
from components.database.external import ExternalDatabase, ExternalDatabaseArgs
from lambda_packages.build import Package
from local.recording.graph import Graph
from tests.components.conftest import RunAlone, arn, get_statements

URL = "postgresql://app:secret@db.example.com/app"
PARAMETER_ARN = arn("ssm", "parameter/given-url-abc1234")
SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GROUPS = ["sg-0123456789abcdef0"]


@pytest.fixture(scope="module")
def given(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: ExternalDatabase("given", ExternalDatabaseArgs(url=URL)))


def test_parameter_is_standard_secure_string(given: Graph) -> None:
    assert given.one("aws:ssm/parameter:Parameter").inputs == {
        "description": "URL of the profiles database",
        "type": "SecureString",
        "tier": "Standard",
        "value": URL,
    }


def test_outputs(given: Graph) -> None:
    component = given.one("avatars:index:ExternalDatabase")
    assert component.component_outputs == {"parameter_name": "given-url-abc1234"}


@pytest.mark.parametrize("user", ["owner", "app"])
def test_access_has_parameter_name_and_read_permission(
    run_alone: RunAlone, packages: dict[str, Package], user: str
) -> None:
    def program() -> None:
        access = getattr(ExternalDatabase("given", ExternalDatabaseArgs(url=URL)), user)
        PythonFunction(
            "reader",
            PythonFunctionArgs(
                package=packages["presign_upload"],
                description="Reads",
                memory=256,
                timeout=3,
                environment={**access.environment, "ID": access.database_id},
                statements=access.statements,
                vpc_config=access.vpc_config,
            ),
        )

    graph = run_alone(program)
    inputs = graph.one("aws:lambda/function:Function").inputs
    assert inputs["environment"]["variables"] == {
        "DATABASE_URL_PARAMETER": "given-url-abc1234",
        "ID": f"{PARAMETER_ARN}:1",
    }
    assert "vpcConfig" not in inputs
    assert get_statements(graph.named("reader-policy").inputs["policy"])[1:] == [
        {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": PARAMETER_ARN}
    ]


def test_access_in_vpc_has_given_subnets_and_groups(run_alone: RunAlone) -> None:
    configs: list[VpcConfig | None] = []

    def program() -> None:
        database = ExternalDatabase(
            "given", ExternalDatabaseArgs(url=URL, subnet_ids=SUBNETS, security_group_ids=GROUPS)
        )
        configs.extend([database.owner.vpc_config, database.app.vpc_config])

    run_alone(program)
    assert configs == [VpcConfig(subnet_ids=SUBNETS, security_group_ids=GROUPS)] * 2


def test_app_user_is_none(run_alone: RunAlone) -> None:
    users: list[str | None] = []
    run_alone(lambda: users.append(ExternalDatabase("given", ExternalDatabaseArgs(url=URL)).app_user))
    assert users == [None]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"url": "mysql://db.example.com/app"},
            r"ExternalDatabaseArgs\.url is set \(and not shown\); allowed is a postgre",
        ),
        (
            {"subnet_ids": SUBNETS[:1]},
            r"ExternalDatabaseArgs\.subnet_ids is \['subnet-0123456789abcdef0'\]; allowed is an empty",
        ),
        (
            {"security_group_ids": ["default"]},
            r"ExternalDatabaseArgs\.security_group_ids is \['default'\]; allowed is an empty",
        ),
        ({"subnet_ids": SUBNETS}, "both of subnet_ids and security_group_ids, or neither"),
        ({"security_group_ids": GROUPS}, "both of subnet_ids and security_group_ids, or neither"),
    ],
)
def test_args_invalid_raises_value_error(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ExternalDatabaseArgs(**{"url": URL, **settings})
