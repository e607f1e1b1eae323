import pytest

from functions.shared.aws.aws_service import AwsService
from tests.functions.servers import HttpStub


def test_without_an_endpoint_of_its_own_a_service_is_reached_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_SNS", raising=False)
    assert AwsService("sns", "eu-north-1").url == "https://sns.eu-north-1.amazonaws.com/"


def test_requests_go_out_signed_for_service_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    with HttpStub(answer=b"{}") as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", stub.url)
        answer = AwsService("ssm", "eu-north-1").post({"X-Amz-Target": "AmazonSSM.Get"}, b"{}")
    assert (answer.status, answer.body) == (200, b"{}")
    ((headers, body),) = stub.requests
    assert body == b"{}"
    assert headers["x-amz-target"] == "AmazonSSM.Get"
    assert f"AKIDEXAMPLE/{headers['x-amz-date'][:8]}/eu-north-1/ssm/aws4_request" in headers["authorization"]
