"""Which tests run on one worker, and in which order they start: tests/conftest.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import conftest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("unit", conftest.UNITS)
def test_unit_is_a_folder_or_a_file(unit: str) -> None:
    assert (ROOT / unit).is_dir() if unit.endswith("/") else (ROOT / unit).is_file()


def test_tests_of_units_come_first_in_the_order_of_units(request: pytest.FixtureRequest) -> None:
    positions = [conftest.find_position(item.nodeid) for item in request.session.items]
    assert positions == sorted(positions)


def test_test_belongs_to_its_first_unit_or_to_its_file() -> None:
    scopes = [
        conftest.find_scope(f"{file}::TestAny::test_any[tests/local/]")
        for file in ("tests/local/test_least_privilege.py", "tests/local/emulators/test_cors.py", "tests/test_docs.py")
    ]
    assert scopes == ["tests/local/test_least_privilege.py", "tests/local/", "tests/test_docs.py"]
