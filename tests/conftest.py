"""Settings of every test run."""

from __future__ import annotations

import gc
import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lambda_packages.build import ALLOW_UNCOMPILED

# Nothing is deployed, so Python 3.14 is not needed to build the packages for Lambda.
os.environ.setdefault(ALLOW_UNCOMPILED, "1")
# As in a local run: a quarter of the time that it takes to start a stack.
gc.set_threshold(100_000)

# Folders whose tests share what takes seconds to make, for example a stack, a browser, recorded graphs or pictures: one
# worker runs them all. These, and files that take long, are started first, the longest before the others: one that
# started last would run alone at the end.
UNITS = (
    "tests/browser/avatar_upload/",
    "tests/browser/profile/",
    "tests/local/test_least_privilege.py",
    "tests/local/test_moderation.py",
    "tests/local/",
    "tests/browser/engines/",
    "tests/components/",
    "tests/functions/process_avatar/imaging/",
    "tests/load/",
    "tests/functions/process_avatar/test_process_avatar.py",
    "tests/lambda_packages/",
    "tests/plugin/",
    "tests/simulation/test_simulation.py",
    "tests/simulation/test_exhaustive.py",
    "tests/functions/profile/test_profile.py",
    "tests/functions/migrate_database/test_migrations.py",
    "tests/functions/process_avatar/test_moderation.py",
    "tests/fuzz/",
)


def find_position(nodeid: str) -> int:
    """Returns the position of a test's unit. Tests that belong to none come last."""
    return next((position for position, unit in enumerate(UNITS) if nodeid.startswith(unit)), len(UNITS))


def find_scope(nodeid: str) -> str:
    """Returns the unit of a test, or its file if it belongs to none."""
    return next(filter(nodeid.startswith, UNITS), nodeid.split("::", 1)[0])


class UnitScheduling(LoadFileScheduling):
    """Runs the tests of a unit on one worker, and the tests of any other file."""

    def _split_scope(self, nodeid: str) -> str:
        return find_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return UnitScheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: find_position(item.nodeid))


def pytest_collection_finish() -> None:
    """Leaves out of garbage collections what lives until the end: 4,700 tests and the modules that they import."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each CPU: many tests wait for a browser, for processes and for timeouts."""
    return 2 * (os.cpu_count() or 1)
