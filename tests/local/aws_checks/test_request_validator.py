"""The request validator rejects what AWS rejects: signatures, expiration, POST policies, permissions, CORS."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from moto import backends
from moto.dynamodb.models.table import Table
from moto.s3.models import S3Backend
from moto.sqs.models import Message

from local.aws_checks.iam import UnsupportedPolicyError
from local.emulators.http_server import HttpServer
from local.emulators.moto import MotoServer

BUCKET = "uploads"
KEY = "incoming/alice/1"
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def aws() -> Generator[MotoServer]:
    server = HttpServer("AWS")
    aws = MotoServer(server, "eu-west-1")
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws.client("s3").put_object(Bucket=BUCKET, Key="public/greeting", Body=b"hello")
    aws.request_validator.cors_rules[BUCKET] = [
        {"allowedOrigins": [ORIGIN], "allowedMethods": ["POST"], "allowedHeaders": ["content-type"]}
    ]
    yield aws
    server.close()


def create_role(aws: MotoServer, *statements: tuple[list[str], str]) -> dict[str, str]:
    """Creates a role that allows (actions, resource) pairs. Returns its credentials."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in statements],
    }
    return aws.principals.add_role("role", [policy]).to_environment()


def get_code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


class TestSignatures:
    def test_signed_request_with_known_key_is_accepted(self, aws: MotoServer) -> None:
        response = aws.client("s3").get_object(Bucket=BUCKET, Key="public/greeting")
        assert response["Body"].read() == b"hello"

    def test_signature_of_key_with_special_characters_is_valid(self, aws: MotoServer) -> None:
        key = "public/a b+c=ü&d~e%2F(f).txt"
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"odd")
        assert aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"odd"

    def test_unsigned_request_is_rejected(self, aws: MotoServer) -> None:
        assert requests.put(f"{aws.url}/{BUCKET}/anything", data=b"x", timeout=5).status_code == 403
        assert requests.get(f"{aws.url}/{BUCKET}/public/greeting", timeout=5).status_code == 403

    def test_wrong_secret_key_is_rejected(self, aws: MotoServer) -> None:
        credentials = aws.principals.operator.to_environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}
        with pytest.raises(ClientError) as error:
            aws.client_as("s3", credentials).get_object(Bucket=BUCKET, Key="public/greeting")
        assert get_code(error) == "SignatureDoesNotMatch"

    def test_unknown_access_key_is_rejected(self, aws: MotoServer) -> None:
        credentials = {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN", "AWS_SECRET_ACCESS_KEY": "x"}
        with pytest.raises(ClientError) as error:
            aws.client_as("s3", credentials).get_object(Bucket=BUCKET, Key="public/greeting")
        assert get_code(error) == "InvalidAccessKeyId"

    def test_missing_session_token_is_rejected(self, aws: MotoServer) -> None:
        credentials = create_role(aws, (["s3:GetObject"], "*"))
        del credentials["AWS_SESSION_TOKEN"]
        with pytest.raises(ClientError) as error:
            aws.client_as("s3", credentials).get_object(Bucket=BUCKET, Key="public/greeting")
        assert get_code(error) == "InvalidToken"

    def test_request_signed_16_minutes_ago_is_rejected(self, aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
        operator = aws.principals.operator
        past = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(minutes=16)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past)
        request = AWSRequest("POST", aws.url, data=b"Action=ListTopics", headers={"Host": aws.url[7:]})
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        credentials = Credentials(operator.access_key_id, operator.secret_access_key)
        SigV4Auth(credentials, "sns", "eu-west-1").add_auth(request)
        response = requests.post(aws.url, data=b"Action=ListTopics", headers=dict(request.headers), timeout=5)
        assert response.status_code == 403
        assert "RequestTimeTooSkewed" in response.text

    def test_changed_or_expired_presigned_url_is_rejected(self, aws: MotoServer) -> None:
        url = aws.client("s3").generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "public/greeting"})
        assert requests.get(url, timeout=5).text == "hello"
        assert requests.get(url.replace("greeting", "other"), timeout=5).status_code == 403
        expired = aws.client("s3").generate_presigned_url(
            "get_object", {"Bucket": BUCKET, "Key": "public/greeting"}, ExpiresIn=-1
        )
        assert "expired" in requests.get(expired, timeout=5).text


class TestPermissions:
    def test_role_is_allowed_only_the_actions_in_its_policy(self, aws: MotoServer) -> None:
        s3 = aws.client_as("s3", create_role(aws, (["s3:GetObject"], f"arn:aws:s3:::{BUCKET}/public/*")))
        assert s3.get_object(Bucket=BUCKET, Key="public/greeting")["Body"].read() == b"hello"
        for denied in (
            lambda: s3.put_object(Bucket=BUCKET, Key="public/greeting", Body=b"x"),
            lambda: s3.delete_object(Bucket=BUCKET, Key="public/greeting"),
            lambda: s3.list_objects_v2(Bucket=BUCKET),
            lambda: s3.get_object(Bucket=BUCKET, Key="private/greeting"),
        ):
            with pytest.raises(ClientError) as error:
                denied()
            assert get_code(error) == "AccessDenied"

    def test_versions_require_permissions_of_their_own(self, aws: MotoServer) -> None:
        key, version = "held/alice/1", {"Key": "held/alice/1", "VersionId": "null"}
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
        current = aws.client_as(
            "s3", create_role(aws, (["s3:ListBucket", "s3:GetObject", "s3:DeleteObject"], f"arn:aws:s3:::{BUCKET}*"))
        )
        versions = aws.client_as(
            "s3",
            create_role(
                aws,
                (["s3:ListBucketVersions"], f"arn:aws:s3:::{BUCKET}"),
                (["s3:GetObjectVersion", "s3:DeleteObjectVersion"], f"arn:aws:s3:::{BUCKET}/held/*"),
            ),
        )
        with pytest.raises(ClientError, match="s3:ListBucketVersions on resource"):
            current.list_object_versions(Bucket=BUCKET)
        with pytest.raises(ClientError, match="s3:GetObjectVersion on resource"):
            current.get_object(Bucket=BUCKET, **version)
        with pytest.raises(ClientError, match="s3:DeleteObjectVersion on resource"):
            current.delete_objects(Bucket=BUCKET, Delete={"Objects": [version]})
        with pytest.raises(ClientError, match="s3:DeleteObject on resource"):
            versions.delete_objects(Bucket=BUCKET, Delete={"Objects": [version, {"Key": key}]})
        with pytest.raises(ClientError, match="public/greeting"):
            versions.delete_objects(Bucket=BUCKET, Delete={"Objects": [{**version, "Key": "public/greeting"}]})
        assert [its["Key"] for its in versions.list_object_versions(Bucket=BUCKET, Prefix="held/")["Versions"]] == [key]
        assert versions.get_object(Bucket=BUCKET, **version)["Body"].read() == b"x"
        versions.delete_objects(Bucket=BUCKET, Delete={"Objects": [version]})
        assert "Versions" not in versions.list_object_versions(Bucket=BUCKET, Prefix="held/")

    def test_missing_key_without_list_permission_is_access_denied(self, aws: MotoServer) -> None:
        reader = aws.client_as("s3", create_role(aws, (["s3:GetObject"], "*")))
        with pytest.raises(ClientError) as error:
            reader.get_object(Bucket=BUCKET, Key="public/none")
        assert get_code(error) == "AccessDenied"
        lister = aws.client_as(
            "s3", create_role(aws, (["s3:GetObject"], "*"), (["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}"))
        )
        with pytest.raises(ClientError) as error:
            lister.get_object(Bucket=BUCKET, Key="public/none")
        assert get_code(error) == "NoSuchKey"

    def test_queue_permission_requires_matching_arn(self, aws: MotoServer) -> None:
        mine = aws.client("sqs").create_queue(QueueName="mine")["QueueUrl"]
        other = aws.client("sqs").create_queue(QueueName="other")["QueueUrl"]
        sqs = aws.client_as("sqs", create_role(aws, (["sqs:ReceiveMessage"], aws.arn("sqs", "mine"))))
        assert "Messages" not in sqs.receive_message(QueueUrl=mine)
        for denied in (lambda: sqs.receive_message(QueueUrl=other), lambda: sqs.purge_queue(QueueUrl=mine)):
            with pytest.raises(ClientError) as error:
                denied()
            assert get_code(error) == "AccessDenied"

    def test_topic_permission_requires_matching_arn(self, aws: MotoServer) -> None:
        mine = aws.client("sns").create_topic(Name="mine")["TopicArn"]
        other = aws.client("sns").create_topic(Name="other")["TopicArn"]
        sns = aws.client_as("sns", create_role(aws, (["sns:Publish"], mine)))
        assert sns.publish(TopicArn=mine, Message="x")["MessageId"]
        with pytest.raises(ClientError) as error:
            sns.publish(TopicArn=other, Message="x")
        entries = [{"Id": "1", "Message": "x"}]
        assert sns.publish_batch(TopicArn=mine, PublishBatchRequestEntries=entries)["Successful"]
        assert get_code(error) == "AccessDenied"

    @pytest.mark.parametrize("name", ["mine", "/team/mine"])
    def test_parameter_permission_requires_matching_arn(self, aws: MotoServer, name: str) -> None:
        for parameter in (name, f"{name}-too"):
            aws.client("ssm").put_parameter(Name=parameter, Type="SecureString", Value="secret")
        ssm = aws.client_as(
            "ssm", create_role(aws, (["ssm:GetParameter"], aws.arn("ssm", f"parameter/{name.lstrip('/')}")))
        )
        assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "secret"
        for denied in (
            lambda: ssm.get_parameter(Name=f"{name}-too"),
            lambda: ssm.delete_parameter(Name=name),
        ):
            with pytest.raises(ClientError) as error:
                denied()
            assert get_code(error) == "AccessDenied"

    def test_unknown_action_of_role_is_access_denied(self, aws: MotoServer) -> None:
        s3 = aws.client_as("s3", create_role(aws, (["s3:*"], "*")))
        with pytest.raises(ClientError) as error:
            s3.get_object_tagging(Bucket=BUCKET, Key="public/greeting")
        assert get_code(error) == "AccessDenied"

    def test_explicit_deny_overrides_allow(self, aws: MotoServer) -> None:
        deny = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/public/greeting"}
        policy = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, deny]}
        s3 = aws.client_as("s3", aws.principals.add_role("denied", [policy]).to_environment())
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=BUCKET, Key="public/greeting")
        assert get_code(error) == "AccessDenied"

    @pytest.mark.parametrize(
        ("statement", "unknown"),
        [
            ({"NotAction": "s3:GetObject", "Resource": "*"}, "NotAction"),
            (
                {"Action": "s3:*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2030"}}},
                "DateLessThan",
            ),
        ],
    )
    def test_policy_with_unsupported_element_raises(
        self, aws: MotoServer, statement: dict[str, Any], unknown: str
    ) -> None:
        with pytest.raises(UnsupportedPolicyError, match=unknown):
            aws.principals.add_role("odd", [{"Statement": [{"Effect": "Allow", **statement}]}])


class TestBrowserUploads:
    """POST forms that botocore signs, as an independent implementation of the rules."""

    @pytest.fixture
    def form(self, aws: MotoServer) -> dict[str, Any]:
        return self.sign_form(aws, create_role(aws, (["s3:PutObject"], f"arn:aws:s3:::{BUCKET}/incoming/*")))

    @staticmethod
    def sign_form(aws: MotoServer, credentials: dict[str, str], expires_in: int = 300) -> dict[str, Any]:
        return aws.client_as("s3", credentials).generate_presigned_post(
            BUCKET,
            KEY,
            Fields={"Content-Type": "image/jpeg"},
            Conditions=[{"Content-Type": "image/jpeg"}, ["content-length-range", 1, 1000]],
            ExpiresIn=expires_in,
        )

    @staticmethod
    def post(form: dict[str, Any], data: bytes = b"picture", **changed: str) -> requests.Response:
        return requests.post(form["url"], data=form["fields"] | changed, files={"file": data}, timeout=5)

    @staticmethod
    def is_stored(aws: MotoServer) -> bool:
        return aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=KEY)["KeyCount"] == 1

    @pytest.fixture(autouse=True)
    def delete_object(self, aws: MotoServer) -> None:
        aws.client("s3").delete_object(Bucket=BUCKET, Key=KEY)

    def test_form_that_meets_its_policy_is_stored(self, aws: MotoServer, form: dict[str, Any]) -> None:
        response = self.post(form)
        assert response.status_code == 204
        stored = aws.client("s3").get_object(Bucket=BUCKET, Key=KEY)
        assert (stored["Body"].read(), stored["ContentType"]) == (b"picture", "image/jpeg")

    @pytest.mark.parametrize(
        ("data", "changed", "status", "error"),
        [
            (b"x" * 1001, {}, 400, "EntityTooLarge"),
            (b"", {}, 400, "EntityTooSmall"),
            (b"x", {"Content-Type": "image/png"}, 403, "Policy Condition failed"),
            (b"x", {"key": "incoming/bob/1"}, 403, "Policy Condition failed"),
            (b"x", {"acl": "public-read"}, 403, "Extra input fields: acl"),
            (b"x", {"x-amz-meta-upload-id": "1"}, 403, "Extra input fields"),
            (b"x", {"x-amz-signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
            (b"x", {"x-amz-security-token": "stolen"}, 400, "InvalidToken"),
            (b"x", {"x-amz-credential": "AKIAUNKNOWN/20260101/eu-west-1/s3/aws4_request"}, 403, "InvalidAccessKeyId"),
        ],
    )
    def test_form_that_violates_its_policy_is_rejected(
        self, aws: MotoServer, form: dict[str, Any], data: bytes, changed: dict[str, str], status: int, error: str
    ) -> None:
        response = self.post(form, data, **changed)
        assert response.status_code == status
        assert error in response.text
        assert not self.is_stored(aws)

    def test_form_with_changed_policy_is_rejected(self, aws: MotoServer, form: dict[str, Any]) -> None:
        policy = json.loads(base64.b64decode(form["fields"]["policy"]))
        policy["conditions"] = [c for c in policy["conditions"] if "content-length-range" not in c]
        response = self.post(form, b"x" * 2000, policy=base64.b64encode(json.dumps(policy).encode()).decode())
        assert "SignatureDoesNotMatch" in response.text
        assert not self.is_stored(aws)

    def test_expired_form_is_rejected(self, aws: MotoServer) -> None:
        response = self.post(self.sign_form(aws, create_role(aws, (["s3:PutObject"], "*")), expires_in=-1))
        assert "Policy expired" in response.text
        assert not self.is_stored(aws)

    def test_form_without_policy_is_rejected(self, aws: MotoServer, form: dict[str, Any]) -> None:
        bare = {"url": form["url"], "fields": {"key": KEY, "Content-Type": "image/jpeg"}}
        assert self.post(bare).status_code == 403
        assert not self.is_stored(aws)

    def test_form_without_file_is_rejected(self, form: dict[str, Any]) -> None:
        response = requests.post(form["url"], files={n: (None, v) for n, v in form["fields"].items()}, timeout=5)
        assert (response.status_code, "exactly one file" in response.text) == (400, True)

    def test_form_of_role_without_put_permission_is_rejected(self, aws: MotoServer) -> None:
        response = self.post(self.sign_form(aws, create_role(aws, (["s3:GetObject"], "*"))))
        assert "AccessDenied" in response.text
        assert not self.is_stored(aws)


class TestCors:
    def preflight(self, aws: MotoServer, origin: str, method: str, headers: str = "content-type") -> requests.Response:
        wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
        return requests.options(f"{aws.url}/{BUCKET}", headers={"Origin": origin, **wanted}, timeout=5)

    def test_preflight_that_matches_a_rule_returns_cors_headers(self, aws: MotoServer) -> None:
        response = self.preflight(aws, ORIGIN, "POST")
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Access-Control-Allow-Methods"] == "POST"

    @pytest.mark.parametrize(
        ("origin", "method", "headers"),
        [("https://evil.example", "POST", ""), (ORIGIN, "PUT", ""), (ORIGIN, "POST", "x-secret")],
    )
    def test_preflight_without_matching_rule_is_rejected(
        self, aws: MotoServer, origin: str, method: str, headers: str
    ) -> None:
        response = self.preflight(aws, origin, method, headers)
        assert response.status_code == 403
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_response_to_other_origin_has_no_cors_header(self, aws: MotoServer) -> None:
        for origin, expected in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
            response = requests.post(f"{aws.url}/{BUCKET}", headers={"Origin": origin}, files={"file": b"x"}, timeout=5)
            assert response.headers.get("Access-Control-Allow-Origin") == expected

    def test_cognito_public_operation_allows_every_origin(self, aws: MotoServer) -> None:
        origin = {"Origin": "https://anywhere.example"}
        wanted = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-amz-target",
        }
        response = requests.options(aws.url, headers=origin | wanted, timeout=5)
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
        operation = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        }
        response = requests.post(
            aws.url, headers=origin | operation, json={"AuthFlow": "X", "ClientId": "c"}, timeout=5
        )
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (400, "*")


def test_revoked_refresh_token_is_not_authorized(aws: MotoServer) -> None:
    cognito = aws.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="users")["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="page", ExplicitAuthFlows=flows)
    client_id = client["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username="alice")
    cognito.admin_set_user_password(UserPoolId=pool, Username="alice", Password="Secret-123-secret", Permanent=True)

    def sign_in(flow: str, **parameters: str) -> dict[str, str]:
        response = cognito.initiate_auth(AuthFlow=flow, ClientId=client_id, AuthParameters=parameters)
        return response["AuthenticationResult"]

    first, second = (
        sign_in("USER_PASSWORD_AUTH", USERNAME="alice", PASSWORD="Secret-123-secret")["RefreshToken"] for _ in range(2)
    )
    cognito.revoke_token(Token=first, ClientId=client_id)
    with pytest.raises(ClientError) as error:
        sign_in("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=first)
    assert get_code(error) == "NotAuthorizedException"
    assert sign_in("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=second)["AccessToken"]


def test_s3_events_have_increasing_sequencer_and_unescaped_slashes(aws: MotoServer) -> None:
    queue = aws.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": aws.arn("sqs", "events"), "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    for key in ("incoming/a b/1", "incoming/a b/2"):
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    messages = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [json.loads(message["Body"]) for message in messages]
    assert [body["Event"] for body in bodies if "Event" in body] == ["s3:TestEvent"]
    first, second = (body["Records"][0]["s3"]["object"] for body in bodies if "Records" in body)
    assert (first["key"], second["key"]) == ("incoming/a+b/1", "incoming/a+b/2")
    assert first["sequencer"] < second["sequencer"]


def test_get_tokens_from_refresh_token_succeeds_until_revoked(aws: MotoServer) -> None:
    cognito = aws.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="users")["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="page", ExplicitAuthFlows=flows)
    client_id = client["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username="bob")
    cognito.admin_set_user_password(UserPoolId=pool, Username="bob", Password="Secret-123-secret", Permanent=True)
    parameters = {"USERNAME": "bob", "PASSWORD": "Secret-123-secret"}
    signed_in = cognito.initiate_auth(AuthFlow="USER_PASSWORD_AUTH", ClientId=client_id, AuthParameters=parameters)
    token = signed_in["AuthenticationResult"]["RefreshToken"]

    def refresh() -> requests.Response:
        target = "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        return requests.post(aws.url, headers=headers, json={"ClientId": client_id, "RefreshToken": token}, timeout=5)

    assert refresh().json()["AuthenticationResult"]["AccessToken"]
    cognito.revoke_token(Token=token, ClientId=client_id)
    assert (refresh().status_code, refresh().json()["__type"]) == (400, "NotAuthorizedException")


def test_dynamodb_updates_are_not_concurrent(aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="counts",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    met: list[bool] = []
    meeting = threading.Barrier(2, timeout=0.3)
    put_item = Table.put_item

    def meet(*arguments: Any, **options: Any) -> Any:
        """Between condition and update, as the item does not exist."""
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait()
            met.append(True)
        return put_item(*arguments, **options)

    monkeypatch.setattr(Table, "put_item", meet)

    def update(entry: bytes) -> bool:
        try:
            dynamodb.update_item(
                TableName="counts",
                Key={"id": {"S": "any"}},
                UpdateExpression="ADD entries :entries",
                ConditionExpression="attribute_not_exists(entries)",
                ExpressionAttributeValues={":entries": {"BS": [entry]}},
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(update, [b"a", b"b"])) == [False, True]
    assert met == []


def test_s3_condition_and_write_are_not_interrupted(aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="current", Body=b"0")
    etag = s3.head_object(Bucket=BUCKET, Key="current")["ETag"]
    met: list[bool] = []
    meeting = threading.Barrier(2, timeout=0.3)
    put_object = S3Backend.put_object

    def meet(*arguments: Any, **options: Any) -> Any:
        """Between condition and write."""
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait()
            met.append(True)
        return put_object(*arguments, **options)

    monkeypatch.setattr(S3Backend, "put_object", meet)

    def replace(body: bytes) -> bool:
        try:
            s3.put_object(Bucket=BUCKET, Key="current", Body=body, IfMatch=etag)
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(replace, [b"a", b"b"])) == [False, True]
    assert met == []


def test_s3_copy_of_another_object_than_expected_fails(aws: MotoServer) -> None:
    s3 = aws.client("s3")
    source = {"Bucket": BUCKET, "Key": "copied"}
    etag = s3.put_object(**source, Body=b"0")["ETag"]
    copy = {**source, "CopySource": source, "MetadataDirective": "REPLACE", "CopySourceIfMatch": etag}
    s3.copy_object(**copy, Metadata={"seen": "yes"})
    assert s3.head_object(**source)["Metadata"] == {"seen": "yes"}
    s3.put_object(**source, Body=b"1")
    with pytest.raises(ClientError) as error:
        s3.copy_object(**copy, Metadata={"seen": "yes"})
    assert get_code(error) == "PreconditionFailed"
    assert s3.head_object(**source)["Metadata"] == {}


def test_sqs_message_sent_during_deletions_is_not_lost(aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="busy")["QueueUrl"]
    for body in ("first", "second", "kept"):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    first, second = (sqs.receive_message(QueueUrl=queue)["Messages"][0]["ReceiptHandle"] for _ in range(2))
    had_receipt_handle = Message.had_receipt_handle
    others: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:

        def delete_and_send() -> None:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=second)
            sqs.send_message(QueueUrl=queue, MessageBody="sent")

        def compare(message: Message, receipt_handle: str) -> bool:
            """While the first deletion copies the messages that stay."""
            if message.body == "kept" and not others:
                others.append(pool.submit(delete_and_send))
                wait(others, timeout=0.3)
            return had_receipt_handle(message, receipt_handle)

        monkeypatch.setattr(Message, "had_receipt_handle", compare)
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=first)
    others[0].result()
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "2"


def test_request_does_not_list_the_services_of_moto(aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.client("sqs").list_queues()

    def fail() -> None:
        raise AssertionError("listed")

    monkeypatch.setattr(backends, "list_of_moto_modules", fail)
    assert aws.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
