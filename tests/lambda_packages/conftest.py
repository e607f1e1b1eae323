"""Projects to package, and the packages of this repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lambda_packages.build import LAMBDA, Package, Platform, build_packages
from tests.lambda_packages.project import NO_SUCH_PYTHON, Project

InstallPython = Callable[[str, str], None]


@pytest.fixture(scope="session")
def built_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Built once for each platform: pip takes a second, and most tests do not change the layer."""
    project = Project.create(tmp_path_factory.mktemp("project"))
    for platform in (NO_SUCH_PYTHON, Platform.host()):
        project.build(platform)
    return project


@pytest.fixture
def project(built_project: Project, tmp_path: Path) -> Project:
    """A project whose packages are up to date."""
    return built_project.copy(tmp_path / "project")


@pytest.fixture
def unbuilt_project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project")


@pytest.fixture(scope="session")
def packages_for_host() -> Mapping[str, Package]:
    return build_packages(Platform.host())


@pytest.fixture(scope="session")
def packages_for_lambda() -> Mapping[str, Package]:
    return build_packages(LAMBDA)


@pytest.fixture
def install_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallPython:
    """Puts a python3.99 that runs a shell script on the PATH, in a folder of the given name."""

    def install(folder: str, script: str) -> None:
        command = tmp_path / folder / "python3.99"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")

    return install
