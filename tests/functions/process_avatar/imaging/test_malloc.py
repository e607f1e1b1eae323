import resource
from types import SimpleNamespace

import pytest

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


@pytest.mark.parametrize("refused", [None, -3, -1])
def test_keep_freed_memory_sets_limits_that_glibc_accepts(monkeypatch: pytest.MonkeyPatch, refused: int | None) -> None:
    """https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html"""
    values: dict[int, int] = {}

    def mallopt(parameter: int, value: int) -> int:
        values[parameter] = value
        return int(parameter != refused)

    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    if refused is None:
        malloc.keep_freed_memory()
        assert values == {-3: 32 * 2**20, -1: 96 * 2**20}
    else:
        with pytest.raises(ValueError, match=f"mallopt\\({refused}, .*\\) failed"):
            malloc.keep_freed_memory()
