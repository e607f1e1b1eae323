"""AvatarService in a program without configuration."""

from __future__ import annotations

import dataclasses
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.provider.experimental.analyzer import Analyzer

from components import configuration_reference as reference
from components.assets_cdn import AssetsCdn
from components.avatar_pipeline import AvatarPipeline
from components.avatar_service import AvatarService, AvatarServiceArgs
from components.blocks import validation
from components.configuration import SETTINGS
from components.database.external import ExternalDatabase
from components.upload_api import UploadApi
from local.recording.graph import Graph
from tests.components.conftest import LAYERS, RunAlone, arn, get_statements, use_packages

SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
URL = "postgresql://app:s3cret@db.example.com/app"


@pytest.fixture(scope="module")
def service(run_alone: RunAlone) -> Graph:
    return run_alone(lambda: AvatarService("faces", AvatarServiceArgs(database_url=URL)))


def test_children_have_the_name_of_the_service(service: Graph) -> None:
    (parent,) = service.of_type("avatars:index:AvatarService")
    assert {child.name for child in service.children(parent.urn)} == {
        *("faces-cdn", "faces-pipeline", "faces-identity", "faces-api", "faces-web"),
        *("faces-database", "faces-profiles", "faces-page", "faces-dashboard", "faces-queries"),
    }


def test_outputs(service: Graph) -> None:
    outputs = service.one("avatars:index:AvatarService").component_outputs or {}
    assert set(outputs) == set(AvatarService.__annotations__)
    assert outputs["profile_url"] == "https://d111111abcdef8.cloudfront.net/profile"
    assert outputs["migrate_function"] == "faces-profiles-migrate-database-abc1234"


def test_attributes_without_database(run_alone: RunAlone) -> None:
    created: list[AvatarService] = []
    graph = run_alone(lambda: created.append(AvatarService("faces", AvatarServiceArgs())))
    (service,) = created
    assert (service.database, service.profiles, service.page) == (None, None, None)
    assert (service.profile_url, service.migrate_function) == (None, None)
    resources: list[pulumi.Resource | None] = [
        *(service.cdn.bucket, service.cdn.distribution, service.pipeline.uploads_bucket, service.pipeline.queue),
        *(service.pipeline.dead_letter_queue, service.pipeline.topic, service.api.api),
    ]
    assert all(isinstance(resource, pulumi.CustomResource) for resource in resources)
    assert "profile_url" not in (graph.one("avatars:index:AvatarService").component_outputs or {})


@pytest.mark.parametrize(
    ("args", "functions"),
    [
        ({}, set(LAYERS) - {"profile", "erase_profile", "migrate_database"}),
        ({"database": "aurora"}, set(LAYERS)),
        ({"database_url": URL}, set(LAYERS)),
    ],
    ids=["no-database", "aurora", "database-url"],
)
def test_only_functions_of_the_service_are_built(
    run_alone: RunAlone, packages: dict[str, Any], args: dict[str, Any], functions: set[str]
) -> None:
    requested: list[str] = []

    def program() -> None:
        with use_packages(packages) as names:
            AvatarService("faces", AvatarServiceArgs(**args))
        requested.extend(names)

    graph = run_alone(program)
    assert set(requested) == functions
    assert {f.inputs["handler"].split(".")[1] for f in graph.of_type("aws:lambda/function:Function")} == functions


def test_finish_route_invokes_the_function_of_the_pipeline(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarService("faces", AvatarServiceArgs()))
    role = "faces-api-post-avatars-uploads-upload-id-finish"
    route = graph.named(f"{role}-route").inputs
    assert (route["routeKey"], route["authorizationType"]) == ("POST /avatars/uploads/{upload_id}/finish", "CUSTOM")
    finish = graph.one("aws:lambda/function:Function", "faces-pipeline-finish-upload").outputs["invokeArn"]
    assert graph.named(f"{role}-integration").inputs["integrationUri"] == finish
    assert graph.named(f"{role}-permission").inputs["sourceArn"].endswith("/*/POST/avatars/uploads/*/finish")


def test_erase_user_invokes_erase_profile_if_there_is_a_database(run_alone: RunAlone) -> None:
    graph = run_alone(lambda: AvatarService("faces", AvatarServiceArgs(database_url=URL)))
    variables = graph.one("aws:lambda/function:Function", "faces-pipeline-erase-user").inputs["environment"][
        "variables"
    ]
    assert variables["ERASE_PROFILE_ARN"] == arn("lambda", "function:faces-profiles-erase-profile-abc1234")
    (statement,) = [
        its
        for its in get_statements(graph.named("faces-pipeline-erase-user-policy").inputs["policy"])
        if its["Action"] == "lambda:InvokeFunction"
    ]
    assert statement["Resource"] == variables["ERASE_PROFILE_ARN"]


def test_database_url_given_as_text_is_secret(run_alone: RunAlone) -> None:
    secrets: list[bool] = []

    def program() -> None:
        service = AvatarService("faces", AvatarServiceArgs(database_url=URL))
        assert isinstance(service.database, ExternalDatabase)
        pulumi.Output.from_input(service.database.parameter.value.is_secret()).apply(secrets.append)

    run_alone(program)
    assert secrets == [True]


def test_reserved_concurrency_of_each_function(run_alone: RunAlone) -> None:
    reserved = {name: 20 + number for number, name in enumerate(LAYERS)}
    args = AvatarServiceArgs(database_url=URL, reserved_concurrency=reserved)
    graph = run_alone(lambda: AvatarService("faces", args))
    functions = [function.inputs for function in graph.of_type("aws:lambda/function:Function")]
    assert {f["handler"].split(".")[1]: f["reservedConcurrentExecutions"] for f in functions} == reserved


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            {"reserved_concurrency": {"process_avatar": 4}, "max_concurrency": 5},
            "AvatarServiceArgs.reserved_concurrency: process_avatar must not be below max_concurrency",
        ),
        (
            {"reserved_concurrency": {"migrate_database": 1}},
            "AvatarServiceArgs.reserved_concurrency: profile, erase_profile, migrate_database require database",
        ),
        ({"max_pixels": 1, "sizes": []}, r"max_pixels is 1; allowed|sizes is \[\]; allowed"),
        ({"domain": "https://a"}, "AvatarServiceArgs.domain is 'https://a'; allowed is a domain name"),
        ({"domain": None, "hosted_zone_id": "Z1"}, "AvatarServiceArgs.hosted_zone_id: it requires domain"),
        ({"user_pool_id": "eu-west-1_A"}, "AvatarServiceArgs.user_pool_id: it requires user_pool_client_id"),
        ({"user_pool_client_id": "a"}, "AvatarServiceArgs.user_pool_client_id: it requires user_pool_id"),
        (
            {"user_pool_id": "eu-west-1_A", "user_pool_client_id": "a", "self_sign_up": True},
            "AvatarServiceArgs.self_sign_up: it applies to a pool that the stack creates, not to user_pool_id",
        ),
        (
            {
                "user_pool_id": "eu-west-1_A",
                "user_pool_client_id": "a",
                "email_identity_arn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
            },
            "AvatarServiceArgs.email_identity_arn: it applies to a pool that the stack creates, not to user_pool_id",
        ),
        ({"database": "aurora", "database_url": URL}, "AvatarServiceArgs.database: it cannot be combined with"),
        (
            {"database": "aurora", "profile_names": "cognito"},
            "AvatarServiceArgs.profile_names: functions have no route to Cognito with database",
        ),
        ({"database_subnet_ids": SUBNETS}, "AvatarServiceArgs.database_subnet_ids: it requires database_url"),
        (
            {"database_subnet_ids": SUBNETS, "database_url": URL},
            "AvatarServiceArgs.database_subnet_ids: it requires database_security_group_ids",
        ),
        (
            {"uploads_bucket_name": "same", "assets_bucket_name": "same"},
            "AvatarServiceArgs.assets_bucket_name: it must differ from uploads_bucket_name",
        ),
        (
            {"database_url": "mysql://app:s3cret@db"},
            r"AvatarServiceArgs.database_url is set \(and not shown\); allowed",
        ),
    ],
)
def test_args_invalid_raises_value_error(args: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        AvatarServiceArgs(**args)


def test_settings_are_all_arguments_with_a_rule_and_a_description() -> None:
    without_rule = {f.name for f in dataclasses.fields(AvatarServiceArgs)} - set(
        validation.get_rules(AvatarServiceArgs)
    )
    assert without_rule == {"tags"}
    assert set(SETTINGS) == set(reference.read_descriptions()) - {"tags"}


def test_project_file_and_table_are_up_to_date() -> None:
    project, table = reference.PROJECT.read_text(), reference.TABLE.read_text()
    assert reference.format_project(project) == project, "run python -m components.configuration_reference"
    assert reference.format_table(table) == table, "run python -m components.configuration_reference"


def test_format_project_restores_a_missing_key_and_the_table_its_row() -> None:
    project, table = reference.PROJECT.read_text(), reference.TABLE.read_text()
    start, _, rest = project.partition("  maxPixels:\n")
    without = start + rest[rest.index("  originalsDays:") :]
    assert "maxPixels" not in yaml.safe_load(without)["config"]
    assert reference.format_project(without) == project
    rows = table.splitlines(keepends=True)
    assert reference.format_table("".join(row for row in rows if "`maxPixels`" not in row)) == table


def test_public_components_have_a_schema_for_other_languages() -> None:
    public = [AvatarService, AssetsCdn, AvatarPipeline, UploadApi]
    result = Analyzer("avatars").analyze(list(public))
    for component in result["component_definitions"].values():
        described = {**component.inputs, **component.outputs}
        assert [name for name, definition in described.items() if not definition.description] == [], component.name
    assert set(result["type_definitions"]) == {"CustomDomain", "ExistingBucket"}
    assert set(result["component_definitions"]["AvatarService"].inputs) == {*SETTINGS, "tags"}
