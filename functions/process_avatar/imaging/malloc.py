"""Settings of glibc's memory allocator."""

import ctypes

# https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# The maximum before glibc 2.35 on 64-bit systems, for example in Amazon Linux 2023: HEAP_MAX_SIZE / 2 in malloc.c.
_LARGEST_KEPT_BLOCK_BYTES = 32 * 1024 * 1024
KEPT_BYTES = 96 * 1024 * 1024


def keep_freed_memory() -> None:
    """Have glibc reuse freed memory instead of returning large blocks to the kernel. Other C libraries: no effect.

    The kernel zeroes each page of a new block, which takes a quarter of the time of a large WebP, and a tenth of a
    PNG's. JPEGs need no large blocks.

    Raises:
        ValueError: glibc refuses a value.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for parameter, value in ((_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK_BYTES), (_M_TRIM_THRESHOLD, KEPT_BYTES)):
            if not mallopt(parameter, value):
                raise ValueError(f"mallopt({parameter}, {value}) failed")
