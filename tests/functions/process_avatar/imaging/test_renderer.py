"""Rendering, checked in the pixels and bytes of the outputs."""

import math
import random
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat, PngImagePlugin

from functions.process_avatar.imaging import renderer
from functions.process_avatar.imaging.cropping import crop_square
from functions.process_avatar.imaging.decoding import open_image
from functions.process_avatar.imaging.formats import Format, ImageRejectedError
from functions.process_avatar.imaging.rendition import Rendition, Source
from functions.shared.square_crop import SquareCrop
from fuzz.floods import FLOODS
from tests.fixtures import pictures
from tests.fixtures.pictures import BLUE, GREEN, RED, YELLOW, decode, encode, plain
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)

PHOTO = Path(__file__).parents[4] / "local" / "photo.jpg"
MAX_PIXELS = 50_000_000
LOSSY_TOLERANCE = 12  # of 255: the loss of a solid color at quality 80


def render(data: bytes, sizes: tuple[int, ...] = (64,), max_pixels: int = MAX_PIXELS) -> Rendition:
    return renderer.render(data, sizes=sizes, max_pixels=max_pixels)


def decode_webp(rendition: Rendition) -> Image.Image:
    return decode(rendition.variants[0].data)


def decode_jpeg(rendition: Rendition) -> Image.Image:
    return decode(rendition.stable_jpeg)


def decode_outputs(rendition: Rendition) -> list[Image.Image]:
    return [decode_jpeg(rendition), *(decode(variant.data) for variant in rendition.variants)]


def get_center_pixel(picture: Image.Image) -> tuple[int, ...]:
    pixel = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def get_quarter_centers(picture: Image.Image) -> list[tuple[int, ...]]:
    """Return the center pixels of the quarters: top left, top right, bottom left, bottom right."""
    near, far = picture.width // 4, picture.width * 3 // 4
    return [get_center_pixel(picture.crop((x - 1, y - 1, x + 2, y + 2))) for y in (near, far) for x in (near, far)]


def close_to(*colors: tuple[int, ...]) -> list[Any]:
    return [pytest.approx(color, abs=LOSSY_TOLERANCE) for color in colors]


def get_rejection_reason(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(ImageRejectedError) as caught:
        render(data, max_pixels=max_pixels)
    return caught.value.reason


def measure_psnr(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of the luma in dB: https://en.wikipedia.org/wiki/Peak_signal-to-noise_ratio"""
    (squares,) = ImageStat.Stat(ImageChops.difference(one.convert("L"), other.convert("L"))).sum2
    return 10 * math.log10(255**2 * one.width * one.height / squares)


# --- Shape ------------------------------------------------------------------------------------------------------------


def test_render_photo_returns_requested_sizes_largest_first() -> None:
    data = PHOTO.read_bytes()
    rendition = render(data, sizes=(128, 512))
    assert rendition.source == Source("jpeg", 512, 552, len(data))
    assert [(variant.size, variant.format) for variant in rendition.variants] == [(512, "webp"), (128, "webp")]
    assert [picture.size for picture in decode_outputs(rendition)] == [(512, 512), (512, 512), (128, 128)]
    assert [picture.format for picture in decode_outputs(rendition)] == ["JPEG", "WEBP", "WEBP"]


@pytest.mark.parametrize("sizes", [(96,), (1024, 96), (512,)])
def test_render_any_sizes_stable_jpeg_has_fixed_size(sizes: tuple[int, ...]) -> None:
    rendition = render(encode(plain(1200, 1100), "JPEG"), sizes=sizes)
    assert decode_jpeg(rendition).size == (512, 512)
    assert [decode(variant.data).width for variant in rendition.variants] == list(sizes)


def test_render_phone_portrait_is_upright() -> None:
    stored = decode(PHOTO.read_bytes()).convert("RGB")
    upright = stored.rotate(-90, expand=True).crop((0, 20, 512, 532))
    assert measure_psnr(decode_jpeg(render(PHOTO.read_bytes(), sizes=(512,))), upright) > 30


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_render_exif_orientation_is_upright(orientation: int, file_format: str) -> None:
    stored = pictures.rotate_for_exif(pictures.four_corners(120, 80), orientation)
    rendition = render(encode(stored, file_format, exif=pictures.exif(orientation), quality=95))
    assert (rendition.source.width, rendition.source.height) == (120, 80)
    for picture in decode_outputs(rendition):
        assert get_quarter_centers(picture.convert("RGB")) == close_to(RED, GREEN, BLUE, YELLOW)


def test_render_orientation_is_of_exif_before_xmp() -> None:
    stored = pictures.rotate_for_exif(pictures.four_corners(120, 80), 6)
    jpeg = encode(stored, "JPEG", exif=pictures.exif(6), quality=95)
    xmp = pictures.jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    tables = jpeg.index(b"\xff\xdb")  # after EXIF
    rendition = render(jpeg[:tables] + xmp + jpeg[tables:])
    assert get_quarter_centers(decode_jpeg(rendition)) == close_to(RED, GREEN, BLUE, YELLOW)


def test_render_png_exif_after_end_is_ignored() -> None:
    png = encode(pictures.four_corners(80, 80), "PNG")
    data = png + pictures.png_chunk(b"eXIf", pictures.exif(6).tobytes().removeprefix(b"Exif\0\0"))
    assert get_quarter_centers(decode_jpeg(render(data))) == close_to(RED, GREEN, BLUE, YELLOW)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("broken", [b"Exif\0\0garbage garbage", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_render_broken_exif_is_ignored(file_format: str, broken: bytes) -> None:
    data = encode(pictures.four_corners(80, 80), file_format, exif=broken)
    assert get_quarter_centers(decode_jpeg(render(data))) == close_to(RED, GREEN, BLUE, YELLOW)


def test_render_without_crop_uses_center() -> None:
    wide = plain(300, 100, RED)
    wide.paste(BLUE, (100, 0, 200, 100))
    for picture in decode_outputs(render(encode(wide, "PNG"))):
        reds, _, blues = ImageStat.Stat(picture).extrema
        assert reds[1] <= LOSSY_TOLERANCE
        assert blues[0] >= 255 - LOSSY_TOLERANCE


def test_render_small_image_is_not_enlarged() -> None:
    rendition = render(encode(plain(200, 260), "JPEG"), sizes=(512, 128))
    assert [variant.size for variant in rendition.variants] == [512, 128]
    assert [picture.size for picture in decode_outputs(rendition)] == [(200, 200), (200, 200), (128, 128)]


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (1, 1)])
def test_render_image_one_pixel_wide_returns_one_pixel(size: tuple[int, int]) -> None:
    rendition = render(encode(plain(*size), "PNG"), sizes=(512, 128))
    assert [picture.size for picture in decode_outputs(rendition)] == [(1, 1)] * 3


# --- Quality ----------------------------------------------------------------------------------------------------------


# Without headroom for Lanczos in shrink-on-load, these sizes have 37 to 40 dB.
@pytest.mark.parametrize("side", [1024, 1100, 2048, 2150, 4096, 4608])
def test_render_shrink_on_load_matches_full_lanczos_resize(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "QUALITY", 100)  # the loss at quality 80 is greater than the difference
    data = encode(pictures.textured(side, side), "JPEG", quality=90)
    reference = decode(data).resize((512, 512), Image.Resampling.LANCZOS)
    assert measure_psnr(decode_jpeg(render(data, sizes=(512,))), reference) > 48


@pytest.mark.parametrize(
    ("side", "decoded"), [(767, 767), (768, 384), (1279, 640), (1280, 320), (2559, 640), (2560, 320)]
)
def test_render_decodes_jpeg_with_largest_divisor_that_leaves_headroom(
    side: int, decoded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 256 pixels: half the size from 1.5 times of that on, a quarter and an eighth from 1.25 times on."""
    monkeypatch.setattr(renderer, "STABLE_JPEG_SIZE", 64)
    widths: list[int] = []
    resize = Image.Image.resize

    def record(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        widths.append(image.width)
        return resize(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", record)
    render(encode(plain(side, side), "JPEG"), sizes=(256,))
    assert widths[0] == decoded


def test_encoders_quality_is_80() -> None:
    photo = decode(PHOTO.read_bytes()).convert("RGB").resize((64, 64))
    assert renderer.encode_jpeg(photo) == encode(photo, "JPEG", quality=80, subsampling="4:2:0")
    assert renderer.encode_webp(photo) == encode(photo, "WEBP", quality=80, method=2)


def test_render_progressive_jpeg_equals_baseline() -> None:
    photo = decode(PHOTO.read_bytes())
    baseline, progressive = (render(encode(photo, "JPEG", quality=90, progressive=flag)) for flag in (False, True))
    assert progressive.stable_jpeg == baseline.stable_jpeg


# --- Color ------------------------------------------------------------------------------------------------------------


def test_render_display_p3_converts_to_srgb() -> None:
    data = encode(plain(90, 90, (200, 100, 100)), "PNG", icc_profile=pictures.display_p3_profile())
    # By the matrices of https://www.w3.org/TR/css-color-4/#color-conversion-code, P3 (200, 100, 100) is:
    assert get_center_pixel(decode_webp(render(data))) == pytest.approx((215, 94, 98), abs=2)
    assert get_center_pixel(decode_jpeg(render(data))) == pytest.approx((215, 94, 98), abs=2)


def test_render_jpeg_profile_in_swapped_segments_is_joined() -> None:
    """The numbers of the segments count, not their order: ICC.1:2022, B.4."""
    profile, jpeg = pictures.display_p3_profile(), encode(plain(90, 90, (200, 100, 100)), "JPEG", quality=95)
    first, second = (
        pictures.jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 2)) + part)
        for number, part in ((1, profile[:300]), (2, profile[300:]))
    )
    data = jpeg[:2] + second + first + jpeg[2:]
    assert get_center_pixel(decode_webp(render(data))) == pytest.approx((215, 94, 98), abs=3)


def test_render_cmyk_uses_embedded_profile() -> None:
    data = encode(plain(90, 90, (200, 30, 0, 0), "CMYK"), "JPEG", icc_profile=pictures.mid_gray_cmyk_profile())
    assert get_center_pixel(decode_jpeg(render(data))) == pytest.approx((119, 119, 119), abs=2)


def test_render_cmyk_without_profile_keeps_hues() -> None:
    cyan = encode(plain(90, 90, (255, 0, 0, 0), "CMYK"), "JPEG", quality=95)
    assert [get_center_pixel(decode_jpeg(render(cyan)))] == close_to((0, 255, 255))


@pytest.mark.parametrize("profile", [b"no profile at all", pictures.mid_gray_cmyk_profile()])
def test_render_broken_or_mismatched_profile_is_ignored(profile: bytes) -> None:
    data = encode(plain(90, 90, (200, 100, 100)), "PNG", icc_profile=profile)
    assert get_center_pixel(decode_webp(render(data))) == pytest.approx((200, 100, 100), abs=2)


def test_render_16_bit_gray_keeps_brightness() -> None:
    gray = pictures.png(90, 90, 16, pictures.GRAY, struct.pack(">H", 0x8123) * 90 * 90)
    assert get_center_pixel(decode_webp(render(gray))) == pytest.approx((129, 129, 129), abs=2)


def test_crop_16_bit_gray_takes_the_upper_8_bits() -> None:
    row = struct.pack(">256H", *(value * 256 for value in range(256)))
    png = pictures.png(256, 256, 16, pictures.GRAY, row * 256)
    square = crop_square(open_image(png, "png", MAX_PIXELS), None, 256)
    assert [square.image.getpixel((value, 0)) for value in range(256)] == [(value,) * 3 for value in range(256)]


def test_render_16_bit_color_keeps_colors() -> None:
    color = pictures.png(90, 90, 16, pictures.RGB, struct.pack(">HHH", 0xC800, 0x6400, 0x32FF) * 90 * 90)
    assert get_center_pixel(decode_webp(render(color))) == pytest.approx((200, 100, 50), abs=3)


def test_render_1_bit_image_is_averaged_to_gray() -> None:
    stripes = bytes([0b10101010]) * (256 // 8) * 256
    assert get_center_pixel(decode_webp(render(pictures.png(256, 256, 1, pictures.GRAY, stripes)))) == pytest.approx(
        (128,) * 3, abs=3
    )


# --- Transparency -----------------------------------------------------------------------------------------------------


def half_transparent_palette() -> bytes:
    """Left half green, right half transparent, by palette."""
    palette = (b"PLTE", bytes((0, 200, 0, 200, 0, 0)))
    row = bytes(45 * [0] + 45 * [1])
    return pictures.png(90, 90, 8, pictures.PALETTE, row * 90, palette, (b"tRNS", b"\xff\x00"))


def half_transparent_color() -> bytes:
    picture = plain(90, 90, (0, 200, 0, 255), "RGBA")
    picture.paste((200, 0, 0, 0), (45, 0, 90, 90))
    return encode(picture, "PNG")


def half_transparent_color_key() -> bytes:
    row = bytes((0, 200, 0)) * 45 + bytes((200, 0, 0)) * 45
    return pictures.png(90, 90, 8, pictures.RGB, row * 90, (b"tRNS", struct.pack(">HHH", 200, 0, 0)))


def half_transparent_gif() -> bytes:
    picture = plain(90, 90, 0, "P")
    picture.putpalette([0, 200, 0, 200, 0, 0])
    picture.paste(1, (45, 0, 90, 90))
    return encode(picture, "GIF", transparency=1)


def half_transparent_webp() -> bytes:
    return encode(decode(half_transparent_color()), "WEBP", lossless=True)


@pytest.mark.parametrize(
    "data",
    [
        half_transparent_palette(),
        half_transparent_color(),
        half_transparent_color_key(),
        half_transparent_gif(),
        half_transparent_webp(),
    ],
    ids=["palette PNG", "RGBA PNG", "PNG with a key color", "GIF", "WebP"],
)
def test_render_transparency_kept_in_webp_white_in_jpeg(data: bytes) -> None:
    rendition = render(data)
    assert get_quarter_centers(decode_jpeg(rendition)) == close_to((0, 200, 0), (255, 255, 255)) * 2
    assert decode_webp(rendition).mode == "RGBA"
    left, right = get_quarter_centers(decode_webp(rendition))[:2]
    assert [left] == close_to((0, 200, 0, 255))
    assert right[3] == 0


def test_render_gray_with_alpha_keeps_both() -> None:
    picture = plain(90, 90, (100, 128), "LA")
    rendition = render(encode(picture, "PNG"))
    assert get_center_pixel(decode_webp(rendition)) == pytest.approx((100, 100, 100, 128), abs=2)
    assert get_center_pixel(decode_jpeg(rendition)) == pytest.approx((177, 177, 177), abs=2)


def test_render_hidden_colors_do_not_bleed_into_edges() -> None:
    picture = plain(400, 400, (0, 0, 0, 0), "RGBA")  # transparent, and black beneath
    ImageDraw.Draw(picture).ellipse((0, 0, 399, 399), fill=(255, 255, 255, 255))
    darkest = ImageStat.Stat(decode_jpeg(render(encode(picture, "PNG"))).convert("L")).extrema[0][0]
    assert darkest > 250


def test_render_opaque_alpha_channel_is_dropped() -> None:
    assert decode_webp(render(encode(plain(90, 90, (1, 2, 3, 255), "RGBA"), "PNG"))).mode == "RGB"


# --- Privacy ----------------------------------------------------------------------------------------------------------


def jpeg_with_metadata() -> bytes:
    return encode(
        plain(90, 90),
        "JPEG",
        exif=pictures.exif(6),
        icc_profile=pictures.display_p3_profile(),
        xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>",
        comment=b"SECRET",
    )


def png_with_metadata() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>SECRET</x:xmpmeta>")
    return encode(
        plain(90, 90, (1, 2, 3, 99), "RGBA"),
        "PNG",
        pnginfo=text,
        exif=pictures.exif(),
        icc_profile=pictures.display_p3_profile(),
    )


def webp_with_metadata() -> bytes:
    return encode(
        plain(90, 90),
        "WEBP",
        exif=pictures.exif(),
        xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>",
        icc_profile=pictures.display_p3_profile(),
    )


def gif_with_metadata() -> bytes:
    return encode(plain(90, 90), "GIF", comment=b"SECRET")


@pytest.mark.parametrize(
    "file", [jpeg_with_metadata, png_with_metadata, webp_with_metadata, gif_with_metadata, PHOTO.read_bytes]
)
def test_render_outputs_contain_no_metadata(file: Callable[[], bytes]) -> None:
    rendition = render(file(), sizes=(64, 32))
    assert list_jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    for variant in rendition.variants:
        assert list_webp_chunks(variant.data) in WEBP_CHUNKS
        assert b"SECRET" not in variant.data
    for picture in decode_outputs(rendition):
        assert not {"exif", "icc_profile", "xmp", "comment"} & picture.info.keys()


def test_metadata_inputs_contain_metadata() -> None:
    assert list_jpeg_segments(jpeg_with_metadata()) - JPEG_SEGMENTS == {"0xe1", "0xe2", "0xfe"}
    assert list_webp_chunks(webp_with_metadata()) == [b"VP8X", b"ICCP", b"VP8 ", b"EXIF", b"XMP "]
    assert b"SECRET" in png_with_metadata()
    assert b"SECRET" in gif_with_metadata()


# --- Several images in one file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "MPO"])
def test_render_several_images_uses_first(file_format: str) -> None:
    first, second = plain(90, 90, (0, 200, 0)), plain(90, 90, (200, 0, 0))
    data = encode(first, file_format, save_all=True, append_images=[second])
    rendition = render(data)
    assert [get_center_pixel(decode_jpeg(rendition))] == close_to((0, 200, 0))
    assert rendition.source.format == {"MPO": "jpeg"}.get(file_format, file_format.lower())


# --- Rejections -------------------------------------------------------------------------------------------------------

SVG = b'<?xml version="1.0"?>\n<!-- a picture -->\n<SVG xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"\xff", "not_an_image"),
        (b"Dear diary, today I uploaded a text.", "not_an_image"),
        (b"BM is how this text begins, and how a bitmap does", "not_an_image"),
        (b"%PDF-1.7", "not_an_image"),
        (b"<html><body>no picture</body></html>", "not_an_image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not_an_image"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "not_an_image"),
        (SVG, "unsupported_format"),
        (b"\xef\xbb\xbf  <svg/>", "unsupported_format"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "unsupported_format"),
        (b"\0\0\0\x18ftypvvic\0\0\0\0mif1heic", "unsupported_format"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miafheic", "unsupported_format"),  # heic is after the box
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "truncated"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "truncated"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "truncated"),
        (b"8BPS\0\x01", "unsupported_format"),
        (encode(plain(9, 9), "BMP"), "unsupported_format"),
        (encode(plain(9, 9), "TIFF"), "unsupported_format"),
        (encode(plain(16, 16), "ICO"), "unsupported_format"),
    ],
)
def test_render_other_file_is_rejected_by_first_bytes(data: bytes, reason: str) -> None:
    assert get_rejection_reason(data) == reason


@pytest.mark.parametrize(
    "declare_size", [pictures.png_declaring, pictures.jpeg_declaring, pictures.gif_declaring, pictures.webp_declaring]
)
def test_render_over_pixel_limit_is_rejected_by_header(declare_size: Callable[[int, int], bytes]) -> None:
    assert get_rejection_reason(declare_size(16_000, 16_000)) == "too_many_pixels"
    assert get_rejection_reason(declare_size(300, 100), max_pixels=100 * 100) == "too_many_pixels"


def test_render_exactly_pixel_limit_is_accepted() -> None:
    assert render(encode(plain(100, 90), "PNG"), max_pixels=9000).source.width == 100
    assert get_rejection_reason(encode(plain(100, 90), "PNG"), max_pixels=8999) == "too_many_pixels"


@pytest.mark.parametrize(
    ("file_format", "declare_size"),
    [
        ("webp", pictures.webp_of_one_color),
        ("avif", partial(pictures.heif_declaring, "AVIF")),
        ("heic", partial(pictures.heif_declaring, "HEIF")),
    ],
)
def test_open_over_pixel_limit_of_format_is_rejected(
    file_format: Format, declare_size: Callable[[int, int], bytes]
) -> None:
    assert open_image(declare_size(8000, 6250), file_format, max_pixels=100_000_000).image.size == (8000, 6250)
    with pytest.raises(ImageRejectedError, match="too_many_pixels"):
        open_image(declare_size(8000, 6251), file_format, max_pixels=100_000_000)
    assert get_rejection_reason(pictures.png_declaring(8000, 6251), max_pixels=100_000_000) == "truncated"


def test_render_restores_pillow_pixel_limit() -> None:
    before = Image.MAX_IMAGE_PIXELS
    render(encode(plain(9, 9), "PNG"), max_pixels=81)
    assert before == Image.MAX_IMAGE_PIXELS


def test_render_jpeg_over_scan_limit_is_rejected() -> None:
    assert render(pictures.jpeg_of_many_scans(80)).source.width == 1500
    assert get_rejection_reason(pictures.jpeg_of_many_scans(100)) == "too_many_pixels"


@pytest.mark.parametrize(
    ("flood", "segment"),
    [
        ("JPEG, metadata", pictures.jpeg_segment(0xE0, b"")),
        ("JPEG, markers between scans", pictures.jpeg_segment(0xEF, b"\xff\xda")),
        ("PNG, chunks after the pixels", pictures.png_chunk(b"IDAT", b"")),
        ("WebP, chunks of an animation", b"teSt\0\0\0\0"),
        ("GIF, extensions", b"!\xfe\0"),
        ("GIF, blocks", b"\1A"),
        ("AVIF, boxes", b"\0\0\0\x08free"),
        ("AVIF, properties", b"\0\0\0\x08free"),
        ("HEIC, boxes", b"\0\0\0\x08free"),
    ],
)
def test_render_over_100_000_segments_is_rejected(flood: str, segment: bytes) -> None:
    insert = FLOODS[flood].insert
    assert render(insert(segment, 99_900)).source.width == 480
    assert get_rejection_reason(insert(segment, 100_001)) == "too_many_pixels"


def test_render_gif_comment_before_frame_keeps_transparency() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    gif = encode(picture, "GIF", transparency=1)
    frame = gif.index(b",\0\0\0\0")
    commented = gif[:frame] + b"!\xfe\1A\0\0" + gif[frame:]
    assert decode_webp(render(gif)).getchannel("A").getextrema() == (0, 0)
    assert render(commented).variants == render(gif).variants


@pytest.mark.parametrize("frame", [0xC2, 0xC6, 0xCA, 0xCE])
def test_render_jpeg_every_progressive_frame_counts_scans(frame: int) -> None:
    jpeg = pictures.jpeg_of_many_scans(100).replace(b"\xff\xc2", bytes((0xFF, frame)), 1)
    assert get_rejection_reason(jpeg) == "too_many_pixels"


def test_render_jpeg_with_scan_per_component_counts_scans() -> None:
    assert get_center_pixel(decode_jpeg(render(pictures.jpeg_of_separate_scans()))) == pytest.approx(RED, abs=3)
    assert get_rejection_reason(pictures.jpeg_of_separate_scans(*[2] * 98)) == "too_many_pixels"


def test_render_jpeg_complete_first_scan_ignores_other_scans() -> None:
    thumbnail = b"\xff\xe5" + (2 + 4 * 200).to_bytes(2) + b"\xff\xda\0\x02" * 200
    photo = encode(plain(90, 90), "JPEG")
    assert render(photo[:2] + thumbnail + photo[2:]).source.format == "jpeg"
    assert get_rejection_reason(photo[:-2] + photo[photo.index(b"\xff\xda") : -2] * 200 + photo[-2:]) == "truncated"


def test_render_jpeg_data_after_end_is_not_counted_as_scans() -> None:
    motion_photo = encode(plain(90, 90), "JPEG") + b"\0\x02" + b"\xff\xda\0\x02" * 200
    assert render(motion_photo).source.format == "jpeg"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_render_incomplete_file_is_rejected(file_format: str, part: float) -> None:
    data = encode(pictures.textured(90, 90), file_format)
    assert get_rejection_reason(data[: int(len(data) * part)]) == "truncated"


def test_render_damaged_file_is_rendered_or_rejected() -> None:
    chance = random.Random(7)
    originals = [
        jpeg_with_metadata(),
        png_with_metadata(),
        webp_with_metadata(),
        gif_with_metadata(),
        half_transparent_palette(),
    ]
    rejected = 0
    for _ in range(1500):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            render(bytes(data), sizes=(32,), max_pixels=100_000)
        except ImageRejectedError:
            rejected += 1
    assert 0 < rejected < 1500


def test_render_out_of_memory_raises_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_memory_error(_picture: Image.Image) -> None:
        raise MemoryError

    data = encode(plain(90, 90), "GIF")
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.load", raise_memory_error)
    with pytest.raises(MemoryError):
        render(data)


# --- Crops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_render_crop_applies_to_upright_image(file_format: str, orientation: int) -> None:
    upright = plain(160, 80, (40, 90, 160))
    upright.paste(pictures.four_corners(40, 40), (110, 30))
    data = encode(
        pictures.rotate_for_exif(upright, orientation),
        file_format,
        exif=pictures.exif(orientation).tobytes(),
        quality=95,
    )
    crop = SquareCrop(110 / 160, 30 / 80, 0.5)  # off center both ways
    rendition = renderer.render(data, sizes=(40,), max_pixels=MAX_PIXELS, crop=crop)
    for picture in decode_outputs(rendition):
        assert picture.size == (40, 40)
        assert get_quarter_centers(picture.convert("RGB")) == [
            pytest.approx(it, abs=30) for it in (RED, GREEN, BLUE, YELLOW)
        ]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_render_crop_of_transparent_image_is_where_it_was_asked(orientation: int) -> None:
    upright = plain(160, 80, (40, 90, 160, 99), "RGBA")
    upright.paste(pictures.four_corners(40, 40), (110, 30))
    data = encode(pictures.rotate_for_exif(upright, orientation), "PNG", exif=pictures.exif(orientation))
    crop = SquareCrop(110 / 160, 30 / 80, 0.5)
    rendition = renderer.render(data, sizes=(20,), max_pixels=MAX_PIXELS, crop=crop)
    for picture in decode_outputs(rendition):
        assert get_quarter_centers(picture.convert("RGB")) == [
            pytest.approx(it, abs=30) for it in (RED, GREEN, BLUE, YELLOW)
        ]


def test_render_crop_of_large_jpeg_is_sharp() -> None:
    large = encode(pictures.textured(4096, 3072), "JPEG", quality=95)
    crop = SquareCrop(0.25, 0.25, 0.25)  # 768 pixels: no shrink-on-load
    found = decode_jpeg(renderer.render(large, sizes=(512,), max_pixels=MAX_PIXELS, crop=crop))
    reference = decode(large).crop((1024, 768, 1792, 1536)).resize((512, 512), Image.Resampling.LANCZOS)
    assert measure_psnr(found, reference) > 32


@pytest.mark.parametrize(("size", "edge"), [(0.5, 50), (0.011, 1), (0.000001, 1), (0.029, 2)])
def test_render_tiny_crop_is_not_enlarged(size: float, edge: int) -> None:
    data = encode(pictures.textured(200, 100), "PNG")
    rendition = renderer.render(data, sizes=(512, 64), max_pixels=MAX_PIXELS, crop=SquareCrop(0.9, 0.9, size))
    assert {picture.size for picture in decode_outputs(rendition)} == {(edge, edge)}


def test_render_full_crop_of_square_equals_center() -> None:
    data = encode(pictures.textured(90, 90), "PNG")
    assert render(data) == renderer.render(data, sizes=(64,), max_pixels=MAX_PIXELS, crop=SquareCrop(0, 0, 1))
