"""Reproducible zip files: the same inputs give the same bytes, and an archive that is up to date is kept."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from lambda_packages.commands import run_command
from lambda_packages.platforms import Platform


@dataclass(frozen=True)
class Compiler:
    """An interpreter of the target's version, which compiles modules ahead of time.

    Lambda mounts code read-only, so without .pyc files in the package each cold start compiles every module.
    """

    executable: str
    magic_number: str  # of its .pyc files, as hex: https://docs.python.org/3/library/importlib.html

    def compile(self, stage: Path, mounted_at: str) -> None:
        """Compile every module in `stage`, with `mounted_at` as its location in tracebacks."""
        command = [self.executable, "-P", "-S", "-m", "compileall", "-q", "-j", "1"]
        # Unchecked, as a zip does not keep the modification times: https://peps.python.org/pep-0552/
        options = ["--invalidation-mode", "unchecked-hash", "-s", str(stage), "-p", mounted_at, str(stage)]
        # A fixed hash seed fixes the order of set constants, and with it the bytes.
        run_command([*command, *options], f"compiling for {mounted_at}", env={"PYTHONHASHSEED": "0"})


def find_compiler(platform: Platform) -> Compiler | None:
    """Return the running interpreter or one on the PATH, if it has the platform's version."""
    major, minor = platform.python
    if sys.implementation.name == "cpython" and sys.version_info[:2] == platform.python:
        return Compiler(sys.executable, MAGIC_NUMBER.hex())
    if command := shutil.which(f"python{major}.{minor}"):
        # The command can be a version manager's shim: it fails if the interpreter is not installed.
        script = "import sys; from importlib.util import MAGIC_NUMBER as n; print(sys.executable, n.hex(), sep='\\n')"
        result = subprocess.run([command, "-c", script], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            executable, magic_number = result.stdout.splitlines()
            return Compiler(executable, magic_number)
    return None


@dataclass(frozen=True)
class Recipe:
    """How to build one archive."""

    archive: Path
    inputs: Mapping[str, bytes]  # everything that determines the staged files, by name
    stage_files: Callable[[Path], None]  # writes the files into an empty folder
    mounted_at: str  # where Lambda extracts the archive


def is_up_to_date(recipe: Recipe, platform: Platform, compiler: Compiler | None) -> bool:
    """Whether the archive is intact and was built from the same inputs."""
    record = _record_path(recipe.archive)
    return (
        recipe.archive.exists()
        and record.exists()
        and record.read_text() == f"{_compute_key(recipe, platform, compiler)} {_digest_file(recipe.archive)}"
    )


def build_archive(recipe: Recipe, platform: Platform, compiler: Compiler | None) -> None:
    """Stage, compile and zip the files, and record what the archive was built from.

    Raises:
        PackagingError: Staging or compiling fails. An earlier archive stays.
    """
    recipe.archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder).resolve()
        recipe.stage_files(stage)
        if compiler:
            compiler.compile(stage, recipe.mounted_at)
        _write_zip(stage, recipe.archive)
    key = _compute_key(recipe, platform, compiler)
    _record_path(recipe.archive).write_text(f"{key} {_digest_file(recipe.archive)}")


def count_unzipped_bytes(archive: Path) -> int:
    with zipfile.ZipFile(archive) as zipped:
        return sum(entry.file_size for entry in zipped.infolist())


def _record_path(archive: Path) -> Path:
    return archive.with_suffix(".key")


def _compute_key(recipe: Recipe, platform: Platform, compiler: Compiler | None) -> str:
    """A digest of everything that determines the bytes of an archive.

    Of the compiler that is the format of its .pyc files: neither its path nor its patch release.
    """
    parts = [repr(platform).encode(), (compiler.magic_number if compiler else "").encode()]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    for name, content in sorted(recipe.inputs.items()):
        parts += [name.encode(), content]
    return _digest_parts(parts)


def _digest_parts(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_zip(stage: Path, archive: Path) -> None:
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as zipped:
        for path in sorted(path for path in stage.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(stage).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix on every machine: Lambda reads file modes only for this system
            zipped.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    partial.replace(archive)
