"""ExternalDatabase, used alone."""

from __future__ import annotations

from typing import Any

import pytest

from components.blocks.python_function import Network, PythonFunction, PythonFunctionArgs
from components.database.external import ExternalDatabase, ExternalDatabaseArgs
from lambda_packages.build import Package
from local.recording.recorder import Graph
from tests.components.conftest import RunAlone, arn, document

URL = "postgresql://app:secret@db.example.com/app"
PARAMETER_ARN = arn("ssm", "parameter/given-url-abc1234")
SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GROUPS = ["sg-0123456789abcdef0"]


@pytest.fixture(scope="module")
def given(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: ExternalDatabase("given", ExternalDatabaseArgs(url=URL)))


def test_the_url_is_kept_encrypted_at_no_cost(given: Graph) -> None:
    assert given.one("aws:ssm/parameter:Parameter").inputs == {
        "description": "The database of the users' profiles",
        "type": "SecureString",
        "tier": "Standard",
        "value": URL,
    }


def test_what_it_gives(given: Graph) -> None:
    component = given.one("avatars:index:ExternalDatabase")
    assert component.component_outputs == {"parameter_name": "given-url-abc1234"}


@pytest.mark.parametrize("user", ["owner", "app"])
def test_a_function_gets_the_name_of_the_parameter_and_may_read_it(
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
                network=access.network,
            ),
        )

    graph = run_alone(program)
    inputs = graph.one("aws:lambda/function:Function").inputs
    assert inputs["environment"]["variables"] == {
        "DATABASE_URL_PARAMETER": "given-url-abc1234",
        "ID": f"{PARAMETER_ARN}:1",
    }
    assert "vpcConfig" not in inputs
    assert document(graph.named("reader-policy").inputs["policy"])[1:] == [
        {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": PARAMETER_ARN}
    ]


def test_in_a_vpc_a_function_is_where_it_is_told_to_be(run_alone: RunAlone) -> None:
    networks: list[Network | None] = []

    def program() -> None:
        database = ExternalDatabase("given", ExternalDatabaseArgs(url=URL, subnet_ids=SUBNETS, security_group_ids=GROUPS))
        networks.extend([database.owner.network, database.app.network])

    run_alone(program)
    assert networks == [Network(subnet_ids=SUBNETS, security_group_ids=GROUPS)] * 2


def test_its_user_is_there_already(run_alone: RunAlone) -> None:
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
            r"ExternalDatabaseArgs\.subnet_ids is \['subnet-0123456789abcdef0'\]; allowed is a li",
        ),
        (
            {"security_group_ids": ["default"]},
            r"ExternalDatabaseArgs\.security_group_ids is \['default'\]; allowed is a lis",
        ),
        ({"subnet_ids": SUBNETS}, "both of subnet_ids and security_group_ids, or neither"),
        ({"security_group_ids": GROUPS}, "both of subnet_ids and security_group_ids, or neither"),
    ],
)
def test_wrong_arguments_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ExternalDatabaseArgs(**{"url": URL, **settings})
