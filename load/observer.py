"""Notes when requests pass the AWS endpoint that tell how far an upload is."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from werkzeug.test import run_wsgi_app

from functions.process_avatar.s3_events import created_objects
from functions.shared.storage_keys import AVATARS, INCOMING, parse_incoming_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RECEIVE_MESSAGE = "AmazonSQS.ReceiveMessage"


class Observer:
    """A WSGI application that forwards all requests to `aws`. Times are values of `time.monotonic()`."""

    def __init__(self, aws: WSGIApplication, uploads_bucket: str, assets_bucket: str) -> None:
        self._aws = aws
        self._originals = f"/{uploads_bucket}/{INCOMING}"
        self._avatars = f"/{assets_bucket}/{AVATARS}"
        self._changed = threading.Condition()
        self.empty_receives = 0
        """Responses to workers without a message."""
        self.deliveries = 0
        """Messages of uploads that a worker received."""
        self.received_at: dict[str, float] = {}
        """When a worker received the message of an upload for the first time."""
        self.last_received_at: dict[str, float] = {}
        """When a worker received it for the last time."""
        self.processed_at: dict[str, float] = {}
        """When the original was deleted, the last step of an upload."""
        self.published: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        """By subject: when which upload's manifest was written."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        chunks, status, headers = run_wsgi_app(self._aws, environ, buffered=True)
        body = b"".join(chunks)
        if status.startswith("2"):
            self._note(environ, body)
        start_response(status, list(headers))
        return [body]

    def wait_until(self, condition: Callable[[], bool], patience: float) -> bool:
        """Waits for a condition on what was noted. Returns it, at the latest when nothing changed for `patience` s."""
        with self._changed:
            while not condition():
                if not self._changed.wait(patience):
                    return condition()
        return True

    def _note(self, environ: WSGIEnvironment, body: bytes) -> None:
        method, path, now = environ["REQUEST_METHOD"], environ["PATH_INFO"], time.monotonic()
        if environ.get("HTTP_X_AMZ_TARGET") == RECEIVE_MESSAGE:
            messages = json.loads(body).get("Messages", [])
            ids = [id_ for message in messages for id_ in _find_uploads(message["Body"])]
            with self._changed:
                self.empty_receives += not messages
                self.deliveries += len(ids)
                for id_ in ids:
                    self.received_at.setdefault(id_, now)
                    self.last_received_at[id_] = now
                self._changed.notify_all()
        elif method == "DELETE" and path.startswith(self._originals):
            with self._changed:
                self.processed_at.setdefault(path.rpartition("/")[2], now)
                self._changed.notify_all()
        elif method == "PUT" and path.startswith(self._avatars) and path.endswith(".json"):
            manifest = json.loads(environ["wsgi.input"].getvalue())
            with self._changed:
                self.published[manifest["subject"]].append((now, manifest["upload_id"]))


def _find_uploads(message: str) -> list[str]:
    try:
        return [parse_incoming_key(created.key)[1] for created in created_objects(json.loads(message))]
    except ValueError:  # a message of another queue
        return []
