"""Both sides, ready to run: our packages unpacked as Lambda unpacks them, and the peers as people ship them."""

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
"""The peers' handlers, and what each of them leaves out of its bundle: sharp has a library that cannot be in one."""
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
    """The packages, unpacked."""

    packages: Mapping[str, build.Package]
    folder: Path  # absolute, as in Peers

    @classmethod
    def unpacked(cls, folder: Path) -> Ours:
        packages = build.build(build.Platform.host())
        shutil.rmtree(folder, ignore_errors=True)
        archives = {package.archive for package in packages.values()}
        for archive in archives | {layer for package in packages.values() for layer in package.layers.values()}:
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(folder / archive.stem)
        return cls(packages, folder)

    def trust(self, authority: Path) -> dict[str, str]:
        """Add an authority, as PEM, to those that the functions trust; returns the variables they need for that."""
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
        """Calls the function's handler in an interpreter that sees its package and layers only."""
        module = self.packages[function].handler.rpartition(".")[0]
        script = str(_HERE / "invoke.py")
        return [sys.executable, "-I", "-S", script, module, str(event), str(times), *self.path(function)]


@dataclass(frozen=True)
class Peers:
    """Node's packages of package-lock.json, and the handlers bundled by esbuild."""

    folder: Path
    node: str

    @classmethod
    def installed(cls, folder: Path) -> Peers:
        """In `folder`, anew if package-lock.json or a handler has changed. SystemExit if there is no Node."""
        node = shutil.which("node")
        if node is None:
            raise SystemExit("the bench needs Node 20 or newer with npm, for what it compares with")
        peers = cls(folder, node)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = (_HERE / "package-lock.json").read_text()
        installed = folder / "installed.json"
        if not installed.exists() or installed.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, folder)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
            installed.write_text(wanted)
        for script in (_HERE / "peers").glob("*.cjs"):
            shutil.copy(script, folder)
        for handler, external in BUNDLED.items():
            peers._bundle(handler, external)
        return peers

    def bundle(self, handler: str) -> Path:
        return self.folder / f"{handler}.bundle.cjs"

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
