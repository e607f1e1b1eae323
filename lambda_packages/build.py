"""Deployment packages: a zip for each function and for each layer, built for Lambda or for this machine.

`python -m lambda_packages.build` builds Lambda's and prints their sizes. Building again leaves alone what is current,
and the same sources give the same bytes, so a function that has not changed is not deployed again.
"""

import ast
import fcntl
import hashlib
import logging
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent.parent

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ZIPPED_BYTES = 50 * 1024 * 1024  # each function and each layer, when uploaded directly
MAX_UNZIPPED_BYTES = 250 * 1024 * 1024  # a function together with its layers


class PackagingError(Exception):
    """A package cannot be built; the message names it and says why."""


@dataclass(frozen=True)
class Package:
    """A function ready to be deployed."""

    name: str
    archive: Path
    handler: str
    layers: Mapping[str, Path]  # each layer's zip by its name


@dataclass(frozen=True)
class Platform:
    """What packages are built for."""

    name: str  # and the folder they are built in
    python: tuple[int, int]
    machine: str
    wheel_tags: tuple[str, ...] = ()  # pip's --platform; without any, pip takes what suits the running interpreter

    @classmethod
    def host(cls) -> "Platform":
        """The running interpreter on this machine."""
        return cls("host", sys.version_info[:2], sysconfig.get_platform())


LAMBDA = Platform(
    name="lambda",
    python=(3, 14),
    machine="aarch64",
    # pip takes each tag literally: told manylinux_2_28 alone it passes over a wheel made for the older 2_17 and may
    # settle for another release. Lambda's Amazon Linux 2023 has glibc 2.34, so every tag up to that one will do.
    wheel_tags=(
        *(f"manylinux_2_{minor}_aarch64" for minor in (34, 31, 28, 27, 26, 24, 17)),
        "manylinux2014_aarch64",
    ),
)


def build(
    platform: Platform = LAMBDA, root: Path = REPOSITORY / ".build", sources: Path = REPOSITORY
) -> dict[str, Package]:
    """The packages by function name, made anew where they are missing, damaged, or older than what goes in.

    They lie in `root`/<platform>/<function>.zip and `root`/<platform>/layers/<layer>.zip. `sources` is the folder
    that holds `functions/`. Processes that build at the same time wait for each other.

    PackagingError if a handler imports a module of `functions` that is not there, if a folder to be packed is not
    there, if pip fails, or if a package is larger than Lambda takes.
    """
    contents_of = _read_contents(sources)
    folder = root / platform.name
    with _lock(folder):
        compiler = _find_compiler(platform)
        used_layers = sorted({layer for contents in contents_of.values() for layer in contents.layers})
        layers = {layer: folder / "layers" / f"{layer}.zip" for layer in used_layers}
        recipes = [_layer_recipe(layer, archive, sources, platform) for layer, archive in layers.items()]
        recipes += [
            _function_recipe(function, contents.folders, folder / f"{function}.zip", sources)
            for function, contents in contents_of.items()
        ]
        built = [recipe for recipe in recipes if _bring_up_to_date(recipe, platform, compiler)]
    if built and compiler is None:
        log.info("not compiled, for want of a python%d.%d: cold starts take 20 to 40 ms longer", *platform.python)
    packages = {
        function: Package(
            name=function,
            archive=folder / f"{function}.zip",
            handler=f"functions.{function}.handler.handle",
            layers={layer: layers[layer] for layer in contents.layers},
        )
        for function, contents in contents_of.items()
    }
    for package in packages.values():
        _check_limits(package)
    return packages


@dataclass(frozen=True)
class _Contents:
    """What a function has besides its modules: layers, and folders of the repository."""

    layers: tuple[str, ...]
    folders: tuple[str, ...]


def _read_contents(sources: Path) -> dict[str, _Contents]:
    """By function name, from lambda_packages/functions.toml."""
    listed: dict[str, dict[str, list[str]]] = tomllib.loads((sources / "lambda_packages/functions.toml").read_text())
    return {
        function: _Contents(tuple(entry.get("layers", ())), tuple(entry.get("folders", ())))
        for function, entry in listed.items()
    }


@dataclass(frozen=True)
class _Compiler:
    """An interpreter of the target's version, to compile modules ahead.

    Lambda mounts code read-only: without .pyc files beside it every cold start compiles it again. They are of the
    unchecked kind (https://peps.python.org/pep-0552/), as the dates in a zip say nothing.
    """

    executable: str
    version: str  # sys.version: what decides the bytes of a .pyc

    def compile(self, stage: Path, mounted_at: str) -> None:
        command = [self.executable, "-P", "-S", "-m", "compileall", "-q", "-j", "1"]
        options = ["--invalidation-mode", "unchecked-hash", "-s", str(stage), "-p", mounted_at, str(stage)]
        # A fixed hash seed fixes the order of set constants, and so the bytes.
        _run([*command, *options], f"compiling for {mounted_at}", env={"PYTHONHASHSEED": "0"})


@dataclass(frozen=True)
class _Recipe:
    """One zip: what its bytes depend on, and how its files are laid out in an empty folder."""

    archive: Path
    inputs: Mapping[str, bytes]
    lay_out: Callable[[Path], None]
    mounted_at: str  # where Lambda unpacks it


def _function_recipe(function: str, folders: Iterable[str], archive: Path, sources: Path) -> _Recipe:
    files = imported_modules(sources, f"functions.{function}.handler")
    files += [path for folder in folders for path in _files_in(sources / folder)]
    inputs = {path.relative_to(sources).as_posix(): path.read_bytes() for path in files}

    def lay_out(stage: Path) -> None:
        for name, content in inputs.items():
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    return _Recipe(archive, inputs, lay_out, "/var/task")


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PackagingError(f"there is no folder {folder}")
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]


def _layer_recipe(layer: str, archive: Path, sources: Path, platform: Platform) -> _Recipe:
    pins = sources / "lambda_packages/layers" / f"{layer}.txt"

    def lay_out(stage: Path) -> None:
        target = stage / "python"  # https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        options = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile", "--target", str(target)]
        _run([*command, *options, *_pip_platform(platform), "-r", str(pins)], f"layer {layer}: pip")
        _remove_noise(target)

    return _Recipe(archive, {pins.name: pins.read_bytes()}, lay_out, "/opt")


def _pip_platform(platform: Platform) -> list[str]:
    if not platform.wheel_tags:
        return []
    major, minor = platform.python
    tags = [option for tag in platform.wheel_tags for option in ("--platform", tag)]
    abis = ["--abi", f"cp{major}{minor}", "--abi", "abi3"]
    return [*tags, "--implementation", "cp", "--python-version", f"{major}.{minor}", *abis]


# Pillow's text and windows, with the libraries that only they load: a quarter of its layer.
_UNUSED = ("_imagingft.", "_imagingtk.", "libfreetype-", "libharfbuzz-", "libbrotli", "libpng16-")

# The services that functions create clients of. The layer boto3 keeps their models only, of more than 400.
AWS_SERVICES = frozenset({"cognito-idp", "rds", "s3", "sns", "sqs", "ssm"})
# What a client loads of a service's folder, without paginators, waiters and examples.
_CLIENT_DATA = ("service-2.", "endpoint-rule-set-1.")


def _remove_noise(target: Path) -> None:
    """Take away what no function runs. Licences stay: most of them ask to be passed on."""
    for path in [path for path in target.rglob("*") if path.is_file()]:
        inside = path.relative_to(target)
        in_metadata = inside.parts[0].endswith(".dist-info")
        if (
            path.suffix in (".pyi", ".pyc")
            or path.name == "py.typed"
            or inside.parts[0] in ("bin", "include")
            or path.name.startswith(_UNUSED)
            or "tests" in inside.parts[:-1]
            or _is_unused_aws_data(inside)
            or (in_metadata and not _is_licence(inside))
        ):
            path.unlink()


def _is_unused_aws_data(path: Path) -> bool:
    """Whether boto3 and botocore create the clients of AWS_SERVICES without the file."""
    match path.parts:
        case ("botocore", "data", service, _, name):
            return service not in AWS_SERVICES or not name.startswith(_CLIENT_DATA)
        case ("boto3", "data" | "examples", *_):  # the models of boto3's resources
            return True
        case _:
            return False


def _is_licence(path: Path) -> bool:
    return "licenses" in path.parts or path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))


def imported_modules(sources: Path, module: str) -> list[Path]:
    """The files of `module` and of every module of `functions` it imports, directly or not, in order of name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _module_file(sources, name)
            waiting += _imports(sources, name)
            if "." in name:
                waiting.append(name.rpartition(".")[0])
    return sorted(found.values())


def _imports(sources: Path, module: str) -> Iterator[str]:
    """The modules of `functions` that the file of `module` names, each of them known to be there."""
    path = _module_file(sources, module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes(), path)):
        for name in _named_by(node, package, sources):
            if name.partition(".")[0] == "functions":
                try:
                    _module_file(sources, name)
                except PackagingError as error:
                    raise PackagingError(f"{path}, line {getattr(node, 'lineno', 0)}: {error}") from None
                yield name


def _named_by(node: ast.AST, package: str, sources: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
        base = ".".join(part for part in (above, node.module) if part)
        if (sources / base.replace(".", "/")).is_dir():  # a package: its __init__ is empty, all it has are modules
            return [f"{base}.{alias.name}" for alias in node.names]
        return [base]
    return []


def _module_file(sources: Path, module: str) -> Path:
    stem = sources / module.replace(".", "/")
    for candidate in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise PackagingError(f"there is no module {module} in {sources}")


def _bring_up_to_date(recipe: _Recipe, platform: Platform, compiler: _Compiler | None) -> bool:
    """Whether it had to be built."""
    record = recipe.archive.with_suffix(".key")
    key = _key(recipe, platform, compiler)
    if recipe.archive.exists() and record.exists() and record.read_text() == f"{key} {_digest_of(recipe.archive)}":
        return False
    log.info("building %s", recipe.archive)
    recipe.archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder).resolve()
        recipe.lay_out(stage)
        if compiler:
            compiler.compile(stage, recipe.mounted_at)
        _write_zip(stage, recipe.archive)
    record.write_text(f"{key} {_digest_of(recipe.archive)}")
    return True


def _key(recipe: _Recipe, platform: Platform, compiler: _Compiler | None) -> str:
    """A digest of everything that decides the bytes of a zip."""
    described = [Path(__file__).read_bytes(), repr(platform).encode(), repr(compiler).encode()]
    for name, content in sorted(recipe.inputs.items()):
        described += [name.encode(), content]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in described)).hexdigest()


def _digest_of(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_zip(stage: Path, archive: Path) -> None:
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as zipped:
        for path in sorted(path for path in stage.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(stage).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, wherever it is built: Lambda takes the modes from there
            zipped.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    partial.replace(archive)


def _find_compiler(platform: Platform) -> _Compiler | None:
    major, minor = platform.python
    if sys.implementation.name == "cpython" and sys.version_info[:2] == platform.python:
        return _Compiler(sys.executable, sys.version)
    if executable := shutil.which(f"python{major}.{minor}"):
        asked = subprocess.run(
            [executable, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:  # a version manager's shim may stand for an interpreter that is not installed
            return _Compiler(executable, asked.stdout.strip())
    return None


def _check_limits(package: Package) -> None:
    parts = {f"function {package.name}": package.archive}
    parts |= {f"layer {layer}": archive for layer, archive in package.layers.items()}
    for part, archive in parts.items():
        if (size := archive.stat().st_size) > MAX_ZIPPED_BYTES:
            raise PackagingError(f"{part} has {size:,} bytes zipped; Lambda takes {MAX_ZIPPED_BYTES:,}")
    if (size := sum(map(unzipped_bytes, parts.values()))) > MAX_UNZIPPED_BYTES:
        raise PackagingError(f"{' + '.join(parts)} have {size:,} bytes unzipped; Lambda takes {MAX_UNZIPPED_BYTES:,}")


def unzipped_bytes(archive: Path) -> int:
    with zipfile.ZipFile(archive) as zipped:
        return sum(entry.file_size for entry in zipped.infolist())


@contextmanager
def _lock(folder: Path) -> Generator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], task: str, env: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        last_lines = "\n".join(result.stdout.strip().splitlines()[-10:])
        raise PackagingError(f"{task} failed with exit code {result.returncode}:\n{last_lines}")


def _print_sizes(packages: Mapping[str, Package]) -> None:
    archives = {f"layer {layer}": path for package in packages.values() for layer, path in package.layers.items()}
    archives |= {package.name: package.archive for package in packages.values()}
    print(f"{'package':<24}{'zipped':>12}{'unzipped':>12}")
    for name, archive in archives.items():
        print(f"{name:<24}{archive.stat().st_size:>12,}{unzipped_bytes(archive):>12,}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _print_sizes(build())
