"""Sizes of the deployment packages with their layers, for linux-arm64."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.rows import Row
from bench.sides import Peers
from lambda_packages import build

_HEIF_LAYER = "heif"  # not compared, as sharp does not read HEIC
# Files of npm packages that are not needed at run time; leaving them in would favor our side.
_LEFT_OUT = {".md", ".ts", ".map", ".txt", ".gyp", ".cc", ".h", ".hpp"}
_ARM64 = ("--cpu=arm64", "--os=linux", "--libc=glibc")


def rows(peers: Peers, folder: Path) -> list[Row]:
    packages = build.build_packages()
    process = packages["process_avatar"]
    layers = {name: archive.stat().st_size for name, archive in process.layers.items()}
    heif = sum(size for name, size in layers.items() if _HEIF_LAYER in name)
    together = process.archive.stat().st_size + sum(layers.values()) - heif
    return [
        _row("process_avatar", together, _sharp(peers, folder), 1.0, f"HEIC apart: {_mb(heif):.2f} MB" if heif else ""),
        _row("presign_upload", packages["presign_upload"].archive.stat().st_size, _zipped(peers, "presign"), None, ""),
        _row("authorize", _with_layers(packages["authorize"]), _zipped(peers, "authorize"), None, ""),
    ]


def _row(name: str, ours: int, peer: int, aim: float | None, note: str) -> Row:
    return Row(
        name=f"package, {name}",
        ours=_mb(ours),
        peer=_mb(peer),
        peer_name="the bundle" + (" and sharp's packages" if name == "process_avatar" else ""),
        unit="MB zipped",
        ratio=ours / peer,
        aim=aim,
        note=note,
    )


def _mb(size: int) -> float:
    return size / 1_000_000


def _with_layers(package: build.Package) -> int:
    return sum(archive.stat().st_size for archive in (package.archive, *package.layers.values()))


def _zipped(peers: Peers, handler: str) -> int:
    bundle = peers.bundle(handler)
    return _zip_size([(bundle.name, bundle)])


def _sharp(peers: Peers, folder: Path) -> int:
    """Zip the bundled handler with sharp, its native library for arm64, and their dependencies."""
    modules = _installed_for_arm64(peers, folder)
    needed = [modules / name for name in ("sharp", *_dependencies(modules / "sharp"))]
    files = [(path.relative_to(modules).as_posix(), path) for module in needed for path in _run_time_files(module)]
    return _zip_size([("index.js", peers.bundle("process")), *files])


def _installed_for_arm64(peers: Peers, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(peers.folder / name, folder)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*npm, *_ARM64], cwd=folder, check=True)
    return folder / "node_modules"


def _dependencies(module: Path) -> Iterator[str]:
    """Yield the installed dependencies and optional dependencies of a package."""
    manifest = json.loads((module / "package.json").read_text())
    for name in {**manifest.get("dependencies", {}), **manifest.get("optionalDependencies", {})}:
        if (module.parent / name).exists() or (module.parents[1] / name).exists():
            yield name


def _run_time_files(module: Path) -> Iterator[Path]:
    for path in sorted(module.rglob("*")):
        inside = path.relative_to(module)
        if path.is_file() and path.suffix not in _LEFT_OUT and inside.parts[0] not in ("src", "install", "include"):
            yield path


def _zip_size(files: list[tuple[str, Path]]) -> int:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name, path in files:
            zipped.write(path, name)
    return len(archive.getvalue())
