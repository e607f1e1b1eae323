"""WebAssets, used alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from components.web_assets import DEFAULT_WEB_DIR, WebAssets, WebAssetsArgs
from local.recording.graph import Graph
from tests.components.conftest import RunAlone

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
CDN = "https://cdn.example.com"
FILES = {
    "avatar-upload.js": 'import "./avatar-upload/form.js";',
    "avatar-upload/form.js": "export {};",
    "profile/page.js": "export {};",
    "profile/profile.css": "body {}",
    "profile/profile.html": "<!doctype html>",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "web", FILES)


def write(folder: Path, files: dict[str, str]) -> Path:
    for place, text in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    return folder


def publish(run_alone: RunAlone, folder: Path, **settings: Any) -> Graph:
    args = WebAssetsArgs(bucket_name="assets", cdn_url=CDN, folder=folder, **settings)
    return run_alone(lambda: WebAssets("web", args))


def version(graph: Graph) -> str:
    match = re.fullmatch(
        r"/web/([0-9a-f]{16})/", (graph.one("avatars:index:WebAssets").component_outputs or {})["base_path"]
    )
    assert match
    return match[1]


def test_files_are_immutable_under_version_except_page(run_alone: RunAlone, folder: Path) -> None:
    graph = publish(run_alone, folder)
    served = {r.inputs["key"]: r.inputs for r in graph.of_type(OBJECT) if r.name != "web-element"}
    sources = {key: Path(inputs.pop("source").path) for key, inputs in served.items()}
    base = f"web/{version(graph)}"
    for place, type_ in (
        ("avatar-upload.js", "text/javascript; charset=utf-8"),
        ("avatar-upload/form.js", "text/javascript; charset=utf-8"),
        ("profile/page.js", "text/javascript; charset=utf-8"),
        ("profile/profile.css", "text/css; charset=utf-8"),
    ):
        assert sources[f"{base}/{place}"] == folder / place
        assert served.pop(f"{base}/{place}") == {
            "bucket": "assets",
            "key": f"{base}/{place}",
            "contentType": type_,
            "cacheControl": "public, max-age=31536000, immutable",
            "overrideProvider": {"defaultTags": {"tags": {}}},
        }
    assert served == {}


def test_widget_fixed_url_exports_current_version(run_alone: RunAlone, folder: Path) -> None:
    graph = publish(run_alone, folder)
    element = graph.named("web-element")
    assert element.inputs == {
        "bucket": "assets",
        "key": "web/avatar-upload.js",
        "content": f'export * from "./{version(graph)}/avatar-upload.js";\n',
        "contentType": "text/javascript; charset=utf-8",
        "cacheControl": "public, max-age=300",
        "overrideProvider": {"defaultTags": {"tags": {}}},
    }
    assert {r.urn for r in graph.of_type(OBJECT)} - {element.urn} <= element.dependencies


def test_outputs(run_alone: RunAlone, folder: Path) -> None:
    graph = publish(run_alone, folder)
    assert graph.one("avatars:index:WebAssets").component_outputs == {
        "base_path": f"/web/{version(graph)}/",
        "element_url": f"{CDN}/web/avatar-upload.js",
    }


def test_version_same_files_elsewhere_is_equal(run_alone: RunAlone, folder: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    assert version(publish(run_alone, folder)) == version(publish(run_alone, elsewhere))


def test_version_changed_page_is_equal(run_alone: RunAlone, folder: Path) -> None:
    before = version(publish(run_alone, folder))
    write(folder, {"profile/profile.html": "<p>Another page</p>"})
    assert version(publish(run_alone, folder)) == before


def test_type_declarations_are_not_served(run_alone: RunAlone, folder: Path) -> None:
    before = version(publish(run_alone, folder))
    graph = publish(run_alone, write(folder, {"avatar-upload.d.ts": "export {};"}))
    assert version(graph) == before
    assert not [r for r in graph.of_type(OBJECT) if r.inputs["key"].endswith(".ts")]


@pytest.mark.parametrize(
    "change", [{"profile/page.js": "export const a = 1;"}, {"profile/new.js": "export {};"}], ids=["changed", "added"]
)
def test_version_changed_files_differs(run_alone: RunAlone, folder: Path, change: dict[str, str]) -> None:
    before = version(publish(run_alone, folder))
    assert version(publish(run_alone, write(folder, change))) != before


def test_version_renamed_file_differs(run_alone: RunAlone, folder: Path) -> None:
    before = version(publish(run_alone, folder))
    (folder / "profile/page.js").rename(folder / "profile/side.js")
    assert version(publish(run_alone, folder)) != before


@pytest.mark.parametrize("protect", [True, False])
def test_protect_retains_previous_versions(run_alone: RunAlone, folder: Path, protect: bool) -> None:
    objects = publish(run_alone, folder, protect=protect).of_type(OBJECT)
    assert {r.name: r.retain_on_delete for r in objects} == {
        "web-avatar-upload.js": protect,
        "web-avatar-upload/form.js": protect,
        "web-profile/page.js": protect,
        "web-profile/profile.css": protect,
        "web-element": False,
    }


def test_args_unknown_file_type_raises_value_error(folder: Path) -> None:
    write(folder, {"profile/notes.md": "# Notes"})
    with pytest.raises(ValueError, match=r"WebAssetsArgs\.folder has \['.*notes\.md'\]; allowed are only \.css, \.js"):
        WebAssetsArgs(bucket_name="assets", cdn_url=CDN, folder=folder)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"folder": Path("nowhere")},
            r"folder is PosixPath\('nowhere'\); allowed is the path of a directory with avatar",
        ),
        ({"cdn_url": "cdn.example.com"}, "cdn_url is 'cdn.example.com'; allowed is an https:// URL"),
    ],
)
def test_args_invalid_raises_value_error(folder: Path, settings: dict[str, Any], complaint: str) -> None:
    given: dict[str, Any] = {"bucket_name": "assets", "cdn_url": CDN, "folder": folder}
    with pytest.raises(ValueError, match=complaint):
        WebAssetsArgs(**{**given, **settings})


def test_vendored_library_is_the_published_one_after_its_license() -> None:
    """build/index.js of https://www.npmjs.com/package/oauth4webapi/v/3.8.8."""
    text = (DEFAULT_WEB_DIR / "profile/vendor/oauth4webapi.js").read_text(encoding="utf-8")
    license_, library = text.split(" */\n", 1)
    assert license_.startswith("/*!\n * oauth4webapi 3.8.8, https://github.com/panva/oauth4webapi\n")
    assert " * Permission is hereby granted, free of charge," in license_
    assert hashlib.sha256(library.encode()).hexdigest() == (
        "72a5f6d84416e92b659c6b8fd837c5fa38d44b7f2e18f91daa1fe57da677c7ad"
    )
