"""What happens to a request between a boto3 client and a service, and what the client does about it.

The client retries in botocore's standard mode: three attempts by default, with a pause between them.
https://docs.aws.amazon.com/boto3/latest/guide/retries.html#standard-retry-mode
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from simulation.clock import sleep
from simulation.scheduler import Task, current_task

if TYPE_CHECKING:
    from simulation.simulation import Simulation

# What botocore.retries.standard retries
_RETRYABLE_STATUSES = {500, 502, 503, 504}
_THROTTLING_CODES = {"SlowDown", "ThrottlingException", "Throttling", "RequestLimitExceeded"}
_BACKOFF_SECONDS, _THROTTLING_BACKOFF_SECONDS = 0.05, 1

TYPICAL_MS = 20
_LATENCIES_MS = (TYPICAL_MS, 4, 8, 12, 30, 45, 70, 110, 200, 350)
_SLOW_MS = (TYPICAL_MS, 900, 1_900)

OK = "ok"
ERROR = "500 before the effect"
REFUSED = "connection refused"
RESPONSE_LOST = "response lost after the effect"
HANG = "no response, no effect"
HANG_AFTER = "no response after the effect"
LATE = "no response, effect 2 s after the client's timeout"
KILLED_BEFORE = "sandbox killed before the effect"
KILLED_AFTER = "sandbox killed after the effect"
CONFLICT = "409 concurrent conditional write"
BODY_LOST = "body ends in a timeout"
PARTLY = "InternalError for the first key"

_FAULTS = (OK, ERROR, REFUSED, RESPONSE_LOST, HANG, HANG_AFTER, LATE)
_READ_FAULTS = (OK, ERROR, REFUSED, HANG)
_BODY_FAULTS = (*_READ_FAULTS, BODY_LOST)
_CONDITIONAL_FAULTS = (*_FAULTS, CONFLICT)
_MULTIPLE_FAULTS = (*_FAULTS, PARTLY)
_KILLS = (OK, KILLED_BEFORE, KILLED_AFTER)
_LATE_MS = 2_000


class Request:
    """One attempt of a client's call."""

    __slots__ = (
        "bucket",
        "effect",
        "fault",
        "is_append",
        "is_list",
        "is_read",
        "keys",
        "operation",
        "service",
        "simulation",
    )

    def __init__(
        self,
        simulation: Simulation,
        service: str,
        operation: str,
        bucket: str,
        keys: tuple[str, ...],
        effect: Callable[[Request], Any],
        *,
        is_read: bool = False,
        is_append: bool = False,
        is_list: bool = False,
    ) -> None:
        """`is_append`: it adds a message to others, in whatever order; `is_list`: it may see any key of the bucket."""
        self.simulation = simulation
        self.service = service
        self.operation = operation
        self.bucket = bucket
        self.keys = keys
        """What it touches: keys of objects, or the address of a queue or topic."""
        self.effect = effect
        self.is_read = is_read
        self.is_append = is_append
        self.is_list = is_list
        self.fault: str | None = None
        """What the service does to the response while it takes effect."""

    def conflicts_with(self, other: Request) -> bool:
        """Whether the order of the two makes a difference to a service."""
        if (self.is_read and other.is_read) or (self.is_append and other.is_append):
            return False
        if self.bucket == other.bucket and (self.is_list or other.is_list):
            return True
        return self.bucket == other.bucket and not set(self.keys).isdisjoint(other.keys)


class SimulatedClient:
    """What the clients of all services share: attempts, faults and retries."""

    service: str

    def __init__(self, config: Config | None) -> None:
        """`config` is the one that the functions give to boto3."""
        timeout: float | None = getattr(config, "read_timeout", None)
        self.read_timeout_seconds = 60 if timeout is None else timeout
        retries: Any = getattr(config, "retries", None) or {}
        self._attempts = retries.get("total_max_attempts") or 1 + retries.get("max_attempts", 2)

    def call(
        self,
        operation: str,
        key: str,
        effect: Callable[[Request], Any],
        *,
        bucket: str = "",
        keys: tuple[str, ...] = (),
        is_read: bool = False,
        is_append: bool = False,
        is_list: bool = False,
        is_conditional: bool = False,
    ) -> Any:
        """The response to an operation, after as many attempts as are allowed.

        Raises:
            ClientError: The service refuses it, or fails at every attempt.
            botocore.exceptions.HTTPClientError: The last attempt gets no response.
        """
        task = current_task()
        simulation = task.invocation.simulation
        request = Request(
            simulation,
            self.service,
            operation,
            bucket,
            keys or (key,),
            effect,
            is_read=is_read,
            is_append=is_append,
            is_list=is_list,
        )
        symbolic = simulation.symbolic(key)
        for attempt in range(1, self._attempts + 1):
            try:
                return self._attempt(task, request, symbolic, is_conditional)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                code = error.response["Error"]["Code"]
                is_throttled = code in _THROTTLING_CODES
                if attempt == self._attempts or not (status in _RETRYABLE_STATUSES or is_throttled):
                    raise
            except (ConnectionClosedError, EndpointConnectionError, ReadTimeoutError):
                is_throttled = False
                if attempt == self._attempts:
                    raise
            base = _THROTTLING_BACKOFF_SECONDS if is_throttled else _BACKOFF_SECONDS
            sleep(simulation.random.random() * base * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, task: Task, request: Request, symbolic: str, is_conditional: bool) -> Any:
        simulation: Simulation = request.simulation
        invocation = task.invocation
        counts = invocation.request_counts
        label = f"{request.operation} {symbolic}"
        count = counts[label] = counts.get(label, 0) + 1
        if count > 1:
            label = f"{label} ({count})"
        outcome, latency_ms = simulation.fate(invocation, request, label, is_conditional)
        latency_ms = min(latency_ms, round(900 * self.read_timeout_seconds))
        return self._deliver(task, request, label, outcome, latency_ms)

    def _deliver(self, task: Task, request: Request, label: str, outcome: str, latency_ms: int) -> Any:
        simulation: Simulation = request.simulation
        invocation = task.invocation
        scheduler = simulation.scheduler
        name = invocation.name
        timeout_ms = round(self.read_timeout_seconds * 1000)

        def arrive() -> None:
            if outcome == OK:
                self._take_effect(task, request, label, OK, is_answered=True)
            elif outcome == ERROR:
                simulation.record(name, label, outcome)
                task.fail(_server_error(request))
            elif outcome == CONFLICT:
                simulation.record(name, label, outcome)
                task.fail(_conflict(request))
            elif outcome == REFUSED:
                simulation.record(name, label, outcome)
                task.fail(EndpointConnectionError(endpoint_url=request.service))
            elif outcome == RESPONSE_LOST:
                self._take_effect(task, request, label, outcome, is_answered=False)
                task.fail(ConnectionClosedError(endpoint_url=request.service))
            elif outcome in (BODY_LOST, PARTLY):
                request.fault = outcome
                self._take_effect(task, request, label, outcome, is_answered=True)
                request.fault = None
            elif outcome in (HANG, HANG_AFTER, LATE):
                if outcome == HANG_AFTER:
                    self._take_effect(task, request, label, outcome, is_answered=False)
                elif outcome == LATE:
                    scheduler.after(
                        timeout_ms + _LATE_MS,
                        lambda: self._take_effect(task, request, label, outcome, is_answered=False),
                    )
                else:
                    simulation.record(name, label, outcome)
                timed_out = ReadTimeoutError(endpoint_url=request.service)
                scheduler.after(timeout_ms, lambda: task.fail(timed_out))
            elif outcome == KILLED_AFTER:
                self._take_effect(task, request, label, outcome, is_answered=False)
                simulation.kill(invocation)
            else:
                simulation.record(name, label, outcome)
                simulation.kill(invocation)

        scheduler.send(latency_ms, (name, label, request, invocation), arrive)
        return task.suspend()

    def _take_effect(self, task: Task, request: Request, label: str, outcome: str, *, is_answered: bool) -> None:
        simulation: Simulation = request.simulation
        try:
            response = request.effect(request)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            simulation.record(task.invocation.name, label, f"{status} {error.response['Error']['Code']}", outcome)
            if is_answered:
                task.fail(error)
            return
        simulation.record(task.invocation.name, label, "200", outcome)
        simulation.check_effects()
        if is_answered:
            task.resume(response)


def faults_of(request: Request, is_conditional: bool) -> tuple[str, ...]:
    """What may happen to an attempt beside that it succeeds and that its sandbox is killed."""
    if is_conditional:
        return _CONDITIONAL_FAULTS
    if request.operation == "GetObject":
        return _BODY_FAULTS
    if request.operation == "DeleteObjects":
        return _MULTIPLE_FAULTS
    return _READ_FAULTS if request.is_read else _FAULTS


KILLS, LATENCIES_MS, SLOW_MS = _KILLS, _LATENCIES_MS, _SLOW_MS


def _server_error(request: Request) -> ClientError:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList"""
    response: Any = {
        "Error": {"Code": "InternalError", "Message": "We encountered an internal error. Please try again."},
        "ResponseMetadata": {"HTTPStatusCode": 500},
    }
    return ClientError(response, request.operation)


def _conflict(request: Request) -> ClientError:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html#conditional-write-behavior"""
    response: Any = {
        "Error": {"Code": "ConditionalRequestConflict", "Message": "The conditional request cannot succeed."},
        "ResponseMetadata": {"HTTPStatusCode": 409},
    }
    return ClientError(response, request.operation)
