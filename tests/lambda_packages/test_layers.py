"""What pip installs into a layer, and what is removed from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lambda_packages.build import PackagingError
from lambda_packages.layers import prune
from tests.lambda_packages.project import Project, list_names

PILLOW_FILES = (
    "PIL/_imaging.abi3.so",
    "PIL/_imagingft.abi3.so",
    "PIL/_imagingtk.abi3.so",
    "pillow.libs/libfreetype-0a1b2c.so",
    "pillow.libs/libharfbuzz-0a1b2c.so",
    "pillow.libs/libjpeg-0a1b2c.so",
)


def test_layer_has_packages_and_licenses_only(project: Project) -> None:
    project.publish(
        {
            "sample/__init__.py": b"",
            "sample/core.py": b"",
            "sample/core.pyi": b"",
            "sample/py.typed": b"",
            "sample/tests/__init__.py": b"",
            "sample/tests/test_core.py": b"",
            "sample/data/table.bin": b"\0",
            "sample-1.0.dist-info/licenses/LICENSE.txt": b"MIT",
            "sample-1.0.dist-info/entry_points.txt": b"[console_scripts]\nsample = sample:main\n",
        }
    )
    assert list_names(project.build().layers["sample"]) == [
        "python/sample/__init__.py",
        "python/sample/core.py",
        "python/sample/data/table.bin",
        "python/sample-1.0.dist-info/licenses/LICENSE.txt",
    ]


@pytest.mark.parametrize(
    ("layer", "kept"),
    [("imaging", {"PIL/_imaging.abi3.so", "pillow.libs/libjpeg-0a1b2c.so"}), ("heif", set(PILLOW_FILES))],
    ids=["imaging", "another layer"],
)
def test_prune_removes_fonts_from_imaging_only(tmp_path: Path, layer: str, kept: set[str]) -> None:
    for name in PILLOW_FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    prune(tmp_path, layer)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_wheel_with_wrong_hash_raises(project: Project) -> None:
    project.publish({"sample/__init__.py": b""}, digest="0" * 64)
    fresh = project.folder / "fresh"
    with pytest.raises(PackagingError, match="layer sample: pip failed with exit code 1") as caught:
        project.build(root=fresh)
    assert "DO NOT MATCH THE HASHES" in str(caught.value)
    assert not (fresh / "host/layers/sample.zip").exists()


def test_pin_without_hash_raises(project: Project) -> None:
    pins = project.folder / "lambda_packages/layers/sample.txt"
    pins.write_text(re.sub(r" --hash=\S+", "", pins.read_text()))
    with pytest.raises(PackagingError, match="layer sample: pip failed"):
        project.build()
