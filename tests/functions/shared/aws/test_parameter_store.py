from collections.abc import Callable

import pytest

from functions.shared.aws import parameter_store


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, moto_endpoint: str) -> None:
    for name, value in {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL_SSM": moto_endpoint,
    }.items():
        monkeypatch.setenv(name, value)


def test_a_secret_is_given_deciphered(url_parameter: Callable[[str], str]) -> None:
    name = url_parameter('{"é": "\\n"}')
    assert parameter_store.read(name) == '{"é": "\\n"}'


def test_a_parameter_that_is_not_there_is_an_error_with_its_name_and_the_services_code() -> None:
    with pytest.raises(parameter_store.ParameterError) as caught:
        parameter_store.read("/no/such")
    assert str(caught.value) == "ssm answered 400 ParameterNotFound to parameter /no/such"
