"""Bytes of archives: reproducible, compiled ahead of time, rebuilt when they are stale."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from lambda_packages.archive import Compiler, Recipe, build_archive, find_compiler, is_up_to_date
from lambda_packages.build import ALLOW_UNCOMPILED, PackagingError, Platform
from tests.lambda_packages.conftest import InstallPython
from tests.lambda_packages.project import NO_SUCH_PYTHON, Project, list_names, read_entry

RUN_THIS_PYTHON = f'exec "{sys.executable}" "$@"'


def test_two_builds_give_same_bytes(project: Project, tmp_path: Path) -> None:
    # A .pyc file has the members of a set in the order of their hashes.
    project.write("functions/shared.py", "text = 'x' in {'a', 'b', 'c', 'd', 'e', 'f'}\n")
    first = project.build(Platform.host(), tmp_path / "one")
    for path in project.folder.rglob("*.py"):
        os.utime(path, (1, 1))
    second = project.build(Platform.host(), tmp_path / "two")
    assert first.archive.read_bytes() == second.archive.read_bytes()
    assert first.layers["sample"].read_bytes() == second.layers["sample"].read_bytes()


def test_entries_are_sorted_with_fixed_dates_and_modes(project: Project) -> None:
    with zipfile.ZipFile(project.build(Platform.host()).archive) as zipped:
        entries = zipped.infolist()
    assert [Path(entry.filename) for entry in entries] == sorted(Path(entry.filename) for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_pyc_files_are_used_without_checking_the_source(project: Project, tmp_path: Path) -> None:
    package = project.build(Platform.host())
    cached = f"functions/greet/__pycache__/words.{sys.implementation.cache_tag}.pyc"
    with zipfile.ZipFile(package.archive) as zipped:
        flags = zipped.read(cached)[4:8]
        zipped.extractall(tmp_path / "task")
    assert flags == struct.pack("<I", 0b01)  # hash-based, unchecked: https://peps.python.org/pep-0552/
    layer_names = list_names(package.layers["sample"])
    assert f"python/sample/__pycache__/__init__.{sys.implementation.cache_tag}.pyc" in layer_names

    (tmp_path / "task/functions/greet/words.py").write_text("hello = 'compiled again'\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path / 'task')!r}); from functions.greet import handler"
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}; print(handler.hello)"], capture_output=True, check=True
    )
    assert shown.stdout == b"hello\n"


def test_pyc_files_name_the_source_as_mounted_by_lambda(project: Project) -> None:
    package = project.build(Platform.host())
    for archive, name, source in (
        (package.archive, "functions/greet/__pycache__/words", b"/var/task/functions/greet/words.py"),
        (package.layers["sample"], "python/sample/__pycache__/__init__", b"/opt/python/sample/__init__.py"),
    ):
        assert source in read_entry(archive, f"{name}.{sys.implementation.cache_tag}.pyc")


def test_target_python_missing_raises(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_UNCOMPILED)
    with pytest.raises(PackagingError, match=r"^python3\.99 is not on the PATH.*ALLOW_UNCOMPILED_PACKAGES=1"):
        project.build(NO_SUCH_PYTHON)


def test_uncompiled_packages_allowed_logs_warning(unbuilt_project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    package = unbuilt_project.build(NO_SUCH_PYTHON)
    packaged = list_names(package.archive) + list_names(package.layers["sample"])
    assert not [name for name in packaged if name.endswith(".pyc")]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "packages for host are not compiled: python3.99 is not on the PATH"),
        ("INFO", f"building {package.layers['sample']}"),
        ("INFO", f"building {package.archive}"),
    ]


def test_target_python_installed_later_rebuilds_all(project: Project, install_python: InstallPython) -> None:
    project.build(NO_SUCH_PYTHON)
    install_python("bin", RUN_THIS_PYTHON)
    package = project.build(NO_SUCH_PYTHON)
    for archive in (package.archive, package.layers["sample"]):
        assert [name for name in list_names(archive) if name.endswith(".pyc")]


def test_find_compiler_asks_interpreter_on_path(install_python: InstallPython) -> None:
    install_python("bin", RUN_THIS_PYTHON)
    assert find_compiler(NO_SUCH_PYTHON) == Compiler(sys.executable, MAGIC_NUMBER.hex())


def test_shim_without_interpreter_is_ignored(project: Project, install_python: InstallPython) -> None:
    install_python("bin", "echo not installed >&2; exit 127")
    assert not [name for name in list_names(project.build(NO_SUCH_PYTHON).archive) if name.endswith(".pyc")]


def test_only_pyc_format_of_compiler_makes_archive_stale(tmp_path: Path) -> None:
    platform, magic_number = Platform.host(), MAGIC_NUMBER.hex()

    def stage_files(stage: Path) -> None:
        (stage / "module.py").write_text("")

    recipe = Recipe(tmp_path / "archive.zip", {"module.py": b""}, stage_files, "/var/task")
    build_archive(recipe, platform, Compiler(sys.executable, magic_number))
    assert is_up_to_date(recipe, platform, Compiler("/elsewhere/python", magic_number))
    assert not is_up_to_date(recipe, platform, Compiler(sys.executable, "00000000"))
    assert not is_up_to_date(recipe, platform, None)


def test_up_to_date_archives_are_kept(project: Project) -> None:
    package = project.build()
    archives = [package.archive, *package.layers.values()]
    before = [archive.stat().st_mtime_ns for archive in archives]
    project.build()
    assert [archive.stat().st_mtime_ns for archive in archives] == before


def test_changed_module_rebuilds_function_but_not_layer(project: Project) -> None:
    package = project.build()
    layer_before = package.layers["sample"].stat().st_mtime_ns
    project.write("functions/shared.py", "text = 'good morning'\n")
    project.build()
    assert read_entry(package.archive, "functions/shared.py") == b"text = 'good morning'\n"
    assert package.layers["sample"].stat().st_mtime_ns == layer_before


def test_changed_pins_rebuild_layer(project: Project) -> None:
    project.build()
    project.publish({"sample/__init__.py": b"answer = 43\n"})
    assert read_entry(project.build().layers["sample"], "python/sample/__init__.py") == b"answer = 43\n"


@pytest.mark.parametrize("part", ["function", "layer"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "no record"])
def test_damaged_archive_is_rebuilt(project: Project, part: str, damage: str) -> None:
    package = project.build()
    archive = package.archive if part == "function" else package.layers["sample"]
    original = archive.read_bytes()
    if damage == "missing":
        archive.unlink()
    elif damage == "truncated":
        archive.write_bytes(original[:-10])
    else:
        archive.with_suffix(".key").unlink()
        archive.write_bytes(b"something else")
    project.build()
    assert archive.read_bytes() == original
