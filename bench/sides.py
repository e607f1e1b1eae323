"""Installs both sides: our packages extracted as in Lambda, and the peers bundled with esbuild."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_packages import build

_HERE = Path(__file__).parent
BUNDLED = {"process": ["sharp"], "presign": [], "authorize": []}
"""The peers' handlers, and the packages that are not bundled: sharp has a native library."""
PLATFORM = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-access-key",
    "AWS_SESSION_TOKEN": "session-token",
    "TZ": ":UTC",
    "LANG": "en_US.UTF-8",
}


@dataclass(frozen=True)
class Ours:
    """Our packages, extracted."""

    packages: Mapping[str, build.Package]
    folder: Path  # absolute, as in Peers

    @classmethod
    def unpack(cls, folder: Path) -> Ours:
        packages = build.build_packages(build.Platform.host())
        shutil.rmtree(folder, ignore_errors=True)
        archives = {package.archive for package in packages.values()}
        for archive in archives | {layer for package in packages.values() for layer in package.layers.values()}:
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(folder / archive.stem)
        return cls(packages, folder)

    def trust(self, authority: Path) -> dict[str, str]:
        """Add a CA certificate in PEM format to the root certificates; return the environment variables for that."""
        for bundle in self.folder.glob("*/python/botocore/cacert.pem"):
            with bundle.open("ab") as file:
                file.write(authority.read_bytes())
        system = Path(ssl.get_default_verify_paths().cafile or authority)
        combined = self.folder / "authorities.pem"
        combined.write_bytes(system.read_bytes() + authority.read_bytes())
        return {"SSL_CERT_FILE": str(combined)}

    def path(self, function: str) -> list[str]:
        layers = [str(self.folder / layer / "python") for layer in self.packages[function].layers]
        return [str(self.folder / function), *layers]

    def command(self, function: str, event: Path, times: int) -> list[str]:
        """Return the command that invokes the handler in an interpreter with only its package and layers."""
        module = self.packages[function].handler.rpartition(".")[0]
        script = str(_HERE / "invoke.py")
        return [sys.executable, "-I", "-S", script, module, str(event), str(times), *self.path(function)]


@dataclass(frozen=True)
class Peers:
    """The npm packages of package-lock.json, and the handlers bundled by esbuild."""

    folder: Path
    node: str

    @classmethod
    def install(cls, folder: Path) -> Peers:
        """Install into `folder`, unless it is up to date with package-lock.json, and bundle the handlers.

        Raises:
            SystemExit: Node.js is not installed.
        """
        node = shutil.which("node")
        if node is None:
            raise SystemExit("make bench needs Node.js 20 or newer with npm")
        peers = cls(folder, node)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = (_HERE / "package-lock.json").read_text()
        installed = folder / "installed.json"
        if not installed.exists() or installed.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, folder)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
            installed.write_text(wanted)
        for script in (_HERE / "peers").iterdir():
            shutil.copy(script, folder)
        for handler, external in BUNDLED.items():
            peers._bundle(handler, external)
        return peers

    def bundle(self, handler: str) -> Path:
        return self.folder / f"{handler}.bundle.cjs"

    def bundle_for_browsers(self, module: str) -> Path:
        """Bundle a module of peers/, and return the path of the script."""
        script = self.folder / f"{module}.js"
        esbuild = [str(self.folder / "node_modules/.bin/esbuild"), f"{module}.mjs", "--bundle", "--format=esm"]
        options = ["--minify", "--log-level=warning", f"--outfile={script}"]
        subprocess.run([*esbuild, *options], cwd=self.folder, check=True)
        return script

    def command(self, handler: str, event: Path, times: int) -> list[str]:
        return [self.node, str(self.folder / "invoke.cjs"), str(self.bundle(handler)), str(event), str(times)]

    def version(self, package: str) -> str:
        return json.loads((self.folder / "node_modules" / package / "package.json").read_text())["version"]

    def _bundle(self, handler: str, external: Sequence[str]) -> None:
        esbuild = [str(self.folder / "node_modules/.bin/esbuild"), f"{handler}.cjs", "--bundle", "--platform=node"]
        options = ["--target=node20", "--minify", "--log-level=warning", f"--outfile={self.bundle(handler)}"]
        left_out = [f"--external:{package}" for package in external]
        subprocess.run([*esbuild, *options, *left_out], cwd=self.folder, check=True)


def write_event(path: Path, event: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(event))
    return path
