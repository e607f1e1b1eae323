"""The packages of this repository, for Lambda and for this machine."""

from __future__ import annotations

import importlib.metadata
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambda_packages.archive import count_unzipped_bytes
from lambda_packages.build import Package
from lambda_packages.layers import AWS_SERVICES
from local.emulators.lambda_functions import unpack_layer
from tests.fixtures.gallery import FIXTURES
from tests.lambda_packages.project import REPOSITORY, list_names

# The environment variables of each function, which its handler reads when it is imported.
ENVIRONMENTS = {
    "authorize": {
        "ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/pool",
        "AUDIENCE": "client",
        "AUDIENCE_CLAIM": "client_id",
    },
    "current_avatar": {"ASSETS_BUCKET": "assets", "CDN_URL": "https://cdn.example.com"},
    "delete_avatar": {"UPLOADS_BUCKET": "uploads", "ASSETS_BUCKET": "assets"},
    "erase_profile": {"DATABASE_URL_PARAMETER": "database-url"},
    "erase_user": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "LIMITS_TABLE": "limits",
        "ERASE_PROFILE_ARN": "",
        "PROCESSING_SECONDS": "14",
        "LOG_RETENTION_DAYS": "30",
    },
    "finish_upload": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn.example.com",
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:avatars",
        "SIZES": "512,128",
        "MAX_PIXELS": "50000000",
        "MAX_UPLOAD_BYTES": "5000000",
        "UPLOADS_PER_HOUR": "60",
        "LIMITS_TABLE": "limits",
        "MODERATION_FUNCTION_ARN": "",
        "METRICS_SERVICE": "avatars",
    },
    "migrate_database": {"DATABASE_URL_PARAMETER": "database-url"},
    "presign_upload": {"UPLOADS_BUCKET": "uploads", "MAX_UPLOAD_BYTES": "5000000", "LARGEST_SIZE": "512"},
    "process_avatar": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn.example.com",
        "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:avatars",
        "SIZES": "512,128",
        "MAX_PIXELS": "50000000",
        "MAX_UPLOAD_BYTES": "5000000",
        "UPLOADS_PER_HOUR": "60",
        "LIMITS_TABLE": "limits",
        "DISTRIBUTION_ID": "",
        "MODERATION_FUNCTION_ARN": "",
        "METRICS_SERVICE": "avatars",
    },
    "profile": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn.example.com",
        "ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/pool",
        "HANDLE_HOLD_DAYS": "30",
        "METRICS_SERVICE": "avatars",
        "DATABASE_URL_PARAMETER": "database-url",
    },
    "sweep_avatars": {"ASSETS_BUCKET": "assets", "ORIGINALS_DAYS": "14"},
    "upload_status": {
        "UPLOADS_BUCKET": "uploads",
        "ASSETS_BUCKET": "assets",
        "CDN_URL": "https://cdn.example.com",
        "IS_MODERATED": "",
    },
}
PLATFORM_ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}


def test_paths_are_the_same_for_lambda_and_host(
    packages_for_lambda: Mapping[str, Package], packages_for_host: Mapping[str, Package]
) -> None:
    build = REPOSITORY / ".build"
    for function, package in packages_for_lambda.items():
        twin = packages_for_host[function]
        assert package.archive.relative_to(build / "lambda") == twin.archive.relative_to(build / "host")
        assert {name: path.relative_to(build / "lambda") for name, path in package.layers.items()} == {
            name: path.relative_to(build / "host") for name, path in twin.layers.items()
        }


def test_every_function_folder_is_packaged(packages_for_host: Mapping[str, Package]) -> None:
    folders = {path.parent.name for path in (REPOSITORY / "functions").glob("*/handler.py")}
    assert set(packages_for_host) == folders == set(ENVIRONMENTS)


@pytest.mark.parametrize("function", ENVIRONMENTS)
def test_handler_imports_only_from_package_and_layers(
    packages_for_host: Mapping[str, Package], tmp_path: Path, function: str
) -> None:
    package = packages_for_host[function]
    module, _, attribute = package.handler.rpartition(".")
    assert run_in_sandbox(
        package, tmp_path, f"print(callable(importlib.import_module({module!r}).{attribute}))", ENVIRONMENTS[function]
    ) == ("True\n", "")


@pytest.mark.parametrize("name", ["JPEG", "HEIC"])
def test_render_process_imports_only_from_package_and_layers(
    packages_for_host: Mapping[str, Package], tmp_path: Path, name: str
) -> None:
    (tmp_path / "picture").write_bytes(FIXTURES[name].file())
    package = packages_for_host["process_avatar"]
    script = f"""
handler = importlib.import_module({package.handler.rpartition(".")[0]!r})
with open({str(tmp_path / "picture")!r}, "rb") as file:
    print(handler.UPLOADS.render(file.read(), sizes=(16,), max_pixels=10**6).source.format)
"""
    assert run_in_sandbox(package, tmp_path, script, ENVIRONMENTS["process_avatar"]) == (f"{name.lower()}\n", "")


def run_in_sandbox(package: Package, folder: Path, script: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return what the script prints and its errors. It can import the package and its layers."""
    with zipfile.ZipFile(package.archive) as zipped:
        zipped.extractall(folder / "task")
    path = [str(folder / "task"), *(str(unpack_layer(layer) / "python") for layer in package.layers.values())]
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import importlib, sys; sys.path[:0] = {path!r}\n{script}"],
        env={**PLATFORM_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout, shown.stderr


def test_boto3_layer_has_the_model_of_every_client(packages_for_lambda: Mapping[str, Package]) -> None:
    layer = list_names(packages_for_lambda["process_avatar"].layers["boto3"])
    models = {found[1] for name in layer if (found := re.match(r"python/botocore/data/([^/]+)/", name))}
    sources = "".join(path.read_text() for path in (REPOSITORY / "functions").rglob("*.py"))
    assert models == set(re.findall(r'clients\.create\(\s*"([^"]+)"', sources)) == AWS_SERVICES
    assert len(re.findall(r"\bclients\.create\(", sources)) == len(re.findall(r'clients\.create\(\s*"', sources))


@pytest.mark.parametrize("service", sorted(AWS_SERVICES))
def test_boto3_layer_creates_client(packages_for_host: Mapping[str, Package], service: str) -> None:
    layer = unpack_layer(packages_for_host["process_avatar"].layers["boto3"])
    script = (
        f"import sys; sys.path.insert(0, {str(layer / 'python')!r}); import boto3; "
        f"print(boto3.client({service!r}, region_name='eu-west-1').meta.endpoint_url)"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env=PLATFORM_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("cloudfront" if service == "cloudfront" else "eu-west-1") in shown.stdout


def test_package_without_layers_is_a_few_kilobytes(packages_for_host: Mapping[str, Package]) -> None:
    package = packages_for_host["presign_upload"]
    assert package.layers == {}
    assert package.archive.stat().st_size < 50_000


def test_native_libraries_are_for_arm64_and_python_3_14(
    packages_for_lambda: Mapping[str, Package],
) -> None:
    layers = {path for package in packages_for_lambda.values() for path in package.layers.values()}
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


def test_layers_pin_installed_versions() -> None:
    pin = re.compile(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?==([^\s;]+)", re.MULTILINE)
    development = dict(pin.findall((REPOSITORY / "constraints.txt").read_text()))
    layered = [
        found
        for path in (REPOSITORY / "lambda_packages/layers").glob("*.txt")
        for found in pin.findall(path.read_text())
    ]
    assert {"pillow", "pillow-heif", "pyjwt", "cryptography", "psycopg", "alembic", "boto3"} <= dict(layered).keys()
    assert [(name, development[name]) for name, _ in layered] == layered
    assert [(name, importlib.metadata.version(name)) for name, _ in layered] == layered


def test_migrate_database_contains_the_migrations_only(packages_for_lambda: Mapping[str, Package]) -> None:
    packaged = [name for name in list_names(packages_for_lambda["migrate_database"].archive) if name.startswith("migr")]
    versions = sorted(path.name for path in (REPOSITORY / "migrations/versions").glob("*.py"))
    expected = ["migrations/env.py", "migrations/script.py.mako", *(f"migrations/versions/{name}" for name in versions)]
    assert [name for name in packaged if not name.endswith(".pyc")] == expected


def test_command_prints_size_of_every_package(packages_for_lambda: Mapping[str, Package]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "lambda_packages"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    rows = dict(re.findall(r"^(.+?)  +([\d,]+ +[\d,]+)$", shown.stdout, re.MULTILINE))
    archive = packages_for_lambda["authorize"].archive
    layers = {layer for package in packages_for_lambda.values() for layer in package.layers}
    assert layers == {"alembic", "boto3", "heif", "imaging", "jwt", "postgres"}
    assert set(rows) == set(ENVIRONMENTS) | {f"layer {layer}" for layer in layers}
    assert rows["authorize"].split() == [
        f"{archive.stat().st_size:,}",
        f"{count_unzipped_bytes(archive):,}",
    ]
