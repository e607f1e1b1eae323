"""Uses a stack as one of its users: `python -m client upload --outputs FILE ...`.

FILE contains the stack outputs as JSON: from `pulumi stack output --json`, or `.local/outputs.json` of a local run. The
user is the one of the access token AVATARS_ACCESS_TOKEN, or else AVATARS_USERNAME with AVATARS_PASSWORD, or else the
first user in FILE, or else prompted for. The last three only with Cognito.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from client.photo import read_photo
from client.session import ClientError, Session, Upload


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m client", description="Use an avatars stack as one of its users.")
    commands = parser.add_subparsers(required=True, metavar="command")
    upload = commands.add_parser("upload", help="upload photos and fetch the avatars from the CDN")
    upload.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    upload.add_argument("--outputs", required=True, type=Path, help="stack outputs as JSON")
    options = parser.parse_args(arguments)
    try:
        outputs = _read_outputs(options.outputs)
        photos = [read_photo(path) for path in options.photos]
        session = _sign_in(outputs)
        for photo in photos:
            print(describe(photo.name, session.upload(photo.data, photo.content_type)))
    except (ClientError, ValueError, requests.RequestException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def describe(name: str, upload: Upload) -> str:
    """Returns the durations and the URLs of one upload, as text."""
    steps = (("form", upload.presigned), ("upload", upload.posted), ("avatar ready", upload.processed),
             ("on the CDN", upload.fetched), ("total", upload.total))  # fmt: skip
    lines = [f"{name}: " + " · ".join(f"{step} {seconds * 1000:.0f} ms" for step, seconds in steps)]
    lines += [f"  {image['url']}  ({image['bytes']} bytes)" for image in upload.avatar["images"]]
    return "\n".join([*lines, f"  {upload.avatar['url']}"])


def _read_outputs(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ClientError(f"cannot read the stack outputs {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ClientError(f"{path} is not JSON ({error}); write it with `pulumi stack output --json`") from error


def _sign_in(outputs: Mapping[str, Any]) -> Session:
    if token := os.environ.get("AVATARS_ACCESS_TOKEN"):
        return Session(outputs, token)
    if outputs.get("apiUrl") and "userPoolId" not in outputs:
        raise ClientError(
            "the stack's users are not those of Cognito: set AVATARS_ACCESS_TOKEN to an access token of its issuer"
        )
    return Session.sign_in(outputs, *_read_credentials(outputs))


def _read_credentials(outputs: Mapping[str, Any]) -> tuple[str, str]:
    if "AVATARS_USERNAME" in os.environ:
        username = os.environ["AVATARS_USERNAME"]
        return username, os.environ.get("AVATARS_PASSWORD") or getpass.getpass(f"Password of {username}: ")
    for user in outputs.get("users", []):
        return user["username"], user["password"]
    if not sys.stdin.isatty():
        raise ClientError("no user: set AVATARS_USERNAME and AVATARS_PASSWORD")
    return input("User name: "), getpass.getpass("Password: ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
