"""`make local`: starts the stack, uploads photos, and runs until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from client.photo import Photo, read_photo
from client.session import ClientError, Session, Upload, UploadHeldError
from lambda_packages import build
from lambda_packages.build import PackagingError
from local.emulators.http_server import PortInUseError
from local.emulators.lambda_functions import SourceFunction
from local.function_logs import LogPrinter
from local.openid.provider import OpenIdProviderError
from local.recording.graph import ProgramError
from local.stack import MODERATION, ROOT, LocalStack, Ports, read_config

DEMO_PHOTO = Path(__file__).with_name("photo.jpg")
OUTPUTS = ROOT / ".local" / "outputs.json"
_LOGS = "logs"
"""The folder of the functions' logs, beside the outputs file."""
_ALL_FUNCTIONS = "all"
_FIRST_PORT = 8430
_USERS = {"grace@example.com": "Grace Hopper", "bob@example.com": "Bob Cratchit"}


# Most objects of a start stay: to look for garbage among them every 700 allocations takes a quarter of its time.
_GC_THRESHOLD = 100_000


def main(arguments: Sequence[str]) -> int:
    gc.set_threshold(_GC_THRESHOLD)
    options = _parse_arguments(arguments)
    # A shell sets SIGINT to be ignored in a background job. SIGINT and SIGTERM both stop the stack cleanly.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _interrupt())
    try:
        photos = [read_photo(path) for path in options.photos or [DEMO_PHOTO]]
        return _run(options, photos)
    except (
        ClientError,
        OpenIdProviderError,
        ProgramError,
        PackagingError,
        PortInUseError,
        TimeoutError,
        requests.RequestException,
    ) as error:
        print(f"error: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make local ARGS=", description="Run the whole stack on this machine.")
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="photos to upload")
    parser.add_argument("--once", action="store_true", help="exit after the uploads, non-zero if one failed")
    parser.add_argument("--stack", default="dev", help="use Pulumi.<stack>.yaml (default: dev)")
    parser.add_argument("--port", type=int, default=_FIRST_PORT, help="first of six ports (default: %(default)s)")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, help="file for addresses and credentials")
    parser.add_argument(
        "--moderation",
        type=Path,
        metavar="FOLDER",
        help="the moderation function: handler.py of this folder, with the environment of this command",
    )
    parser.add_argument("--openid", action="store_true", help="with the users of an OpenID provider, not of Cognito")
    parser.add_argument(
        "--logs",
        nargs="?",
        const=_ALL_FUNCTIONS,
        metavar="FUNCTION",
        help="print the logs of all functions, or of this one",
    )
    parser.add_argument("--resources", action="store_true", help="list the registered resources")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, photos: Sequence[Photo]) -> int:
    functions = [*sorted(_build_packages()), *([MODERATION] if options.moderation else [])]
    if options.logs not in (None, _ALL_FUNCTIONS, *functions):
        raise ProgramError(f"there is no function {options.logs} to show the log of; functions: {', '.join(functions)}")
    started = time.monotonic()
    config, ignored = read_config(options.stack, options.openid)
    if ignored:
        print(f"A local run has its own addresses and users; ignored keys of {options.stack}: {', '.join(ignored)}")
    moderation = SourceFunction(options.moderation, os.environ) if options.moderation else None
    logs = options.outputs.with_name(_LOGS)
    with (
        LocalStack(
            config, Ports.starting_at(options.port), moderation=moderation, openid=options.openid, logs=logs
        ) as stack,
        _print_logs(stack, options.logs),
    ):
        users = [
            {"username": username, "password": stack.create_user(username, name)} for username, name in _USERS.items()
        ]
        print(f"Ready in {time.monotonic() - started:.1f} s: {len(stack.graph.resources)} resources")
        if options.resources:
            _print_resources(stack)
        with _write_outputs_file(stack, users, options.outputs):
            try:
                _run_smoke_test(stack, users[0], photos)
            except UploadHeldError as held:
                print(f"\n{held}: see make held STACK=local")
            if not options.once:
                _print_addresses(stack, users, options.outputs)
                with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the regular way to stop from here on
                    threading.Event().wait()
    return 0


@contextlib.contextmanager
def _print_logs(stack: LocalStack, selection: str | None) -> Generator[None]:
    logs = {function.name: function.config.log for function in stack.functions.by_arn.values()}
    shown = [name for name in logs if selection in (name, _ALL_FUNCTIONS)]
    with contextlib.closing(LogPrinter(logs, shown, sys.stdout, sys.stderr)):
        yield


def _build_packages() -> Collection[str]:
    """Builds the packages for Lambda and for this machine before they are needed, to log the progress.

    Returns their names.
    """
    progress = logging.getLogger(build.__name__)
    progress.setLevel(logging.INFO)
    progress.addHandler(logging.StreamHandler(sys.stdout))
    build.build_packages(build.LAMBDA)
    return build.build_packages(build.Platform.host())


@contextlib.contextmanager
def _write_outputs_file(stack: LocalStack, users: Sequence[dict[str, str]], outputs: Path) -> Generator[None]:
    """Writes the outputs file, readable only by its owner, and removes it when the stack stops."""
    operator = stack.aws.principals.operator
    document: dict[str, Any] = {
        **stack.exports,
        **(stack.openid.outputs if stack.openid else {"cognitoEndpoint": stack.aws_url}),
        "databaseUrl": stack.database.url,
        "users": list(users),
        "operator": {
            "endpoint_url": stack.aws_url,
            "region_name": stack.aws.region,
            **{name.lower(): value for name, value in operator.to_environment().items()},
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


def _run_smoke_test(stack: LocalStack, user: dict[str, str], photos: Sequence[Photo]) -> None:
    """Uploads each photo, and the first photo again, when every function is warm."""
    started = time.monotonic()
    session = _sign_in(stack, **user)
    print(f"{user['username']} signed in ({(time.monotonic() - started) * 1000:.0f} ms)\n")
    print(f"{'photo':<24}{'':<6}{'form':>8}{'upload':>9}{'avatar':>9}{'CDN':>7}{'total':>10}  webhook")
    runs = [(photos[0], "cold"), *((photo, "warm") for photo in [*photos[1:], photos[0]])]
    avatar = [_run_upload(stack, session, photo, start) for photo, start in runs][-1]
    print()
    for image in avatar["images"]:
        print(f"{image['size']:>5} px  {image['bytes']:>7} bytes  {image['url']}")
    print(f"{'stable':>8}{'':17}{avatar['url']}")


def _sign_in(stack: LocalStack, username: str, password: str) -> Session:
    if stack.openid:
        return Session(stack.exports, stack.openid.sign_in(username, password)["access_token"])
    return Session.sign_in(stack.exports | {"cognitoEndpoint": stack.aws_url}, username, password)


def _run_upload(stack: LocalStack, session: Session, photo: Photo, start: str) -> Mapping[str, Any]:
    upload = session.upload(photo.data, photo.content_type)
    event = stack.receiver.wait_for(upload.upload_id, timeout=10)
    print(_format_row(photo.name, start, upload, event["event"]), flush=True)
    return upload.avatar


def _format_row(name: str, start: str, upload: Upload, event: str) -> str:
    durations = (upload.presigned, upload.posted, upload.processed, upload.fetched, upload.total)
    columns = zip(durations, (6, 7, 7, 5, 8), strict=True)
    return f"{name[:23]:<24}{start:<6}" + "".join(f"{s * 1000:>{w}.0f}ms" for s, w in columns) + f"  {event}"


def _print_addresses(stack: LocalStack, users: Sequence[dict[str, str]], outputs: Path) -> None:
    print(f"\nPage     {stack.exports['profileUrl']}")
    print(f"API      {stack.api_url}\nCDN      {stack.cdn_url}\nAWS      {stack.aws_url}")
    if stack.openid:
        print(f"Issuer   {stack.openid.url}")
    print("Users    " + ", ".join(f"{user['username']} / {user['password']}" for user in users))
    print(f"Logs     {outputs.with_name(_LOGS)}")
    print(f"All addresses and credentials: {outputs}. Ctrl-C stops the stack.", flush=True)


def _print_resources(stack: LocalStack) -> None:
    for resource in sorted(stack.graph, key=lambda resource: (resource.type, resource.name)):
        print(f"  {resource.type:<75} {resource.name}")


def _interrupt() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
