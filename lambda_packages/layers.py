"""Installs the pinned requirements of a layer and removes the files that no function needs."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from lambda_packages.commands import run_command
from lambda_packages.platforms import Platform


def install_layer(layer: str, pins: Path, stage: Path, platform: Platform) -> None:
    """Install the requirements in `pins` into `stage`/python and prune them.

    https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html

    Raises:
        PackagingError: pip fails, for example for a wheel that does not match its hash.
    """
    target = stage / "python"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile", "--target", str(target)]
    run_command([*command, *options, *_platform_options(platform), "-r", str(pins)], f"layer {layer}: pip")
    prune(target, layer)


def _platform_options(platform: Platform) -> list[str]:
    if not platform.wheel_tags:
        return []
    major, minor = platform.python
    tags = [option for tag in platform.wheel_tags for option in ("--platform", tag)]
    abis = ["--abi", f"cp{major}{minor}", "--abi", "abi3"]
    return [*tags, "--implementation", "cp", "--python-version", f"{major}.{minor}", *abis]


def prune(target: Path, layer: str) -> None:
    """Remove the files that no function needs from the installed requirements in `target`."""
    is_unused_in_layer = _LAYER_RULES.get(layer, lambda _: False)
    for path in [path for path in target.rglob("*") if path.is_file()]:
        inside = path.relative_to(target)
        if _is_unused(inside) or is_unused_in_layer(inside):
            path.unlink()


def _is_unused(path: PurePath) -> bool:
    """Whether a file of any layer is unused: typing stubs, scripts, headers, tests, and metadata except licenses."""
    return (
        path.suffix in (".pyi", ".pyc")
        or path.name == "py.typed"
        or path.parts[0] in ("bin", "include")
        or "tests" in path.parts[:-1]
        or (path.parts[0].endswith(".dist-info") and not _is_license(path))
    )


def _is_license(path: PurePath) -> bool:
    """Most licenses require that they are distributed with the code."""
    return "licenses" in path.parts or path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))


# Pillow's font and Tk support with the shared libraries that only they load: a quarter of the layer.
_PILLOW_FONTS_AND_TK = ("_imagingft.", "_imagingtk.", "libfreetype-", "libharfbuzz-", "libbrotli", "libpng16-")


def _is_unused_in_imaging(path: PurePath) -> bool:
    return path.name.startswith(_PILLOW_FONTS_AND_TK)


# The services that functions create clients of, of more than 400 whose models botocore contains.
AWS_SERVICES = frozenset({"cloudfront", "cognito-idp", "dynamodb", "lambda", "rds", "s3", "sns", "sqs", "ssm"})
# What a client loads of a service's folder; the rest are paginators, waiters and examples.
_CLIENT_DATA = ("service-2.", "endpoint-rule-set-1.")


def _is_unused_in_boto3(path: PurePath) -> bool:
    match path.parts:
        case ("botocore", "data", service, _, name):
            return service not in AWS_SERVICES or not name.startswith(_CLIENT_DATA)
        case ("boto3", "data" | "examples", *_):  # the models of boto3's resources
            return True
        case _:
            return False


# By layer, in addition to `_is_unused`. Paths are relative to the layer's `python` folder.
_LAYER_RULES: Mapping[str, Callable[[PurePath], bool]] = {
    "boto3": _is_unused_in_boto3,
    "imaging": _is_unused_in_imaging,
}
