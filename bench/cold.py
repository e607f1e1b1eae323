"""Whole invocations over TLS, Python against Node.js: cold in a new process, and the processor time of warm ones."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from PIL import Image, ImageOps

from bench import runs, services
from bench.deployed import Function
from bench.inputs import Input
from bench.rows import Row
from bench.sides import PLATFORM, Ours, Peers, write_event
from functions.shared import storage_keys, upload_id

_SUBJECT = "5f0c7a52-9d1e-4c0b-8a3f-6f2d1b7e4c90"
_POOL, _CLIENT = "us-east-1_AbCdEfGhI", "1example23456789"
_ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{_POOL}"
_UPLOAD = upload_id.create(_SUBJECT, 1_795_000_000_000)
_SHRUNK_UPLOAD = upload_id.create(_SUBJECT, 1_795_000_001_000)
_EVENT_ETAG = "0" * 32
_MANIFEST = {
    "subject": _SUBJECT,
    "upload_id": _UPLOAD,
    "version": f"{_UPLOAD}-000-{_EVENT_ETAG[:8]}",
    "source": {"format": "jpeg", "bytes": 3_000_000},
    "images": [],
    "url": "/avatar.jpg",
}
_TOPIC = "arn:aws:sns:us-east-1:123456789012:avatars"


Command: TypeAlias = tuple[list[str], Mapping[str, str]]
"""Arguments and environment of a process."""


@dataclass(frozen=True)
class Contest:
    """One function and its Node.js counterpart, with the event and environment of both."""

    function: str
    handler: str  # the peer's, in peers/
    peer_name: str
    event: Mapping[str, Any]
    environment: Mapping[str, str]
    aim: float


class ColdBench:
    def __init__(self, ours: Ours, peers: Peers, deployed: Mapping[str, Function], folder: Path) -> None:
        self._ours = ours
        self._peers = peers
        self._deployed = deployed
        self._folder = folder

    @contextmanager
    def contests(self, picture: Input) -> Generator[list[Contest]]:
        """Yield the contests while the services that they call are running."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        objects = {
            f"/uploads/{storage_keys.incoming_key(_SUBJECT, _UPLOAD)}": picture.data,
            f"/uploads/{storage_keys.incoming_key(_SUBJECT, _SHRUNK_UPLOAD)}": _shrink(picture),
            f"/finished/{storage_keys.manifest_key(_SUBJECT)}": json.dumps(_MANIFEST).encode(),
            f"/{_POOL}/.well-known/jwks.json": _encode_key_set(key),
        }
        _, elsewhere = runs.select_cores()
        with services.serve(objects, elsewhere) as running:
            # In addition to each side's default root certificates.
            common = {
                **PLATFORM,
                **self._ours.trust(running.authority),
                "NODE_EXTRA_CA_CERTS": str(running.authority),
                "AWS_ENDPOINT_URL_S3": running.url,
            }
            yield [
                self._process_avatar(common, running.url),
                self._presign_upload(common),
                self._authorize(common, running.url, key),
            ]

    def rows(self, contest: Contest, picture: Input, rounds: int) -> list[Row]:
        pairs = runs.run_in_pairs(lambda: self.run_ours(contest), lambda: self._run_peer(contest), rounds)

        def row(what: str, unit: str, figure: Callable[[runs.Run], float], aim: float | None, note: str = "") -> Row:
            return Row(
                name=what,
                ours=median(map(figure, pairs.ours)),
                peer=median(map(figure, pairs.peer)),
                peer_name=contest.peer_name,
                unit=unit,
                ratio=pairs.ratio(figure),
                aim=aim,
                note=note,
            )

        cpu = pairs.ratio(lambda its: its.cpu_ms)
        is_process = contest.function == "process_avatar"
        case = f"{contest.function}, {picture.name}" if is_process else contest.function
        return [
            row(f"cold, {case}", "ms", lambda its: its.wall_ms, contest.aim, f"ratio of processor times {cpu:.2f}"),
            row(f"peak memory, {case}", "MiB", lambda its: _parse_answer(its)["peak_mib"], 0.5 if is_process else None),
        ]

    def run_ours(self, contest: Contest) -> runs.Run:
        """Invoke our function once, in a new process.

        Raises:
            RunError: It failed.
        """
        return _check_answer(runs.run(self._command(contest, 1), contest.environment))

    def _run_peer(self, contest: Contest) -> runs.Run:
        return _check_answer(runs.run(self._peer_command(contest, 1), contest.environment))

    def measure_cpu_ms(self, contests: Sequence[Contest], times: int, rounds: int) -> dict[str, float]:
        """Processor time of one warm invocation in milliseconds, by the names in bench/cost.py: of both sides, and of
        our other invocations for an upload. In turns, so that other load affects all of them equally.
        """
        commands = {
            **self.list_upload_commands(contests[0].environment, times),
            **{each.function: (self._command(each, times), each.environment) for each in contests},
            **{f"{each.function} in Node": (self._peer_command(each, times), each.environment) for each in contests},
        }
        measured = [{name: _cpu_ms(runs.run(*command)) for name, command in commands.items()} for _ in range(rounds)]
        return {name: median(each[name] for each in measured) for name in commands}

    def list_upload_commands(self, common: Mapping[str, str], times: int) -> dict[str, Command]:
        """The other invocations for an upload, in the environment of process_avatar."""
        finished = {"ASSETS_BUCKET": "finished"}
        pending = upload_id.create(_SUBJECT, int(1000 * time.time()))
        commands: dict[str, Command] = {}
        for name, event, changes in (
            ("finish_upload", _ask(_UPLOAD), {}),
            ("finish_upload, shrunk", _ask(_SHRUNK_UPLOAD), {}),
            ("process_avatar, shrunk", _build_batch(_SHRUNK_UPLOAD), {}),
            ("process_avatar, finished", _build_batch(_UPLOAD, receive_count=2), finished),
            ("upload_status", _ask(pending), {}),
        ):
            function = name.partition(",")[0]
            command = self._ours.command(function, write_event(self._folder / f"{name}.json", event), times)
            commands[name] = command, {**self._deployed[function].environment, **common, **changes}
        return commands

    def _command(self, contest: Contest, times: int) -> list[str]:
        return self._ours.command(contest.function, self._write_event(contest), times)

    def _peer_command(self, contest: Contest, times: int) -> list[str]:
        return self._peers.command(contest.handler, self._write_event(contest), times)

    def _write_event(self, contest: Contest) -> Path:
        return write_event(self._folder / f"{contest.function}.json", contest.event)

    def _process_avatar(self, common: Mapping[str, str], url: str) -> Contest:
        environment = {
            **common,
            **self._deployed["process_avatar"].environment,
            "AWS_ENDPOINT_URL_DYNAMODB": url,
            "AWS_ENDPOINT_URL_SNS": url,
            "AWS_ENDPOINT_URL_SQS": url,
            "UPLOADS_BUCKET": "uploads",
            "ASSETS_BUCKET": "assets",
            "CDN_URL": "https://cdn.example.com",
            "LIMITS_TABLE": "limits",
            "TOPIC_ARN": _TOPIC,
            "QUEUE_URL": f"{url}/123456789012/queue",
            "DISTRIBUTION_ID": "",
        }
        name = f"Node with sharp {self._peers.version('sharp')} and @aws-sdk/client-s3, bundled"
        return Contest("process_avatar", "process", name, _build_batch(_UPLOAD), environment, 0.6)

    def _presign_upload(self, common: Mapping[str, str]) -> Contest:
        environment = {**common, **self._deployed["presign_upload"].environment, "UPLOADS_BUCKET": "uploads"}
        del environment["AWS_ENDPOINT_URL_S3"]  # sends no request to S3
        body = json.dumps({"content_type": "image/jpeg", "size": 2_700_000})
        name = "Node with @aws-sdk/s3-presigned-post, bundled"
        return Contest("presign_upload", "presign", name, {"body": body, **_authorized_request()}, environment, 0.3)

    def _authorize(self, common: Mapping[str, str], url: str, key: rsa.RSAPrivateKey) -> Contest:
        environment = {
            **common,
            "ISSUER": _ISSUER,
            "AUDIENCE": _CLIENT,
            "AUDIENCE_CLAIM": "client_id",
            "USER_POOL_ID": _POOL,
            "CLIENT_ID": _CLIENT,
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": url,
            "KEYS_URL": f"{url}/{_POOL}/.well-known/jwks.json",
        }
        event = {"identitySource": [f"Bearer {_sign_token(key)}"]}
        return Contest("authorize", "authorize", "Node with aws-jwt-verify, bundled", event, environment, 1.0)


def _build_batch(its_id: str, *, receive_count: int = 1) -> dict[str, Any]:
    """The event of process_avatar. From the second time on, it announces an avatar that it finds published."""
    stored = {"key": storage_keys.incoming_key(_SUBJECT, its_id), "eTag": _EVENT_ETAG, "sequencer": "1"}
    record = {"eventName": "ObjectCreated:Post", "eventTime": "2026-11-20T12:00:00.000Z", "s3": {"object": stored}}
    message = {
        "messageId": "1",
        "body": json.dumps({"Records": [record]}),
        "attributes": {"ApproximateReceiveCount": str(receive_count)},
    }
    return {"Records": [message]}


def _ask(its_id: str) -> dict[str, Any]:
    """The event of a function that is asked for an upload."""
    return {"pathParameters": {"upload_id": its_id}, **_authorized_request()}


def _shrink(picture: Input) -> bytes:
    """As `<avatar-upload>` does for the default sizes: a square of 1.5 times the stable JPEG, quality 90."""
    shrunk = io.BytesIO()
    with Image.open(picture.path) as image:
        ImageOps.fit(image, (768, 768), Image.Resampling.LANCZOS).save(shrunk, "WEBP", quality=90)
    return shrunk.getvalue()


def _authorized_request() -> dict[str, Any]:
    return {"requestContext": {"authorizer": {"lambda": {"sub": _SUBJECT}}}}


def _sign_token(key: rsa.RSAPrivateKey) -> str:
    now = int(time.time())
    claims = {
        "sub": _SUBJECT,
        "iss": _ISSUER,
        "client_id": _CLIENT,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "iat": now,
        "exp": now + 24 * 3600,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "bench"})


def _encode_key_set(key: rsa.RSAPrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    public = {name: _encode_base64url(getattr(numbers, name)) for name in ("n", "e")}
    return json.dumps({"keys": [{"kid": "bench", "kty": "RSA", "alg": "RS256", "use": "sig", **public}]}).encode()


def _encode_base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def _parse_answer(run: runs.Run) -> dict[str, Any]:
    return json.loads(run.output.splitlines()[-1])


def _check_answer(run: runs.Run) -> runs.Run:
    """Return the run if its response reports success.

    Raises:
        RunError: The handler failed, which makes its time meaningless.
    """
    answer = _parse_answer(run)["answer"]
    is_done = answer in ({}, {"batchItemFailures": []}) or answer.get("isAuthorized") or answer.get("statusCode") == 200
    if not is_done:
        raise runs.RunError(f"the handler answered {answer}:\n{run.output[-2000:]}")
    return run


def _cpu_ms(run: runs.Run) -> float:
    times: list[float] = _parse_answer(_check_answer(run))["cpu_ms"]
    return median(times[len(times) // 4 :])  # the first invocations import modules and open connections
