"""Deployment packages: one zip file for each function and each layer, for Lambda or for this machine.

The same sources give the same bytes on every machine, so a function that has not changed is not deployed again.
"""

import fcntl
import glob
import logging
import os
import tomllib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lambda_packages.archive import (
    Compiler,
    Recipe,
    build_archive,
    count_unzipped_bytes,
    find_compiler,
    is_up_to_date,
)
from lambda_packages.errors import PackagingError
from lambda_packages.imports import find_imported_modules
from lambda_packages.layers import install_layer
from lambda_packages.platforms import LAMBDA, Platform

__all__ = ["LAMBDA", "REPOSITORY", "Package", "PackagingError", "Platform", "build_packages", "build_packages_once"]

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent.parent
ALLOW_UNCOMPILED = "ALLOW_UNCOMPILED_PACKAGES"  # environment variable

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ZIPPED_BYTES = 50 * 1024 * 1024  # of each function and each layer, when uploaded directly
MAX_UNZIPPED_BYTES = 250 * 1024 * 1024  # of a function together with its layers


@dataclass(frozen=True)
class Package:
    """A function's deployment package."""

    name: str
    archive: Path
    handler: str
    layers: Mapping[str, Path]  # each layer's archive by layer name


def build_packages(
    platform: Platform = LAMBDA,
    root: Path = REPOSITORY / ".build",
    sources: Path = REPOSITORY,
    functions: Sequence[str] | None = None,
) -> dict[str, Package]:
    """Build the archives that are missing, damaged or out of date, and return the packages by function name.

    Processes that build at the same time wait for each other.

    Args:
        platform: What to build for.
        root: The archives are `root`/<platform>/<function>.zip and `root`/<platform>/layers/<layer>.zip.
        sources: The folder that contains `functions/` and `lambda_packages/functions.toml`.
        functions: Only these functions and the layers that they need. None: all.

    Raises:
        KeyError: A function has no entry in functions.toml.
        PackagingError: A handler imports a module of `functions` that does not exist, no file matches a pattern in
            functions.toml, pip fails, a package exceeds Lambda's limits, or there is no interpreter of the platform's
            version to compile with and the environment variable ALLOW_UNCOMPILED_PACKAGES is not set.
    """
    contents_by_function = _read_contents(sources)
    if functions is not None:
        contents_by_function = {function: contents_by_function[function] for function in functions}
    folder = root / platform.name
    layers = {
        layer: folder / "layers" / f"{layer}.zip"
        for layer in sorted({layer for contents in contents_by_function.values() for layer in contents.layers})
    }
    compiler = _require_compiler(platform)
    imports: dict[str, list[str]] = {}
    with _lock(folder):
        recipes = [_layer_recipe(layer, archive, sources, platform) for layer, archive in layers.items()]
        recipes += [
            _function_recipe(function, contents.files, folder / f"{function}.zip", sources, imports)
            for function, contents in contents_by_function.items()
        ]
        for recipe in recipes:
            _rebuild_if_stale(recipe, platform, compiler)
    packages = {
        function: Package(
            name=function,
            archive=folder / f"{function}.zip",
            handler=f"functions.{function}.handler.handle",
            layers={layer: layers[layer] for layer in contents.layers},
        )
        for function, contents in contents_by_function.items()
    }
    for package in packages.values():
        _check_limits(package)
    return packages


_packages_of_this_process: dict[str, Package] = {}


def build_packages_once(functions: Sequence[str]) -> dict[str, Package]:
    """Return the packages for Lambda, and build those that this process has not built yet.

    Raises:
        PackagingError: As build_packages.
    """
    if missing := [function for function in functions if function not in _packages_of_this_process]:
        _packages_of_this_process.update(build_packages(functions=missing))
    return {function: _packages_of_this_process[function] for function in functions}


@dataclass(frozen=True)
class _Contents:
    """An entry of functions.toml."""

    layers: tuple[str, ...]
    files: tuple[str, ...]  # glob patterns


def _read_contents(sources: Path) -> dict[str, _Contents]:
    entries: dict[str, dict[str, list[str]]] = tomllib.loads((sources / "lambda_packages/functions.toml").read_text())
    return {
        function: _Contents(tuple(entry.get("layers", ())), tuple(entry.get("files", ())))
        for function, entry in entries.items()
    }


def _require_compiler(platform: Platform) -> Compiler | None:
    """Return None only if uncompiled packages are allowed.

    Compiled and uncompiled packages have different bytes. If it depended on the machine, two machines would replace
    each other's functions and layers with every deployment.
    """
    compiler = find_compiler(platform)
    if compiler is None:
        command = "python{}.{}".format(*platform.python)
        if not os.environ.get(ALLOW_UNCOMPILED):
            raise PackagingError(
                f"{command} is not on the PATH: it compiles the packages for {platform.name}. Install it, or set "
                f"{ALLOW_UNCOMPILED}=1 for packages that are not compiled: cold starts take longer, and machines that "
                "deploy the same stack must all do the same, or each deployment replaces every function and layer"
            )
        log.warning("packages for %s are not compiled: %s is not on the PATH", platform.name, command)
    return compiler


def _rebuild_if_stale(recipe: Recipe, platform: Platform, compiler: Compiler | None) -> None:
    if not is_up_to_date(recipe, platform, compiler):
        log.info("building %s", recipe.archive)
        build_archive(recipe, platform, compiler)


def _layer_recipe(layer: str, archive: Path, sources: Path, platform: Platform) -> Recipe:
    pins = sources / "lambda_packages/layers" / f"{layer}.txt"
    return Recipe(
        archive=archive,
        inputs={pins.name: pins.read_bytes()},
        stage_files=lambda stage: install_layer(layer, pins, stage, platform),
        mounted_at="/opt",
    )


def _function_recipe(
    function: str, patterns: Iterable[str], archive: Path, sources: Path, imports: dict[str, list[str]]
) -> Recipe:
    modules = find_imported_modules(sources, f"functions.{function}.handler", imports)
    files = [*modules, *(path for pattern in patterns for path in _find_files(sources, pattern))]
    inputs = {path.relative_to(sources).as_posix(): path.read_bytes() for path in files}

    def stage_files(stage: Path) -> None:
        for name, content in inputs.items():
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    return Recipe(archive, inputs, stage_files, mounted_at="/var/task")


def _find_files(sources: Path, pattern: str) -> list[Path]:
    """Hidden files and folders, such as those of editors, match only if the pattern names them."""
    names = glob.glob(pattern, root_dir=sources, recursive=True)  # noqa: PTH207 - Path.glob matches hidden files
    files = [path for name in names if (path := sources / name).is_file()]
    if not files:
        raise PackagingError(f"no file in {sources} matches {pattern}")
    return files


def _check_limits(package: Package) -> None:
    parts = {f"function {package.name}": package.archive}
    parts |= {f"layer {layer}": archive for layer, archive in package.layers.items()}
    for part, archive in parts.items():
        if (size := archive.stat().st_size) > MAX_ZIPPED_BYTES:
            raise PackagingError(f"{part} has {size:,} bytes zipped; Lambda's limit is {MAX_ZIPPED_BYTES:,}")
    if (size := sum(map(count_unzipped_bytes, parts.values()))) > MAX_UNZIPPED_BYTES:
        names = " + ".join(parts)
        raise PackagingError(f"{names} have {size:,} bytes unzipped; Lambda's limit is {MAX_UNZIPPED_BYTES:,}")


@contextmanager
def _lock(folder: Path) -> Generator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
