import resource

from functions.process_avatar.imaging import malloc


def count_page_faults(size: int) -> int:
    """Return the page faults of allocating `size` bytes after the same size was allocated and freed."""
    bytes(bytearray(b"\1") * size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(bytearray(b"\1") * size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_keep_freed_memory_large_blocks_are_reused() -> None:
    malloc.keep_freed_memory()
    assert count_page_faults(20_000_000) < 500, "of 5,000 pages"
