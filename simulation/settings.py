"""What the stack is configured with, as far as it makes a difference to a run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values that components/avatar_pipeline.py declares; a test holds them equal."""

    function_timeout_seconds: int = 60
    visibility_timeout_seconds: int = 360
    max_receives: int = 5
    batch_size: int = 5

    manifest_cache_seconds: int = 60
    """How long a reader may go on seeing a manifest that was replaced: max-age of its Cache-Control."""

    answer_seconds: int = 15
    """The longest wait for an answer when nothing fails, beside what the simulation delays requests by."""
    failure_seconds: int = 20
    """What one failure of a service may add to it."""
    kill_seconds: int = 90
    """What one killed sandbox may add to it."""
