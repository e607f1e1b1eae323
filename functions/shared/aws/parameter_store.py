"""Settings that are secrets, kept by Systems Manager.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
"""

import json
import os
import re
from contextlib import closing

from functions.shared.aws.aws_service import AwsService

_HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"}
_ERROR_TYPE = re.compile(rb'"__type"\s*:\s*"([\w.#]+)"')


class ParameterError(Exception):
    """There is no such parameter, or it may not be read; the message has its name and the error code."""


def read(name: str) -> str:
    """A parameter's value, deciphered if it is a SecureString. OSError if there is no answer."""
    request = json.dumps({"Name": name, "WithDecryption": True}).encode()
    with closing(AwsService("ssm", os.environ["AWS_REGION"])) as ssm:
        answer = ssm.post(_HEADERS, request)
    if answer.status != 200:
        error = _ERROR_TYPE.search(answer.body)
        code = error.group(1).decode() if error else ""
        raise ParameterError(f"ssm answered {answer.status} {code} to parameter {name}")
    return json.loads(answer.body)["Parameter"]["Value"]
