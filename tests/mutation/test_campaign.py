"""The command line, on a small project in a folder of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mutation.campaign import find_mutants, read_settings

ROOT = Path(__file__).parents[2]
SETTINGS = """
timeout_seconds = 60
preload = []

[[group]]
modules = ["shop/*.py"]
tests = ["tests/test_prices.py"]
"""
STRONG_TEST = """
from shop.prices import is_free

def test_is_free():
    assert [is_free(price) for price in (-1, 0, 1)] == [True, True, False]
"""
WEAK_TEST = """
from shop.prices import is_free

def test_is_free():
    assert [is_free(price) for price in (-1, 2)] == [True, False]
"""
CLEAR_TEST = """
from shop.prices import clear

def test_clear():
    basket = [1]
    clear(basket)
    assert not basket
"""


@dataclass(frozen=True)
class Project:
    root: Path

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(exist_ok=True)
        (self.root / path).write_text(text)

    def mutate(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mutation", "--processes", "1", *options],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("pyproject.toml", "[tool.pytest.ini_options]\n")
    made.write("mutation/core.toml", SETTINGS)
    made.write("mutation/equivalent.toml", "")
    made.write("shop/prices.py", "def is_free(price):\n    return price <= 0\n")
    made.write("tests/test_prices.py", STRONG_TEST)
    return made


def test_strong_test_finds_every_mutant(project: Project) -> None:
    result = project.mutate("--seed", "7")
    assert result.returncode == 0, result.stderr
    first, second, last = result.stdout.splitlines()
    assert first == "seed 7"
    assert second == "5 of 5 mutants; 0 are equivalent to the original"
    assert last.startswith("5 of 5 found, 100.0%, 0 of them by a timeout; ")


def test_weak_test_lists_survivors_with_their_difference(project: Project) -> None:
    project.write("tests/test_prices.py", WEAK_TEST)
    result = project.mutate()
    assert result.returncode == 1, result.stderr
    assert result.stdout.count("survived: ") == 3
    assert "survived: shop/prices.py:2\n-    return price <= 0\n+    return price < 0\n" in result.stdout
    assert "survived: shop/prices.py:2\n-    return price <= 0\n+    return price <= 1\n" in result.stdout
    assert "\n2 of 5 found, 40.0%" in result.stdout


def test_equivalent_mutant_is_left_out(project: Project) -> None:
    project.write("mutation/equivalent.toml", equivalent("return price < 0"))
    result = project.mutate("--list")
    assert result.returncode == 0, result.stderr
    assert "4 of 4 mutants; 1 are equivalent to the original\n" in result.stdout
    assert "return price < 0\n" not in result.stdout


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (("return price < 1", "why"), "shop/prices.py has no such mutant: return price < 1"),
        (("return price < 0", ""), "return price < 0 has no reason"),
    ],
)
def test_invalid_equivalent_entry_is_an_error(project: Project, entry: tuple[str, str], message: str) -> None:
    project.write("mutation/equivalent.toml", equivalent(*entry))
    result = project.mutate()
    assert result.returncode == 2
    assert result.stderr == f"mutation/equivalent.toml: {message}\n"


def test_module_pattern_without_match_is_an_error(project: Project) -> None:
    (project.root / "shop/prices.py").unlink()
    result = project.mutate()
    assert result.returncode == 2
    assert result.stderr == "mutation/core.toml: no module matches shop/*.py\n"


def test_infinite_loop_is_found_by_timeout(project: Project) -> None:
    project.write("mutation/core.toml", SETTINGS.replace("timeout_seconds = 60", "timeout_seconds = 0.5"))
    project.write("shop/prices.py", "def clear(basket):\n    while basket:\n        basket.pop()\n")
    project.write("tests/test_prices.py", CLEAR_TEST)
    result = project.mutate()
    assert result.returncode == 0, result.stderr
    assert "\n2 of 2 found, 100.0%, 1 of them by a timeout; " in result.stdout


def test_test_that_fails_without_a_mutant_is_an_error(project: Project) -> None:
    project.write("tests/test_prices.py", "def test_is_free():\n    assert 'always' == 'wrong'\n")
    result = project.mutate()
    assert result.returncode == 2
    assert result.stderr.startswith("tests fail without a mutant\n")
    assert "assert 'always' == 'wrong'" in result.stderr


def test_same_seed_gives_the_same_mutants(project: Project) -> None:
    first, again, other = (project.mutate("--list", "--count", "2", "--seed", seed).stdout for seed in "556")
    assert first == again
    assert first.splitlines()[1:] != other.splitlines()[1:]


def test_settings_of_this_repository_match_its_files() -> None:
    settings = read_settings(ROOT)
    mutants, equivalents = find_mutants(ROOT, settings)
    assert len(mutants) > 2_000
    assert equivalents >= len(settings.equivalents)
    assert [path for tests in settings.tests.values() for path in tests if not (ROOT / path).exists()] == []


def equivalent(mutated: str, reason: str = "why") -> str:
    return f"""
[[mutant]]
module = "shop/prices.py"
original = "return price <= 0"
mutated = "{mutated}"
reason = "{reason}"
"""
