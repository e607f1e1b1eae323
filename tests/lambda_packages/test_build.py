import base64
import dataclasses
import hashlib
import importlib.metadata
import logging
import os
import re
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambda_packages import build
from lambda_packages.build import LAMBDA, PackagingError, Platform

REPOSITORY = Path(__file__).parents[2]
MIGRATIONS = sorted((REPOSITORY / "migrations/versions").glob("*.py"))
NO_SUCH_PYTHON = dataclasses.replace(Platform.host(), python=(3, 99))

# What Pulumi sets for each function. A handler reads all of it when it is imported.
ENVIRONMENTS = {
    "authorize": {"ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/pool", "CLIENT_ID": "client"},
    "current_avatar": {"ASSETS_BUCKET": "assets"},
    "migrate_database": {"DATABASE_URL_PARAMETER": "database-url"},
    "presign_upload": {"UPLOADS_BUCKET": "uploads", "MAX_UPLOAD_BYTES": "5000000"},
    "process_avatar": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn.example.com",
        "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:avatars",
        "SIZES": "512,128",
        "MAX_PIXELS": "50000000",
        "MAX_UPLOAD_BYTES": "5000000",
    },
    "profile": {
        "ASSETS_BUCKET": "assets",
        "ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/pool",
        "DATABASE_URL_PARAMETER": "database-url",
    },
    "upload_status": {"UPLOADS_BUCKET": "uploads", "ASSETS_BUCKET": "assets"},
}
PLATFORM_ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}


class Project:
    """A repository of its own, with one function, one layer made of one wheel, and no need of a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / ".build"
        self.write("functions/__init__.py", "")
        self.write("functions/greet/__init__.py", "")
        self.write("functions/greet/handler.py", "from functions.greet.words import hello\n")
        self.write("functions/greet/words.py", "from functions import shared\nhello = shared.text\n")
        self.write("functions/shared.py", "text = 'hello'\n")
        self.write("functions/unused.py", "")
        self.write("lambda_packages/functions.toml", '[greet]\nlayers = ["sample"]\n')
        self.publish({"sample/__init__.py": b"answer = 42\n"})

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def publish(self, files: Mapping[str, bytes], digest: str | None = None) -> None:
        """Make the layer's wheel, and pin it."""
        wheel = self.folder / "wheels/sample-1.0-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        metadata = {
            "sample-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n",
            "sample-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        contents = {**files, **metadata}
        lines = [
            f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
            for name, data in contents.items()
        ]
        with zipfile.ZipFile(wheel, "w") as zipped:
            for name, data in contents.items():
                zipped.writestr(name, data)
            zipped.writestr("sample-1.0.dist-info/RECORD", "\n".join([*lines, "sample-1.0.dist-info/RECORD,,\n"]))
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        pins = f"--no-index\n--find-links {wheel.parent}\nsample==1.0 --hash=sha256:{digest}\n"
        self.write("lambda_packages/layers/sample.txt", pins)

    def build(self, platform: Platform = NO_SUCH_PYTHON, root: Path | None = None) -> build.Package:
        return build.build(platform, root or self.root, self.folder)["greet"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def for_host() -> Mapping[str, build.Package]:
    return build.build(Platform.host())


@pytest.fixture(scope="session")
def for_lambda() -> Mapping[str, build.Package]:
    return build.build(LAMBDA)


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.namelist()


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a python3.99 on the PATH."""
    command = folder / "bin/python3.99"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")


def test_a_package_says_where_everything_is(project: Project) -> None:
    package = project.build()
    assert package == build.Package(
        name="greet",
        archive=project.root / "host/greet.zip",
        handler="functions.greet.handler.handle",
        layers={"sample": project.root / "host/layers/sample.zip"},
    )


def test_the_same_package_lies_at_the_same_place_for_lambda_and_for_the_host(
    for_lambda: Mapping[str, build.Package], for_host: Mapping[str, build.Package]
) -> None:
    build = REPOSITORY / ".build"
    for function, package in for_lambda.items():
        twin = for_host[function]
        assert package.archive.relative_to(build / "lambda") == twin.archive.relative_to(build / "host")
        assert {name: path.relative_to(build / "lambda") for name, path in package.layers.items()} == {
            name: path.relative_to(build / "host") for name, path in twin.layers.items()
        }


def test_a_function_ships_the_modules_its_handler_reaches_and_no_others(project: Project) -> None:
    project.write("functions/greet/notes.txt", "not a module")
    project.write("functions/greet/__pycache__/handler.cpython-311.pyc", "stale")
    assert names(project.build().archive) == [
        "functions/__init__.py",
        "functions/greet/__init__.py",
        "functions/greet/handler.py",
        "functions/greet/words.py",
        "functions/shared.py",
    ]


def test_a_function_ships_the_folders_it_names_beside_its_modules(project: Project) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nfolders = ["letters", "data/tables"]\n')
    project.write("letters/__pycache__/dear.cpython-311.pyc", "stale")
    project.write("letters/dear.py", "")
    project.write("data/tables/deep/names.txt", "Ada")
    project.write("data/other.txt", "")
    package = project.build()
    assert package.layers == {}
    assert [name for name in names(package.archive) if not name.startswith("functions/")] == [
        "data/tables/deep/names.txt",
        "letters/dear.py",
    ]
    project.write("data/tables/deep/names.txt", "Grace")
    with zipfile.ZipFile(project.build().archive) as zipped:
        assert zipped.read("data/tables/deep/names.txt") == b"Grace"


def test_a_folder_that_is_not_there_is_an_error(project: Project) -> None:
    project.write("lambda_packages/functions.toml", '[greet]\nfolders = ["letters"]\n')
    with pytest.raises(PackagingError, match=r"there is no folder .*letters"):
        project.build()


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
    shipped = set(names(project.build().archive))
    assert {"functions/other/__init__.py", "functions/other/tool.py"} <= shipped


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import functions.gone", "functions.gone"),
        ("from functions import gone", "functions.gone"),
        ("from functions.gone import x", "functions.gone"),
        ("from . import gone", "functions.greet.gone"),
    ],
)
def test_an_import_of_a_module_that_is_not_there_is_an_error(project: Project, statement: str, missing: str) -> None:
    project.write("functions/greet/words.py", f"\n{statement}\n")
    with pytest.raises(PackagingError, match=rf"greet/words\.py, line 2: there is no module {re.escape(missing)} in"):
        project.build()


def test_a_function_without_a_handler_is_an_error(project: Project) -> None:
    (project.folder / "functions/greet/handler.py").unlink()
    with pytest.raises(PackagingError, match=r"there is no module functions\.greet\.handler"):
        project.build()


def test_a_layer_has_its_packages_under_python_with_licences_and_without_noise(project: Project) -> None:
    project.publish(
        {
            "sample/__init__.py": b"",
            "sample/core.py": b"",
            "sample/core.pyi": b"",
            "sample/py.typed": b"",
            "sample/_imagingft.abi3.so": b"text is never drawn",
            "sample.libs/libfreetype-0a1b2c.so": b"nor are fonts loaded",
            "sample/tests/__init__.py": b"",
            "sample/tests/test_core.py": b"",
            "sample/data/table.bin": b"\0",
            "sample-1.0.dist-info/licenses/LICENSE.txt": b"MIT",
            "sample-1.0.dist-info/entry_points.txt": b"[console_scripts]\nsample = sample:main\n",
        }
    )
    assert names(project.build().layers["sample"]) == [
        "python/sample/__init__.py",
        "python/sample/core.py",
        "python/sample/data/table.bin",
        "python/sample-1.0.dist-info/licenses/LICENSE.txt",
    ]


def test_two_builds_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    # Sets are the usual trouble: in a .pyc they are written in the order of their hashes.
    project.write("functions/shared.py", "text = 'x' in {'a', 'b', 'c', 'd', 'e', 'f'}\n")
    first = project.build(Platform.host(), tmp_path / "one")
    for path in project.folder.rglob("*.py"):
        os.utime(path, (1, 1))
    second = project.build(Platform.host(), tmp_path / "two")
    assert first.archive.read_bytes() == second.archive.read_bytes()
    assert first.layers["sample"].read_bytes() == second.layers["sample"].read_bytes()


def test_entries_are_sorted_and_carry_fixed_dates_and_modes(project: Project) -> None:
    with zipfile.ZipFile(project.build(Platform.host()).archive) as zipped:
        entries = zipped.infolist()
    assert [Path(entry.filename) for entry in entries] == sorted(Path(entry.filename) for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_modules_are_compiled_ahead_for_their_interpreter_and_never_checked_against_the_source(
    project: Project, tmp_path: Path
) -> None:
    package = project.build(Platform.host())
    cached = f"functions/greet/__pycache__/words.{sys.implementation.cache_tag}.pyc"
    with zipfile.ZipFile(package.archive) as zipped:
        flags = zipped.read(cached)[4:8]
        zipped.extractall(tmp_path / "task")
    assert flags == struct.pack("<I", 0b01)  # hash-based, unchecked: https://peps.python.org/pep-0552/
    assert f"python/sample/__pycache__/__init__.{sys.implementation.cache_tag}.pyc" in names(package.layers["sample"])

    (tmp_path / "task/functions/greet/words.py").write_text("hello = 'compiled again'\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path / 'task')!r}); from functions.greet import handler"
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}; print(handler.hello)"], capture_output=True, check=True
    )
    assert shown.stdout == b"hello\n"


def test_compiled_modules_name_the_place_where_lambda_has_their_source(project: Project) -> None:
    package = project.build(Platform.host())
    for archive, name, place in (
        (package.archive, "functions/greet/__pycache__/words", b"/var/task/functions/greet/words.py"),
        (package.layers["sample"], "python/sample/__pycache__/__init__", b"/opt/python/sample/__init__.py"),
    ):
        with zipfile.ZipFile(archive) as zipped:
            assert place in zipped.read(f"{name}.{sys.implementation.cache_tag}.pyc")


def test_without_an_interpreter_of_the_target_nothing_is_compiled_and_a_note_says_so(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    package = project.build(NO_SUCH_PYTHON)
    shipped = names(package.archive) + names(package.layers["sample"])
    assert not [name for name in shipped if name.endswith(".pyc")]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"building {package.layers['sample']}",
        f"building {package.archive}",
        "not compiled, for want of a python3.99: cold starts take 20 to 40 ms longer",
    ]


def test_what_is_current_is_left_alone(project: Project) -> None:
    package = project.build()
    archives = [package.archive, *package.layers.values()]
    before = [archive.stat().st_mtime_ns for archive in archives]
    project.build()
    assert [archive.stat().st_mtime_ns for archive in archives] == before


def test_a_changed_module_makes_its_function_anew_and_leaves_the_layer(project: Project) -> None:
    package = project.build()
    layer_before = package.layers["sample"].stat().st_mtime_ns
    project.write("functions/shared.py", "text = 'good morning'\n")
    project.build()
    with zipfile.ZipFile(package.archive) as zipped:
        assert zipped.read("functions/shared.py") == b"text = 'good morning'\n"
    assert package.layers["sample"].stat().st_mtime_ns == layer_before


def test_changed_pins_make_their_layer_anew(project: Project) -> None:
    project.build()
    project.publish({"sample/__init__.py": b"answer = 43\n"})
    with zipfile.ZipFile(project.build().layers["sample"]) as zipped:
        assert zipped.read("python/sample/__init__.py") == b"answer = 43\n"


def test_an_interpreter_of_the_target_found_later_makes_everything_anew(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.build(NO_SUCH_PYTHON)
    stand_in(tmp_path, monkeypatch, f'exec "{sys.executable}" "$@"')
    package = project.build(NO_SUCH_PYTHON)
    for archive in (package.archive, package.layers["sample"]):
        assert [name for name in names(archive) if name.endswith(".pyc")]


def test_a_version_managers_shim_without_an_interpreter_behind_it_is_passed_over(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "echo not installed >&2; exit 127")
    assert not [name for name in names(project.build(NO_SUCH_PYTHON).archive) if name.endswith(".pyc")]


@pytest.mark.parametrize("part", ["function", "layer"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "no record"])
def test_a_damaged_package_is_made_anew(project: Project, part: str, damage: str) -> None:
    package = project.build()
    archive = package.archive if part == "function" else package.layers["sample"]
    whole = archive.read_bytes()
    if damage == "missing":
        archive.unlink()
    elif damage == "truncated":
        archive.write_bytes(whole[:-10])
    else:
        archive.with_suffix(".key").unlink()
        archive.write_bytes(b"something else")
    project.build()
    assert archive.read_bytes() == whole


def test_of_two_processes_that_build_at_once_one_builds_and_one_waits(project: Project) -> None:
    script = textwrap.dedent(f"""
        import logging
        from pathlib import Path
        from lambda_packages import build
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        build.build(build.Platform.host(), Path({str(project.root)!r}), Path({str(project.folder)!r}))
    """)
    running = [
        subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    logged = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], logged
    assert sorted(len(text.splitlines()) for text in logged) == [0, 2]
    assert names(project.root / "host/greet.zip")


def test_a_wheel_that_is_not_the_pinned_one_is_refused_in_pips_words(project: Project) -> None:
    project.publish({"sample/__init__.py": b""}, digest="0" * 64)
    with pytest.raises(PackagingError, match="layer sample: pip failed with exit code 1") as caught:
        project.build()
    assert "DO NOT MATCH THE HASHES" in str(caught.value)
    assert not (project.root / "host/layers/sample.zip").exists()


def test_a_pin_without_a_hash_is_refused(project: Project) -> None:
    pins = project.folder / "lambda_packages/layers/sample.txt"
    pins.write_text(re.sub(r" --hash=\S+", "", pins.read_text()))
    with pytest.raises(PackagingError, match="layer sample: pip failed"):
        project.build()


def test_a_zip_over_the_limit_is_refused_with_its_name_size_and_limit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.publish({"sample/noise.bin": os.urandom(10_000)})
    size = project.build().layers["sample"].stat().st_size
    monkeypatch.setattr(build, "MAX_ZIPPED_BYTES", size)
    project.build()
    monkeypatch.setattr(build, "MAX_ZIPPED_BYTES", size - 1)
    message = f"layer sample has {size:,} bytes zipped; Lambda takes {size - 1:,}"
    with pytest.raises(PackagingError, match=f"^{message}$"):
        project.build()


def test_a_function_over_the_unzipped_limit_together_with_its_layers_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project.build()
    size = sum(map(build.unzipped_bytes, (package.archive, package.layers["sample"])))
    monkeypatch.setattr(build, "MAX_UNZIPPED_BYTES", size)
    project.build()
    monkeypatch.setattr(build, "MAX_UNZIPPED_BYTES", size - 1)
    with pytest.raises(
        PackagingError,
        match=rf"^function greet \+ layer sample have {size:,} bytes unzipped; Lambda takes {size - 1:,}$",
    ):
        project.build()


def test_the_limits_are_lambdas() -> None:
    assert build.MAX_ZIPPED_BYTES == 52_428_800
    assert build.MAX_UNZIPPED_BYTES == 262_144_000


def test_every_function_folder_is_packaged(for_host: Mapping[str, build.Package]) -> None:
    folders = {path.parent.name for path in (REPOSITORY / "functions").glob("*/handler.py")}
    assert set(for_host) == folders == set(ENVIRONMENTS)


@pytest.mark.parametrize("function", ENVIRONMENTS)
def test_a_handler_imports_from_its_package_and_layers_alone(
    for_host: Mapping[str, build.Package], tmp_path: Path, function: str
) -> None:
    package = for_host[function]
    for archive, place in ((package.archive, "task"), *((layer, "opt") for layer in package.layers.values())):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(tmp_path / place)
    module, _, attribute = package.handler.rpartition(".")
    script = (
        f"import importlib, sys; sys.path[:0] = {[str(tmp_path / 'task'), str(tmp_path / 'opt/python')]!r}; "
        f"print(callable(importlib.import_module({module!r}).{attribute}))"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env={**PLATFORM_ENVIRONMENT, **ENVIRONMENTS[function]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.stdout, shown.stderr) == ("True\n", "")


def test_layer_boto3_has_the_model_of_every_client_and_no_other(for_lambda: Mapping[str, build.Package]) -> None:
    layer = names(for_lambda["process_avatar"].layers["boto3"])
    models = {found[1] for name in layer if (found := re.match(r"python/botocore/data/([^/]+)/", name))}
    sources = "".join(path.read_text() for path in (REPOSITORY / "functions").rglob("*.py"))
    assert models == set(re.findall(r'clients\.create\(\s*"([^"]+)"', sources)) == build.AWS_SERVICES
    assert len(re.findall(r"\bclients\.create\(", sources)) == len(re.findall(r'clients\.create\(\s*"', sources))


@pytest.mark.parametrize("service", sorted(build.AWS_SERVICES))
def test_layer_boto3_creates_a_client(for_host: Mapping[str, build.Package], tmp_path: Path, service: str) -> None:
    with zipfile.ZipFile(for_host["process_avatar"].layers["boto3"]) as zipped:
        zipped.extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'python')!r}); import boto3; "
        f"print(boto3.client({service!r}, region_name='eu-west-1').meta.endpoint_url)"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env=PLATFORM_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "eu-west-1" in shown.stdout


def test_a_route_that_needs_no_wheels_ships_a_few_kilobytes(for_host: Mapping[str, build.Package]) -> None:
    package = for_host["presign_upload"]
    assert package.layers == {}
    assert package.archive.stat().st_size < 50_000


def test_every_native_library_for_lambda_is_for_its_processor_and_python(
    for_lambda: Mapping[str, build.Package],
) -> None:
    layers = {path for package in for_lambda.values() for path in package.layers.values()}
    extensions: list[str] = []
    for layer in layers:
        with zipfile.ZipFile(layer) as zipped:
            for name in (name for name in zipped.namelist() if re.search(r"\.so(\.|$)", name)):
                magic, machine = struct.unpack_from("<4s14xH", zipped.read(name))
                assert (magic, machine) == (b"\x7fELF", 183), name  # EM_AARCH64
                if ".libs/" not in name:
                    extensions.append(name)
    expected = {"_imaging", "_pillow_heif", "_rust", "_cffi_backend", "_psycopg", "_speedups"}
    assert expected <= {Path(name).name.split(".")[0] for name in extensions}
    for name in extensions:
        assert name.endswith((".cpython-314-aarch64-linux-gnu.so", ".abi3.so")), name


def test_layers_pin_the_versions_that_development_uses() -> None:
    pin = re.compile(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?==([^\s;]+)", re.MULTILINE)
    development = dict(pin.findall((REPOSITORY / "constraints.txt").read_text()))
    layered = [
        found
        for path in (REPOSITORY / "lambda_packages/layers").glob("*.txt")
        for found in pin.findall(path.read_text())
    ]
    assert {"pillow", "pillow-heif", "pyjwt", "cryptography", "psycopg", "alembic", "boto3", "botocore"} <= dict(
        layered
    ).keys()
    assert [(name, development[name]) for name, _ in layered] == layered
    assert [(name, importlib.metadata.version(name)) for name, _ in layered] == layered


def test_the_migrations_are_packed_with_the_function_that_runs_them(
    for_lambda: Mapping[str, build.Package],
) -> None:
    packed = set(names(for_lambda["migrate_database"].archive))
    assert packed >= {"migrations/env.py", *(f"migrations/versions/{path.name}" for path in MIGRATIONS)}


def test_the_command_prints_every_package_with_its_sizes(for_lambda: Mapping[str, build.Package]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "lambda_packages.build"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    rows = dict(re.findall(r"^(.+?)  +([\d,]+ +[\d,]+)$", shown.stdout, re.MULTILINE))
    archive = for_lambda["authorize"].archive
    layers = {layer for package in for_lambda.values() for layer in package.layers}
    assert layers == {"alembic", "boto3", "heif", "imaging", "jwt", "postgres"}
    assert set(rows) == set(ENVIRONMENTS) | {f"layer {layer}" for layer in layers}
    assert rows["authorize"].split() == [
        f"{archive.stat().st_size:,}",
        f"{build.unzipped_bytes(archive):,}",
    ]
