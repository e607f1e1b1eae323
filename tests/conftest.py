"""Settings of every test run."""

from __future__ import annotations

import gc
import os

from lambda_packages.build import ALLOW_UNCOMPILED

# Nothing is deployed, so Python 3.14 is not needed to build the packages for Lambda.
os.environ.setdefault(ALLOW_UNCOMPILED, "1")
# As in a local run: a quarter of the time that it takes to start a stack.
gc.set_threshold(100_000)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are CPUs: some tests wait for processes and for timeouts."""
    return (os.cpu_count() or 1) + 1
