"""Cold starts: the duration of a whole process with one invocation, Python against Node.js, over TLS."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import runs, services
from bench.deployed import Function
from bench.inputs import Input
from bench.rows import Row
from bench.sides import PLATFORM, Ours, Peers, write_event
from functions.shared import upload_id

_SUBJECT = "5f0c7a52-9d1e-4c0b-8a3f-6f2d1b7e4c90"
_POOL, _CLIENT = "us-east-1_AbCdEfGhI", "1example23456789"
_ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{_POOL}"
_UPLOAD = upload_id.create(_SUBJECT, 1_795_000_000_000)
_KEY = f"incoming/{_SUBJECT}/{_UPLOAD}"
_TOPIC = "arn:aws:sns:us-east-1:123456789012:avatars"


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
            f"/uploads/{_KEY}": picture.data,
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
        command = self._ours.command(contest.function, self._write_event(contest), 1)
        return _check_answer(runs.run(command, contest.environment))

    def _run_peer(self, contest: Contest) -> runs.Run:
        command = self._peers.command(contest.handler, self._write_event(contest), 1)
        return _check_answer(runs.run(command, contest.environment))

    def _write_event(self, contest: Contest) -> Path:
        return write_event(self._folder / f"{contest.function}.json", contest.event)

    def warm_cpu_ms(self, contest: Contest, times: int) -> tuple[float, float]:
        """Return the processor time of one warm invocation in milliseconds: ours, the peer's."""
        event = self._write_event(contest)
        commands = (
            self._ours.command(contest.function, event, times),
            self._peers.command(contest.handler, event, times),
        )
        ours, peer = (_cpu_ms(runs.run(command, contest.environment)) for command in commands)
        return ours, peer

    def status_cpu_ms(self, contest: Contest, times: int) -> float:
        """Processor time of upload_status for an upload that is pending, in the environment of another contest."""
        pending = upload_id.create(_SUBJECT, int(1000 * time.time()))
        asked = {"pathParameters": {"upload_id": pending}, **_authorized_request()}
        event = write_event(self._folder / "upload_status.json", asked)
        environment = {**contest.environment, **self._deployed["upload_status"].environment}
        return _cpu_ms(runs.run(self._ours.command("upload_status", event, times), environment))

    def _process_avatar(self, common: Mapping[str, str], url: str) -> Contest:
        stored = {"key": _KEY, "eTag": "0" * 32, "sequencer": "1"}
        record = {
            "eventName": "ObjectCreated:Post",
            "eventTime": "2026-11-20T12:00:00.000Z",
            "s3": {"object": stored},
        }
        message = {
            "messageId": "1",
            "body": json.dumps({"Records": [record]}),
            "attributes": {"ApproximateReceiveCount": "1"},
        }
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
        return Contest("process_avatar", "process", name, {"Records": [message]}, environment, 0.6)

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
    times: list[float] = _parse_answer(run)["cpu_ms"]
    return median(times[len(times) // 4 :])  # the first invocations import modules and open connections
