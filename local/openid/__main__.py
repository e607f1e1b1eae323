"""Prints an access token of a user of a local run with --openid: the first one, or the one that is named."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from local.openid.provider import OpenIdProviderError, sign_in

_OUTPUTS = Path(__file__).parent.parent.parent / ".local" / "outputs.json"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.openid", description=__doc__)
    parser.add_argument("username", nargs="?", metavar="USER", help="default: the first user")
    parser.add_argument("--outputs", type=Path, default=_OUTPUTS, help="the outputs of the local run")
    options = parser.parse_args(arguments)
    try:
        outputs = json.loads(options.outputs.read_text())
        passwords = {user["username"]: user["password"] for user in outputs["users"]}
        username = options.username or next(iter(passwords))
        print(sign_in(outputs, username, passwords.get(username, ""))["access_token"])
    except (OSError, KeyError, OpenIdProviderError) as error:
        is_running = isinstance(error, OpenIdProviderError)
        print(f"error: {error if is_running else 'no stack is running with make local ARGS=--openid'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
