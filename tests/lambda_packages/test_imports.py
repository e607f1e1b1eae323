"""Which modules are packaged with a handler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lambda_packages.build import PackagingError
from lambda_packages.imports import find_imported_modules
from tests.lambda_packages.project import Project, list_names


def test_function_contains_only_imported_modules(project: Project) -> None:
    project.write("functions/greet/notes.txt", "not a module")
    project.write("functions/greet/__pycache__/handler.cpython-311.pyc", "stale")
    assert list_names(project.build().archive) == [
        "functions/__init__.py",
        "functions/greet/__init__.py",
        "functions/greet/handler.py",
        "functions/greet/words.py",
        "functions/shared.py",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "import functions.other.tool",
        "import json, functions.other.tool as tool",
        "from functions.other import tool",
        "from functions.other.tool import thing",
        "from functions.other.tool import *",
        "from ..other import tool",
        "from ..other.tool import thing",
        "def handle(event, context):\n    from functions.other import tool",
    ],
)
def test_every_form_of_import_is_followed(project: Project, statement: str) -> None:
    project.write("functions/other/__init__.py", "")
    project.write("functions/other/tool.py", "thing = 1\n")
    project.write("functions/greet/handler.py", statement)
    packaged = set(list_names(project.build().archive))
    assert {"functions/other/__init__.py", "functions/other/tool.py"} <= packaged


def test_find_imported_modules_returns_sorted_files(project: Project) -> None:
    files = find_imported_modules(project.folder, "functions.greet.words", {})
    assert files == [
        project.folder / path
        for path in ("functions/__init__.py", "functions/greet/__init__.py", "functions/greet/words.py",
                     "functions/shared.py")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import functions.gone", "functions.gone"),
        ("from functions import gone", "functions.gone"),
        ("from functions.gone import x", "functions.gone"),
        ("from . import gone", "functions.greet.gone"),
    ],
)
def test_import_of_missing_module_raises(project: Project, statement: str, missing: str) -> None:
    project.write("functions/greet/words.py", f"\n{statement}\n")
    with pytest.raises(PackagingError, match=rf"greet/words\.py, line 2: there is no module {re.escape(missing)} in"):
        project.build()


def test_function_without_handler_raises(project: Project) -> None:
    Path(project.folder / "functions/greet/handler.py").unlink()
    with pytest.raises(PackagingError, match=r"there is no module functions\.greet\.handler"):
        project.build()
