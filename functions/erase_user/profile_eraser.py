"""The function erase_profile, which has access to the database."""

import json

from botocore.client import BaseClient


class ProfileError(Exception):
    """erase_profile failed, for the reason in the message."""


class ProfileEraser:
    def __init__(self, client: BaseClient, function_arn: str) -> None:
        self._lambda = client
        self._function_arn = function_arn

    def erase(self, subject: str) -> tuple[bool, int]:
        """Erase the profile and the former handles; gives whether there was a profile, and the number of handles.

        Raises:
            ProfileError: The function failed, for example because the database is not available.
            ClientError: Lambda refused the request.
            BotoCoreError: There was no response.
        """
        response = self._lambda.invoke(FunctionName=self._function_arn, Payload=json.dumps({"subject": subject}))
        result = json.load(response["Payload"])
        if "FunctionError" in response:
            raise ProfileError(result["errorMessage"])
        return result["profile"], result["handles"]
