"""Memory that is kept for the next picture."""

from functools import cache

# https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 64 * 1024 * 1024


@cache
def keep_freed_memory() -> None:
    """Once: have the C library keep what decoders free, where it would give large pieces back to the system at once.

    Each page it gets anew is cleared first: a quarter of the time that a large WebP takes, a tenth of a PNG's. JPEGs
    need no large pieces, so this is for the others to ask for. Other libraries than glibc have nothing to set.
    """
    import ctypes

    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
