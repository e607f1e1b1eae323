"""A small repository to package: one function, and one layer made of one local wheel."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from lambda_packages.build import Package, Platform, build_packages

REPOSITORY = Path(__file__).parents[2]
NO_SUCH_PYTHON = dataclasses.replace(Platform.host(), python=(3, 99))
SAMPLE = {"sample/__init__.py": b"answer = 42\n"}


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> Project:
        project = cls(folder)
        project.write("functions/__init__.py", "")
        project.write("functions/greet/__init__.py", "")
        project.write("functions/greet/handler.py", "from functions.greet.words import hello\n")
        project.write("functions/greet/words.py", "from functions import shared\nhello = shared.text\n")
        project.write("functions/shared.py", "text = 'hello'\n")
        project.write("functions/unused.py", "")
        project.write("lambda_packages/functions.toml", '[greet]\nlayers = ["sample"]\n')
        project.publish(SAMPLE)
        return project

    def copy(self, folder: Path) -> Project:
        """Copy the sources and what is built; the layer still installs the original's wheel."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Project(folder)

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def publish(self, files: Mapping[str, bytes], digest: str | None = None) -> None:
        """Build the layer's wheel and pin it."""
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

    def root(self, platform: Platform = NO_SUCH_PYTHON) -> Path:
        """The folder `build` uses for a platform: one for each, so that none makes the other's archives stale."""
        return self.folder / ".build" / "{}.{}".format(*platform.python)

    def build(self, platform: Platform = NO_SUCH_PYTHON, root: Path | None = None) -> Package:
        return build_packages(platform, root or self.root(platform), self.folder)["greet"]


def list_names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.namelist()


def read_entry(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.read(name)
