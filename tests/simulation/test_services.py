"""The simulated services beside moto's, and the client's retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto import mock_aws

from simulation.choices import RecordedChoices, Value
from simulation.dynamodb import SimulatedDynamoDbClient
from simulation.network import ERROR, HANG, PARTLY, RESPONSE_LOST
from simulation.s3 import SimulatedS3Client
from simulation.settings import Settings
from simulation.simulation import Simulation
from simulation.sqs import Message, SimulatedQueue, SimulatedSqsClient

BUCKET, UNVERSIONED = "assets", "uploads"
WRONG_ETAG = '"00000000000000000000000000000000"'


def run(work: Callable[[], Any], choices: dict[str, Value] | None = None) -> tuple[Any, Simulation]:
    """What `work` returns or raises in a simulated invocation, and the simulation."""
    simulation = Simulation(RecordedChoices(choices or {}), Settings(), [])
    ended: list[Any] = []
    simulation.invoke("test", lambda *_: work(), None, lambda it: ended.append(it.error or it.result), 100_000)
    simulation.scheduler.run()
    return ended[0], simulation


def respond(call: Callable[[], dict[str, Any]]) -> tuple[int, str]:
    """Status and error code, or ETag, of a request."""
    try:
        return 200, call().get("ETag", "")
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


@pytest.fixture(scope="module")
def moto_s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        for bucket in (BUCKET, UNVERSIONED):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def put(client: Any, body: bytes, **condition: str) -> tuple[int, str]:
    return respond(lambda: client.put_object(Bucket=BUCKET, Key="key", Body=body, **condition))


def get(client: Any, _: str) -> tuple[int, str]:
    return respond(lambda: client.get_object(Bucket=BUCKET, Key="key"))


def head(client: Any, _: str) -> tuple[int, str]:
    return respond(lambda: client.head_object(Bucket=BUCKET, Key="key"))


def delete(client: Any, _: str) -> tuple[int, str]:
    return respond(lambda: client.delete_object(Bucket=BUCKET, Key="key"))


Case = Callable[[Any, str], tuple[int, str]]
"""A request, given a client and the ETag of the object before it."""

CASES: dict[str, list[Case]] = {
    "get missing": [get],
    "head missing": [head],
    "delete missing": [delete],
    "if-none-match missing": [lambda c, _: put(c, b"1", IfNoneMatch="*"), get],
    "if-none-match existing": [lambda c, _: put(c, b"1"), lambda c, _: put(c, b"2", IfNoneMatch="*"), get],
    "if-match same": [lambda c, _: put(c, b"1"), lambda c, etag: put(c, b"2", IfMatch=etag), get, head],
    "if-match other": [lambda c, _: put(c, b"1"), lambda c, _: put(c, b"2", IfMatch=WRONG_ETAG), get],
    "if-match missing": [lambda c, _: put(c, b"1", IfMatch=WRONG_ETAG), get],
    "if-match deleted": [lambda c, _: put(c, b"1"), delete, lambda c, etag: put(c, b"2", IfMatch=etag), get],
    "if-none-match deleted": [lambda c, _: put(c, b"1"), delete, lambda c, _: put(c, b"2", IfNoneMatch="*"), get],
}


def respond_to_all(client: Any, requests: list[Case]) -> list[tuple[int, str]]:
    responses: list[tuple[int, str]] = []
    for request in requests:
        etag = next((it[1] for it in reversed(responses) if it[0] == 200 and it[1]), "")
        responses.append(request(client, etag))
    return responses


@pytest.mark.parametrize("name", CASES)
def test_conditional_writes_respond_as_moto_does(name: str, moto_s3: Any) -> None:
    moto_s3.delete_object(Bucket=BUCKET, Key="key")
    expected = respond_to_all(moto_s3, CASES[name])
    simulated, _ = run(lambda: respond_to_all(SimulatedS3Client(None), CASES[name]))
    assert simulated == expected


def list_versions(client: Any, bucket: str) -> list[tuple[str, str, bool]]:
    page = client.list_object_versions(Bucket=bucket, Prefix="v/")
    return [
        (its["Key"], its["VersionId"], its["IsLatest"])
        for kind in ("Versions", "DeleteMarkers")
        for its in page.get(kind, [])
    ]


def delete_version(client: Any, bucket: str, key: str, version_id: str) -> None:
    objects = [{"Key": key, "VersionId": version_id}]
    assert "Errors" not in client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def read(client: Any, bucket: str, key: str) -> bytes | None:
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError:
        return None


def write_and_delete_versions(client: Any, bucket: str) -> list[Any]:
    """What is listed and read after each step, with numbers in place of the IDs of versions."""
    numbers: dict[str, int] = {}
    seen: list[Any] = []

    def look() -> list[tuple[str, str, bool]]:
        versions = list_versions(client, bucket)
        for key, version_id, _ in reversed(versions):
            numbers.setdefault(f"{key} {version_id}", len(numbers))
        listed = [(key, numbers[f"{key} {version_id}"], is_latest) for key, version_id, is_latest in versions]
        seen.append((listed, read(client, bucket, "v/a"), read(client, bucket, "v/b")))
        return versions

    for body in (b"1", b"2"):
        client.put_object(Bucket=bucket, Key="v/a", Body=body)
        look()
    client.put_object(Bucket=bucket, Key="v/b", Body=b"3")
    for key in ("v/a", "v/a"):
        client.delete_object(Bucket=bucket, Key=key)
        look()
    client.put_object(Bucket=bucket, Key="v/a", Body=b"4")
    for key, version_id, _ in look():
        delete_version(client, bucket, key, version_id)
        look()
        delete_version(client, bucket, key, version_id)
        look()
    return seen


@pytest.mark.parametrize("bucket", [BUCKET, UNVERSIONED])
def test_versions_are_listed_and_deleted_as_moto_does(bucket: str, moto_s3: Any) -> None:
    simulated, _ = run(lambda: write_and_delete_versions(SimulatedS3Client(None), bucket))
    assert simulated == write_and_delete_versions(moto_s3, bucket)
    assert simulated[-1] == ([], None, None)


def test_deletion_of_a_missing_object_adds_a_delete_marker() -> None:
    """As in S3, but not in moto: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html"""

    def work() -> list[bool]:
        client().delete_object(Bucket=BUCKET, Key="v/a")
        return [is_latest for _, _, is_latest in list_versions(client(), BUCKET)]

    assert run(work)[0] == [True]


def test_deletion_of_versions_with_a_response_for_each_is_refused() -> None:
    objects = [{"Key": "v/a", "VersionId": "null"}]
    error, _ = run(lambda: client().delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": False}))
    assert repr(error) == "NotImplementedError('only errors are in the response')"


def test_deletion_of_versions_that_fails_partly_names_the_others() -> None:
    def work() -> tuple[list[Any], list[Any]]:
        for body in (b"1", b"2"):
            client().put_object(Bucket=BUCKET, Key="v/a", Body=body)
        objects = [{"Key": key, "VersionId": its_id} for key, its_id, _ in list_versions(client(), BUCKET)]
        response = client().delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": True})
        errors = [(its["Key"], its["VersionId"], its["Code"]) for its in response["Errors"]]
        return errors, list_versions(client(), BUCKET)

    errors, left = run(work, {"test: DeleteObjects v/a": PARTLY})[0]
    assert errors == [("v/a", "version-2", "InternalError")]
    assert left == [("v/a", "version-2", True)]


def test_version_below_a_deleted_one_is_current_again() -> None:
    def work() -> bytes | None:
        for body in (b"1", b"2"):
            client().put_object(Bucket=BUCKET, Key="v/a", Body=body)
        (latest,) = [version_id for _, version_id, is_latest in list_versions(client(), BUCKET) if is_latest]
        delete_version(client(), BUCKET, "v/a", latest)
        return read(client(), BUCKET, "v/a")

    assert run(work)[0] == b"1"


def client(read_timeout: float = 2) -> SimulatedS3Client:
    retries: Any = {"mode": "standard", "total_max_attempts": 3}
    return SimulatedS3Client(Config(read_timeout=read_timeout, retries=retries))


def fail(attempts: int, outcome: str) -> dict[str, Value]:
    labels = ["test: PutObject key", *(f"test: PutObject key ({number})" for number in range(2, attempts + 1))]
    return dict.fromkeys(labels, outcome)


def test_client_two_server_errors_then_success_returns() -> None:
    assert run(lambda: put(client(), b"1"), fail(2, ERROR))[0][0] == 200


def test_client_three_server_errors_raises_the_last() -> None:
    assert run(lambda: put(client(), b"1"), fail(3, ERROR))[0] == (500, "InternalError")


@pytest.mark.parametrize(("outcome", "error"), [(RESPONSE_LOST, ConnectionClosedError), (HANG, ReadTimeoutError)])
def test_client_three_attempts_without_response_raises(outcome: str, error: type[Exception]) -> None:
    assert isinstance(run(lambda: put(client(), b"1"), fail(3, outcome))[0], error)


def test_client_hanging_attempts_take_the_read_timeout_each() -> None:
    _, simulation = run(lambda: put(client(read_timeout=4), b"1"), fail(2, HANG))
    succeeded = next(event for event in simulation.history if event.details[0] == "200")
    assert 8_000 < succeeded.at_ms < 8_300


def test_client_lost_response_of_conditional_write_gives_412() -> None:
    assert run(lambda: put(client(), b"1", IfNoneMatch="*"), fail(1, RESPONSE_LOST))[0] == (412, "PreconditionFailed")


def test_list_objects_prefix_returns_keys_in_order() -> None:
    def work() -> list[str]:
        for key in ("b/2", "a/1", "b/1"):
            client().put_object(Bucket=BUCKET, Key=key, Body=b"")
        client().delete_object(Bucket=BUCKET, Key="b/2")
        return [entry["Key"] for entry in client().list_objects_v2(Bucket=BUCKET, Prefix="b/")["Contents"]]

    assert run(work)[0] == ["b/1"]


def queue() -> tuple[SimulatedQueue, Simulation]:
    simulation = Simulation(RecordedChoices({}), Settings(max_receives=2), [])
    return SimulatedQueue(simulation.scheduler, 30_000, 2, lambda: None), simulation


def test_queue_received_message_is_hidden_until_its_timeout() -> None:
    messages, simulation = queue()
    message = Message("m", "{}")
    messages.send(message, 0)
    messages.receive(message)
    assert messages.visible() == []
    simulation.scheduler.after(30_000, lambda: None)
    simulation.scheduler.run()
    assert messages.visible() == [message]


def test_queue_message_received_too_often_becomes_a_dead_letter() -> None:
    messages, _ = queue()
    message = Message("m", "{}")
    messages.send(message, 0)
    for _ in range(2):
        messages.receive(message)
        messages.change_visibility(message.receipt_handle, 0)
    assert messages.visible() == []
    assert messages.dead_letters == [message]
    messages.redrive()
    assert messages.visible() == [message]


def test_change_visibility_of_message_not_in_flight_is_refused() -> None:
    def work() -> tuple[int, str]:
        sqs = SimulatedSqsClient(None)
        change = {"QueueUrl": "https://sqs.example/queue", "ReceiptHandle": "none", "VisibilityTimeout": 1}
        return respond(lambda: sqs.change_message_visibility(**change))  # type: ignore[arg-type]

    assert run(work)[0] == (400, "MessageNotInflight")


def add_to_set(client: Any, entry: bytes, condition: str) -> tuple[int, str]:
    return respond(
        lambda: client.update_item(
            TableName="table",
            Key={"id": {"S": "any"}},
            UpdateExpression="ADD entries :entries SET seen = :seen",
            ConditionExpression=condition,
            ExpressionAttributeValues={
                ":entries": {"BS": [entry]},
                ":entry": {"B": entry},
                ":limit": {"N": "2"},
                ":seen": {"N": "5"},
            },
        )
    )


def test_conditional_updates_respond_as_moto_does() -> None:
    condition = "attribute_not_exists(entries) OR contains(entries, :entry) OR size(entries) < :limit"
    entries = [b"a", b"a", b"b", b"c", b"b"]

    def work(client: Any) -> list[tuple[int, str]]:
        return [add_to_set(client, entry, condition) for entry in entries]

    simulated, simulation = run(lambda: work(SimulatedDynamoDbClient(None)))
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_table(
            TableName="table",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        assert simulated == work(client)
    assert [status for status, _ in simulated] == [200, 200, 200, 400, 200]
    assert simulation.dynamodb.items == {("any",): {"entries": {b"a", b"b"}, "seen": 5}}


def list_items(client: Any) -> list[Any]:
    values = {":subject": {"S": "ada"}}
    condition = "subject = :subject"
    page = client.query(
        TableName="limits", KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True
    )
    return page["Items"]


def put_and_delete_items(client: Any) -> list[Any]:
    """The items of a subject after each step."""
    seen: list[Any] = []
    condition = "attribute_not_exists(expires_at) OR expires_at < :end"
    for subject, period, until in (("ada", "hour#2", 1), ("ada", "block", 2), ("bob", "block", 3), ("ada", "block", 4)):
        item = {"subject": {"S": subject}, "period": {"S": period}, "until": {"N": str(until)}}
        client.put_item(TableName="limits", Item=item)
        seen.append(list_items(client))
    for expires_at in (5, 5, 4, 6):
        end = {"N": str(expires_at)}
        item = {"subject": {"S": "ada"}, "period": {"S": "block"}, "until": end, "expires_at": end}
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.put_item(
                TableName="limits",
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeValues={":end": end},
            )
        seen.append(list_items(client))
    for period in ("block", "hour#1", "hour#2"):
        client.delete_item(TableName="limits", Key={"subject": {"S": "ada"}, "period": {"S": period}})
        seen.append(list_items(client))
    return seen


def test_items_are_put_listed_and_deleted_as_moto_does() -> None:
    simulated, simulation = run(lambda: put_and_delete_items(SimulatedDynamoDbClient(None)))
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        names = {"subject": "HASH", "period": "RANGE"}
        client.create_table(
            TableName="limits",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": name, "KeyType": type_} for name, type_ in names.items()],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        )
        assert simulated == put_and_delete_items(client)
    assert [len(items) for items in simulated] == [1, 2, 2, 2, *4 * [2], 1, 1, 0]
    assert [items[0]["expires_at"]["N"] for items in simulated[4:8]] == ["5", "5", "5", "6"]
    assert simulation.dynamodb.deleted == {("ada", "block"), ("ada", "hour#2")}


@pytest.mark.parametrize(("condition", "is_consistent"), [("subject = :subject", False), ("period = :subject", True)])
def test_query_of_another_kind_is_refused(condition: str, is_consistent: bool) -> None:
    client = SimulatedDynamoDbClient(None)
    error, _ = run(
        lambda: client.query(
            TableName="limits",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":subject": {"S": "ada"}},
            ConsistentRead=is_consistent,
        )
    )
    assert repr(error) == "NotImplementedError('the items of one hash key are read, as they were written before')"


def test_inconsistent_read_is_refused() -> None:
    key = {"id": {"S": "any"}}
    client = SimulatedDynamoDbClient(None)
    error, _ = run(lambda: client.get_item(TableName="table", Key=key, ConsistentRead=False))
    assert repr(error) == "NotImplementedError('every read sees what was written before')"


@pytest.mark.parametrize(("source", "directive"), [("other", "REPLACE"), ("key", "COPY")])
def test_copy_to_another_object_or_with_its_metadata_is_refused(source: str, directive: str) -> None:
    error, _ = run(
        lambda: SimulatedS3Client(None).copy_object(
            Bucket=BUCKET,
            Key="key",
            CopySource={"Bucket": BUCKET, "Key": source},
            MetadataDirective=directive,
            Metadata={},
            ContentType="image/jpeg",
        )
    )
    assert repr(error) == "NotImplementedError('an object is copied onto itself, with other metadata')"


def test_unknown_expression_of_an_update_is_not_ignored() -> None:
    client = SimulatedDynamoDbClient(None)
    unknown: Any = {"UpdateExpression": "REMOVE entries", "ExpressionAttributeValues": {}}
    with pytest.raises(NotImplementedError, match="REMOVE entries"):
        run(lambda: client.update_item(TableName="table", Key={"id": {"S": "any"}}, **unknown))


def test_unknown_condition_of_an_update_is_not_ignored() -> None:
    with pytest.raises(NotImplementedError, match="attribute_exists"):
        run(lambda: add_to_set(SimulatedDynamoDbClient(None), b"a", "attribute_exists(entries)"))
