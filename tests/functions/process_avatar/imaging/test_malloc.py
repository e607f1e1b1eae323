"""Freed memory is kept, so that the next picture does not pay for it again."""

import resource

from functions.process_avatar.imaging import malloc


def faults_of(size: int) -> int:
    """Pages of `size` bytes that had to be asked for, after the same was used and freed before."""
    bytes(bytearray(b"\1") * size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(bytearray(b"\1") * size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again() -> None:
    malloc.keep_freed_memory()
    assert faults_of(20_000_000) < 500, "of five thousand"
