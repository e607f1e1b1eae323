"""What the stack is configured with, as far as it makes a difference to a run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values that components/avatar_pipeline.py declares; a test holds them equal."""

    function_timeout_seconds: int = 14
    finish_timeout_seconds: int = 10
    visibility_timeout_seconds: int = 84
    max_receives: int = 8
    batch_size: int = 1

    sweep_timeout_seconds: int = 900
    originals_days: int = 14
    erase_timeout_seconds: int = 300
    processing_seconds: int = 19

    superseded_days: int = 7
    """How long a version has to stay when it is replaced, as docs/api.md promises."""

    answer_seconds: int = 15
    """The longest wait for an answer when nothing fails, beside what the simulation delays requests by."""
    failure_seconds: int = 10
    """What one failure of a service may add to it, beside the pause before the next delivery."""
    kill_seconds: int = 90
    """What one killed sandbox may add to it."""

    def longest_pause_seconds(self, receive_count: int) -> float:
        """The longest pause after a delivery that has failed: docs/decisions/0033-one-upload-per-invocation.md."""
        return 1.5 * 2**receive_count
