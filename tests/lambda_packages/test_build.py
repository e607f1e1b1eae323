"""What a package consists of, Lambda's limits, and builds at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from lambda_packages import build
from lambda_packages.archive import count_unzipped_bytes
from lambda_packages.build import Package, PackagingError
from tests.lambda_packages.project import NO_SUCH_PYTHON, REPOSITORY, Project, list_names, read_entry


def test_package_has_paths_of_its_archives(project: Project) -> None:
    package = project.build()
    assert package == Package(
        name="greet",
        archive=project.root() / "host/greet.zip",
        handler="functions.greet.handler.handle",
        layers={"sample": project.root() / "host/layers/sample.zip"},
    )


def test_files_that_match_patterns_are_packaged(project: Project) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nfiles = ["letters/*.py", "data/tables/**/*.txt"]\n')
    project.write("letters/dear.py", "")
    project.write("data/tables/deep/names.txt", "Ada")
    project.write("data/other.txt", "")
    package = project.build()
    assert package.layers == {}
    assert [name for name in list_names(package.archive) if not name.startswith("functions/")] == [
        "data/tables/deep/names.txt",
        "letters/dear.py",
    ]
    project.write("data/tables/deep/names.txt", "Grace")
    assert read_entry(project.build().archive, "data/tables/deep/names.txt") == b"Grace"


@pytest.mark.parametrize(
    "stray",
    [
        "letters/.#dear.py",
        "letters/.ipynb_checkpoints/dear.py",
        "letters/.DS_Store",
        "letters/__pycache__/dear.cpython-311.pyc",
        "letters/dear.py.orig",
        "letters/dear.py~",
        "letters/dump.sql",
    ],
)
def test_stray_file_is_not_packaged(project: Project, stray: str) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nfiles = ["letters/**/*.py"]\n')
    project.write("letters/dear.py", "")
    before = project.build().archive.read_bytes()
    project.write(stray, "")
    assert project.build().archive.read_bytes() == before


def test_pattern_without_match_raises(project: Project) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nfiles = ["letters/*.py"]\n')
    with pytest.raises(PackagingError, match=r"no file in .* matches letters/\*\.py"):
        project.build()


def test_two_processes_at_once_build_once(unbuilt_project: Project) -> None:
    project = unbuilt_project
    script = textwrap.dedent(f"""
        import logging
        from pathlib import Path
        from lambda_packages.build import Platform, build_packages
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        build_packages(Platform.host(), Path({str(project.root())!r}), Path({str(project.folder)!r}))
    """)
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    logs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], logs
    assert sorted(len(log.splitlines()) for log in logs) == [0, 2]
    assert list_names(project.root() / "host/greet.zip")


def test_zip_over_limit_raises_with_name_size_and_limit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.publish({"sample/noise.bin": os.urandom(10_000)})
    size = project.build().layers["sample"].stat().st_size
    monkeypatch.setattr(build, "MAX_ZIPPED_BYTES", size)
    project.build()
    monkeypatch.setattr(build, "MAX_ZIPPED_BYTES", size - 1)
    message = f"layer sample has {size:,} bytes zipped; Lambda's limit is {size - 1:,}"
    with pytest.raises(PackagingError, match=f"^{message}$"):
        project.build()


def test_function_with_layers_over_unzipped_limit_raises(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    package = project.build()
    size = sum(map(count_unzipped_bytes, (package.archive, package.layers["sample"])))
    monkeypatch.setattr(build, "MAX_UNZIPPED_BYTES", size)
    project.build()
    monkeypatch.setattr(build, "MAX_UNZIPPED_BYTES", size - 1)
    with pytest.raises(
        PackagingError,
        match=rf"^function greet \+ layer sample have {size:,} bytes unzipped; Lambda's limit is {size - 1:,}$",
    ):
        project.build()


def test_limits_are_those_of_lambda() -> None:
    assert build.MAX_ZIPPED_BYTES == 52_428_800
    assert build.MAX_UNZIPPED_BYTES == 262_144_000


def test_build_named_functions_builds_only_their_layers(project: Project) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nlayers = ["sample"]\n[other]\nlayers = ["missing"]\n')
    packages = build.build_packages(NO_SUCH_PYTHON, project.root(), project.folder, functions=["greet"])
    assert list(packages) == ["greet"]
    with pytest.raises(KeyError, match="unknown"):
        build.build_packages(NO_SUCH_PYTHON, project.root(), project.folder, functions=["unknown"])


def test_build_once_builds_each_function_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def build_packages(*, functions: list[str]) -> dict[str, Package]:
        calls.append(functions)
        return {name: Package(name, REPOSITORY / name, "", {}) for name in functions}

    monkeypatch.setattr(build, "build_packages", build_packages)
    monkeypatch.setattr(build, "_packages_of_this_process", {})
    assert list(build.build_packages_once(["a", "b"])) == ["a", "b"]
    assert list(build.build_packages_once(["c", "a"])) == ["c", "a"]
    build.build_packages_once(["b", "c"])
    assert calls == [["a", "b"], ["c"]]
