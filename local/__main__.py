"""`make local`: starts the stack on this machine, takes photos through it, and stays up until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import secrets
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from client.photo import Photo, read_photo
from client.session import ClientError, Session, Upload
from lambda_packages import build
from lambda_packages.build import PackagingError
from local.emulators.http_server import PortTakenError
from local.recording.recorder import ProgramError
from local.stack import ROOT, LocalStack, Ports, read_config

DEMO_PHOTO = Path(__file__).with_name("photo.jpg")
OUTPUTS = ROOT / ".local" / "outputs.json"
_FIRST_PORT = 8430
_USERS = {"grace@example.com": "Grace Hopper", "bob@example.com": "Bob Cratchit"}


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    # Ctrl-C also where a shell has started us in the background and told us to ignore it; and a supervisor's TERM ends
    # the run in the same way: with everything stopped and removed.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _interrupt())
    try:
        photos = [read_photo(path) for path in options.photos or [DEMO_PHOTO]]
        return _run(options, photos)
    except (
        ClientError,
        ProgramError,
        PackagingError,
        PortTakenError,
        TimeoutError,
        requests.RequestException,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make local ARGS=", description="Run the whole stack on this machine.")
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="photos to take through it")
    parser.add_argument("--once", action="store_true", help="exit after the photos, non-zero if anything failed")
    parser.add_argument("--stack", default="dev", help="whose Pulumi.<stack>.yaml to use (default: dev)")
    parser.add_argument("--port", type=int, default=_FIRST_PORT, help="first of five ports (default: %(default)s)")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, help="where to write addresses and credentials")
    parser.add_argument("--resources", action="store_true", help="list the resources the program registers")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, photos: Sequence[Photo]) -> int:
    _build_packages()
    started = time.monotonic()
    config, left_out = read_config(options.stack)
    if left_out:
        print(f"A local run has its own addresses and users; not used of {options.stack}: {', '.join(left_out)}")
    with LocalStack(config, Ports.starting_at(options.port)) as stack:
        users = [_make_user(stack, *user) for user in _USERS.items()]
        print(f"Ready in {time.monotonic() - started:.1f} s: {len(stack.graph.resources)} resources")
        if options.resources:
            _print_resources(stack)
        with _published(stack, users, options.outputs):
            try:
                _demonstrate(stack, users[0], photos)
            except (ClientError, TimeoutError):
                _print_failures(stack)
                raise
            if not options.once:
                _print_addresses(stack, users, options.outputs)
                with contextlib.suppress(KeyboardInterrupt):  # from here on the way to end it, not to break it off
                    threading.Event().wait()
    return 0


def _build_packages() -> None:
    """The program would build Lambda's packages and the stack this machine's; here it is told what takes so long."""
    progress = logging.getLogger(build.__name__)
    progress.setLevel(logging.INFO)
    progress.addHandler(logging.StreamHandler(sys.stdout))
    for platform in (build.LAMBDA, build.Platform.host()):
        build.build_packages(platform)


def _make_user(stack: LocalStack, username: str, name: str) -> dict[str, str]:
    password = f"{secrets.token_urlsafe(12)}-aA1"
    pool = stack.exports["userPoolId"]
    cognito = stack.aws.client("cognito-idp")
    cognito.admin_create_user(
        UserPoolId=pool,
        Username=username,
        UserAttributes=[{"Name": "name", "Value": name}],
        MessageAction="SUPPRESS",
    )
    cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password=password, Permanent=True)
    return {"username": username, "password": password}


@contextlib.contextmanager
def _published(stack: LocalStack, users: Sequence[dict[str, str]], outputs: Path) -> Generator[None]:
    """Writes the outputs file, readable by its owner only, for as long as the stack is up."""
    operator = stack.aws.principals.operator
    document: dict[str, Any] = {
        **stack.exports,
        "cognitoEndpoint": stack.aws_url,
        "databaseUrl": stack.database.url,
        "users": list(users),
        "operator": {
            "endpoint_url": stack.aws_url,
            "region_name": stack.aws.region,
            **{name.lower(): value for name, value in operator.environment().items()},
        },
    }
    outputs.parent.mkdir(exist_ok=True)
    outputs.unlink(missing_ok=True)
    outputs.touch(mode=0o600)
    outputs.write_text(json.dumps(document, indent=2) + "\n")
    try:
        yield
    finally:
        outputs.unlink(missing_ok=True)
        if outputs == OUTPUTS:
            with contextlib.suppress(OSError):  # not empty: somebody else's files
                outputs.parent.rmdir()


def _demonstrate(stack: LocalStack, user: dict[str, str], photos: Sequence[Photo]) -> None:
    """Takes each photo through the stack, and the first one again: by then every function is warm."""
    started = time.monotonic()
    session = Session(stack.exports | {"cognitoEndpoint": stack.aws_url}, user["username"], user["password"])
    print(f"{user['username']} signed in ({(time.monotonic() - started) * 1000:.0f} ms)\n")
    print(f"{'photo':<24}{'':<6}{'form':>8}{'upload':>9}{'avatar':>9}{'CDN':>7}{'in all':>10}  webhook")
    runs = [(photos[0], "cold"), *((photo, "warm") for photo in [*photos[1:], photos[0]])]
    avatar = [_take_through(stack, session, photo, start) for photo, start in runs][-1]
    print()
    for image in avatar["images"]:
        print(f"{image['size']:>5} px  {image['bytes']:>7} bytes  {image['url']}")
    print(f"{'stable':>8}{'':17}{avatar['url']}")


def _take_through(stack: LocalStack, session: Session, photo: Photo, start: str) -> Mapping[str, Any]:
    upload = session.upload(photo.data, photo.content_type)
    event = stack.receiver.wait_for(upload.upload_id, timeout=10)
    print(_row(photo.name, start, upload, event["event"]), flush=True)
    return upload.avatar


def _row(name: str, start: str, upload: Upload, event: str) -> str:
    durations = (upload.presigned, upload.posted, upload.processed, upload.fetched, upload.total)
    columns = zip(durations, (6, 7, 7, 5, 8), strict=True)
    return f"{name[:23]:<24}{start:<6}" + "".join(f"{s * 1000:>{w}.0f}ms" for s, w in columns) + f"  {event}"


def _print_failures(stack: LocalStack) -> None:
    """What functions logged as errors: the reason is there, when an answer says only that something failed."""
    for function in stack.functions.by_arn.values():
        for line in function.log().splitlines():
            if '"level": "ERROR"' in line or '"level": "CRITICAL"' in line:
                print(f"{function.name}: {line}", file=sys.stderr)


def _print_addresses(stack: LocalStack, users: Sequence[dict[str, str]], outputs: Path) -> None:
    print(f"\nPage     {stack.exports['profileUrl']}")
    print(f"API      {stack.api_url}\nCDN      {stack.cdn_url}\nAWS      {stack.aws_url}")
    print("Users    " + ", ".join(f"{user['username']} / {user['password']}" for user in users))
    print(f"All of it, for any client: {outputs}. Ctrl-C stops everything.", flush=True)


def _print_resources(stack: LocalStack) -> None:
    for resource in sorted(stack.graph, key=lambda resource: (resource.type, resource.name)):
        print(f"  {resource.type:<75} {resource.name}")


def _interrupt() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
