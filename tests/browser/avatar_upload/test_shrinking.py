"""web/avatar-upload/photo.js and shrink.js: what is sent of a photo."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Request, Route

from functions.process_avatar.imaging.renderer import render
from tests.browser.avatar_upload.widget import (
    FORM,
    SHRINK,
    TO_BASE64,
    Widget,
    drop_files,
    file_payload,
    jpeg,
    json_body,
    mean_difference,
)
from tests.browser.conftest import MAX_UPLOAD_BYTES
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES

_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp"}


SHRUNK = {
    name: name.partition(",")[0]
    for name in FIXTURES
    if name.startswith(("JPEG", "PNG", "WebP"))
    and not name.startswith(("PNG, orientation", "PNG, Display P3 CICP", "WebP, orientation", "WebP, multiple"))
    and name not in ("WebP, Display P3", "WebP, Adobe RGB", "JPEG, CMYK", "JPEG, YCCK")
}
"""Formats of the files that are shrunk, by name."""


def send(widget: Widget, photo: FilePayload, form: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], bytes]:
    """Drops a photo and sends it. Returns the body of the request for a form, and the posted file.

    `form` replaces parts of the form.
    """
    asked = watch(widget, form)
    drop_files(widget.element.locator("[part=card]"), photo)
    return use(widget, asked)


def watch(widget: Widget, form: Mapping[str, Any] | None = None) -> list[Request]:
    """Records the requests for a form, and the posted file."""
    asked: list[Request] = []

    def change(route: Route) -> None:
        asked.append(route.request)
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps({**response.json(), **(form or {})}))

    widget.page.route(FORM, change)
    widget.page.evaluate(
        """() => {
            const { send } = XMLHttpRequest.prototype;
            window.posted = new Promise((resolve) => {
                XMLHttpRequest.prototype.send = function (content) {
                    resolve(content.get("file"));
                    return send.call(this, content);
                };
            });
        }"""
    )
    return asked


def use(widget: Widget, asked: Sequence[Request]) -> tuple[dict[str, Any], bytes]:
    """Presses "Use this photo"."""
    widget.button("Use this photo").click()
    posted = base64.b64decode(widget.page.evaluate(f"async () => ({TO_BASE64})(await window.posted)"))
    (request,) = asked
    return json_body(request), posted


def test_photo_is_sent_upright_cropped_small_and_without_metadata(widget: Widget) -> None:
    upright = pictures.four_corners(2000, 1200)
    exif = pictures.exif(6)
    data = pictures.encode(pictures.rotate_for_exif(upright, 6), "JPEG", quality=95, exif=exif)
    assert b"Exif" in data
    asked = watch(widget)
    widget.start_crop(file_payload(data))
    widget.press("ArrowLeft", "+")
    shown = widget.preview_image()
    request, posted = use(widget, asked)
    widget.wait_for("ready")

    assert request == {"content_type": "image/jpeg"}
    picture = Image.open(io.BytesIO(posted))
    edge = round(1200 / 1.1)  # one step of "+"; half of it would be less than 1.5 × 512
    assert (picture.format, picture.size) == ("JPEG", (edge, edge))
    assert mean_difference(picture.convert("RGB").resize(shown.size), shown) < 3
    assert set(picture.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density", "icc_profile"}
    assert not any(name in posted for name in (b"Exif", b"xap", b"GPS"))
    source = widget.event_details("ready")[0]["source"]
    assert source == {"format": "jpeg", "width": edge, "height": edge, "bytes": len(posted)}


def test_avatars_of_shrunk_photos_are_those_of_originals(widget: Widget) -> None:
    """Upright by every orientation, in sRGB, with transparency."""
    names = [name for name in FIXTURES if name in SHRUNK and name.partition(", ")[2]]
    assert len(names) > 20
    shrunk = widget.page.evaluate(
        SHRINK,
        [[_TYPES[name.partition(",")[0]], base64.b64encode(FIXTURES[name].file()).decode()] for name in names],
    )
    for name, (content_type, content) in zip(names, shrunk, strict=True):
        assert content_type == ("image/webp" if "alpha" in name else "image/jpeg"), name
        ours, theirs = (
            render(data, sizes=[128], max_pixels=10**6) for data in (base64.b64decode(content), FIXTURES[name].file())
        )
        for one, other in ((ours.variants[0].data, theirs.variants[0].data), (ours.stable_jpeg, theirs.stable_jpeg)):
            pair = [pictures.decode(data) for data in (one, other)]
            assert pair[0].mode == pair[1].mode, name
            assert mean_difference(pair[0], pair[1]) < 4, name  # without its profile, over 7


def test_transparent_photo_is_sent_as_png_without_webp_encoder(widget: Widget) -> None:
    widget.page.evaluate(
        """() => {
            const { toBlob, toDataURL } = HTMLCanvasElement.prototype;
            const supported = (type) => (type === "image/webp" ? "image/png" : type);
            HTMLCanvasElement.prototype.toBlob = function (act, type, quality) {
                return toBlob.call(this, act, supported(type), quality);
            };
            HTMLCanvasElement.prototype.toDataURL = function (type) {
                return toDataURL.call(this, supported(type));
            };
        }"""
    )
    request, posted = send(widget, file_payload(FIXTURES["WebP, alpha"].file(), "a.webp", "image/webp"))
    assert request == {"content_type": "image/png"}
    picture = Image.open(io.BytesIO(posted))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (360, 360))


@pytest.mark.parametrize(("useful_edge", "edge"), [(768, 1000), (1000, 1000), (1100, 2000), (2500, 2000)])
def test_photo_is_halved_while_form_has_use_for_fewer_pixels(widget: Widget, useful_edge: int, edge: int) -> None:
    _, posted = send(widget, jpeg(2200, 2000), {"useful_edge": useful_edge})
    assert Image.open(io.BytesIO(posted)).size == (edge, edge)


def test_photo_over_max_bytes_is_sent(widget: Widget) -> None:
    photo = jpeg(900, 600)
    photo["buffer"] += random.Random(1).randbytes(MAX_UPLOAD_BYTES)
    _, posted = send(widget, photo)
    assert len(posted) < 200_000
    widget.wait_for("ready")


@pytest.mark.parametrize(
    ("name", "fixture", "length"),
    [
        ("me.heic", "HEIC", None),
        ("me.gif", "GIF", None),
        ("me.webp", "WebP, multiple", None),
        ("me.avif", "AVIF", None),
        ("me.jpg", "JPEG", 20_000),
    ],
    ids=["HEIC", "GIF", "animated WebP", "AVIF", "truncated"],
)
def test_file_that_cannot_be_shrunk_is_sent_as_it_is(
    widget: Widget, name: str, fixture: str, length: int | None
) -> None:
    data = FIXTURES[fixture].file()[:length]
    request, posted = send(widget, file_payload(data, name, ""))
    content_type = f"image/{name.partition('.')[2].replace('jpg', 'jpeg')}"
    assert request == {"content_type": content_type, "size": len(data)}
    assert posted == data


@pytest.mark.parametrize(
    "script",
    [
        "document.getElementById('avatar').setAttribute('original', '')",
        "delete window.createImageBitmap",
        """CanvasRenderingContext2D.prototype.getImageData = (x, y, width, height) =>
            new ImageData(new Uint8ClampedArray(4 * width * height).fill(255), width, height)""",
    ],
    ids=["attribute", "no createImageBitmap", "canvas resists fingerprinting"],
)
def test_original_is_sent_by_attribute_or_where_browser_cannot_shrink(widget: Widget, script: str) -> None:
    widget.page.evaluate(f"() => {{ {script}; }}")
    photo = jpeg()
    request, posted = send(widget, photo)
    assert request == {"content_type": "image/jpeg", "size": len(photo["buffer"])}
    assert posted == photo["buffer"]


def test_format_of_files_that_browsers_decode_differently_is_unknown(widget: Widget) -> None:
    """Chromium rejects incomplete files; Firefox and WebKit fill them up."""
    jpeg = pictures.encode(pictures.textured(300, 200), "JPEG", exif=pictures.exif())
    complete = {
        **{
            name: (fixture.file(), SHRUNK.get(name))
            for name, fixture in FIXTURES.items()
            if "MYK" not in name and "YCCK" not in name
        },
        "JPEG with data after its end": (jpeg + bytes(100_000), "JPEG"),
    }
    cut = {
        f"{name}, cut": (FIXTURES[name].file()[:-100], None) for name in ("JPEG", "JPEG, progressive", "PNG", "WebP")
    }
    thumbnail = jpeg[:2] + pictures.jpeg_segment(0xE1, b"Exif" + jpeg) + jpeg[2:-2]
    cases = {**complete, **cut, "JPEG, cut, with a thumbnail": (thumbnail, None), "empty": (b"", None)}
    formats = widget.page.evaluate(
        """async (files) => {
            const { detectFormat } = await import("/avatar-upload/files.js");
            const decode = (content) => new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]);
            return Promise.all(files.map((content) => detectFormat(decode(content))));
        }""",
        [base64.b64encode(data).decode() for data, _ in cases.values()],
    )
    assert dict(zip(cases, formats, strict=True)) == {name: kind for name, (_, kind) in cases.items()}
