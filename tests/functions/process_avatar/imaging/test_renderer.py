"""What becomes of a picture: looked at in the outputs' own pixels and bytes."""

import math
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat, PngImagePlugin

from functions.process_avatar.imaging import encoding, renderer
from functions.shared.square_crop import SquareCrop
from tests.fixtures import pictures
from tests.fixtures.pictures import BLUE, GREEN, RED, YELLOW, encoded, opened, plain
from tests.functions.process_avatar.imaging.output_files import JPEG_SEGMENTS, WEBP_CHUNKS, jpeg_segments, webp_chunks

PHOTO = Path(__file__).parents[4] / "local" / "photo.jpg"
MAX_PIXELS = 50_000_000
LOSSY_TOLERANCE = 12  # of 255: what quality 80 may do to a flat colour


def render(data: bytes, sizes: tuple[int, ...] = (64,), max_pixels: int = MAX_PIXELS) -> renderer.Rendition:
    return renderer.render(data, sizes=sizes, max_pixels=max_pixels)


def webp(rendition: renderer.Rendition) -> Image.Image:
    return opened(rendition.variants[0].data)


def jpeg(rendition: renderer.Rendition) -> Image.Image:
    return opened(rendition.stable_jpeg)


def outputs(rendition: renderer.Rendition) -> list[Image.Image]:
    return [jpeg(rendition), *(opened(variant.data) for variant in rendition.variants)]


def middle(picture: Image.Image) -> tuple[int, ...]:
    pixel = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters: top left, top right, bottom left, bottom right."""
    near, far = picture.width // 4, picture.width * 3 // 4
    return [middle(picture.crop((x - 1, y - 1, x + 2, y + 2))) for y in (near, far) for x in (near, far)]


def close_to(*colours: tuple[int, ...]) -> list[Any]:
    return [pytest.approx(colour, abs=LOSSY_TOLERANCE) for colour in colours]


def reason_of(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(renderer.Rejected) as rejected:
        render(data, max_pixels=max_pixels)
    return rejected.value.reason


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio of the luma in dB: https://en.wikipedia.org/wiki/Peak_signal-to-noise_ratio"""
    (squares,) = ImageStat.Stat(ImageChops.difference(one.convert("L"), other.convert("L"))).sum2
    return 10 * math.log10(255**2 * one.width * one.height / squares)


# --- Shape ------------------------------------------------------------------------------------------------------------


def test_a_photograph_becomes_squares_of_the_sizes_asked_for_largest_first() -> None:
    data = PHOTO.read_bytes()
    rendition = render(data, sizes=(128, 512))
    assert rendition.source == renderer.Source("jpeg", 512, 552, len(data))
    assert [(variant.size, variant.format) for variant in rendition.variants] == [(512, "webp"), (128, "webp")]
    assert [picture.size for picture in outputs(rendition)] == [(512, 512), (512, 512), (128, 128)]
    assert [picture.format for picture in outputs(rendition)] == ["JPEG", "WEBP", "WEBP"]


@pytest.mark.parametrize("sizes", [(96,), (1024, 96), (512,)])
def test_the_stable_jpeg_has_its_size_whatever_the_sizes_of_the_variants(sizes: tuple[int, ...]) -> None:
    rendition = render(encoded(plain(1200, 1100), "JPEG"), sizes=sizes)
    assert jpeg(rendition).size == (512, 512)
    assert [opened(variant.data).width for variant in rendition.variants] == list(sizes)


def test_a_phones_portrait_comes_out_upright() -> None:
    stored = opened(PHOTO.read_bytes()).convert("RGB")
    upright = stored.rotate(-90, expand=True).crop((0, 20, 512, 532))
    assert psnr(jpeg(render(PHOTO.read_bytes(), sizes=(512,))), upright) > 30


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_every_exif_orientation_is_turned_upright(orientation: int, file_format: str) -> None:
    stored = pictures.laid_down(pictures.four_corners(120, 80), orientation)
    rendition = render(encoded(stored, file_format, exif=pictures.exif(orientation), quality=95))
    assert (rendition.source.width, rendition.source.height) == (120, 80)
    for picture in outputs(rendition):
        assert corners(picture.convert("RGB")) == close_to(RED, GREEN, BLUE, YELLOW)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("broken", [b"Exif\0\0garbage garbage", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_does_not_break_a_picture(file_format: str, broken: bytes) -> None:
    data = encoded(pictures.four_corners(80, 80), file_format, exif=broken)
    assert corners(jpeg(render(data))) == close_to(RED, GREEN, BLUE, YELLOW)


def test_the_square_is_cut_from_the_centre() -> None:
    wide = plain(300, 100, RED)
    wide.paste(BLUE, (100, 0, 200, 100))
    for picture in outputs(render(encoded(wide, "PNG"))):
        reds, _, blues = ImageStat.Stat(picture).extrema
        assert reds[1] <= LOSSY_TOLERANCE
        assert blues[0] >= 255 - LOSSY_TOLERANCE


def test_a_small_picture_is_not_enlarged() -> None:
    rendition = render(encoded(plain(200, 260), "JPEG"), sizes=(512, 128))
    assert [variant.size for variant in rendition.variants] == [512, 128]
    assert [picture.size for picture in outputs(rendition)] == [(200, 200), (200, 200), (128, 128)]


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (1, 1)])
def test_a_picture_one_pixel_wide_becomes_one_pixel(size: tuple[int, int]) -> None:
    rendition = render(encoded(plain(*size), "PNG"), sizes=(512, 128))
    assert [picture.size for picture in outputs(rendition)] == [(1, 1)] * 3


# --- Quality ----------------------------------------------------------------------------------------------------------


# Each is a trap: decoded at the nearest power of two, little or nothing is left for Lanczos to do (37 to 40 dB).
@pytest.mark.parametrize("side", [1024, 1100, 2048, 2150, 4096, 4608])
def test_shrinking_while_decoding_keeps_to_a_full_lanczos_resize(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "QUALITY", 100)  # else the encoder's own loss would hide what is measured
    data = encoded(pictures.textured(side, side), "JPEG", quality=90)
    reference = opened(data).resize((512, 512), Image.Resampling.LANCZOS)
    assert psnr(jpeg(render(data, sizes=(512,))), reference) > 48


def test_a_progressive_jpeg_gives_the_same_picture_as_a_baseline_one() -> None:
    photo = opened(PHOTO.read_bytes())
    baseline, progressive = (render(encoded(photo, "JPEG", quality=90, progressive=flag)) for flag in (False, True))
    assert progressive.stable_jpeg == baseline.stable_jpeg


# --- Colour -----------------------------------------------------------------------------------------------------------


def test_display_p3_is_converted_to_srgb() -> None:
    data = encoded(plain(90, 90, (200, 100, 100)), "PNG", icc_profile=pictures.display_p3_profile())
    # By the matrices of https://www.w3.org/TR/css-color-4/#color-conversion-code, P3 (200, 100, 100) is:
    assert middle(webp(render(data))) == pytest.approx((215, 94, 98), abs=2)
    assert middle(jpeg(render(data))) == pytest.approx((215, 94, 98), abs=2)


def test_cmyk_is_converted_by_its_own_profile() -> None:
    data = encoded(plain(90, 90, (200, 30, 0, 0), "CMYK"), "JPEG", icc_profile=pictures.all_ink_is_mid_grey_profile())
    assert middle(jpeg(render(data))) == pytest.approx((119, 119, 119), abs=2)


def test_cmyk_without_a_profile_keeps_its_hues() -> None:
    cyan = encoded(plain(90, 90, (255, 0, 0, 0), "CMYK"), "JPEG", quality=95)
    assert [middle(jpeg(render(cyan)))] == close_to((0, 255, 255))


@pytest.mark.parametrize("profile", [b"no profile at all", pictures.all_ink_is_mid_grey_profile()])
def test_a_broken_profile_or_one_for_other_pixels_is_ignored(profile: bytes) -> None:
    data = encoded(plain(90, 90, (200, 100, 100)), "PNG", icc_profile=profile)
    assert middle(webp(render(data))) == pytest.approx((200, 100, 100), abs=2)


def test_16_bit_grey_keeps_its_brightness() -> None:
    grey = pictures.png(90, 90, 16, pictures.GREY, struct.pack(">H", 0x8123) * 90 * 90)
    assert middle(webp(render(grey))) == pytest.approx((129, 129, 129), abs=2)


def test_16_bit_colour_keeps_its_colours() -> None:
    colour = pictures.png(90, 90, 16, pictures.RGB, struct.pack(">HHH", 0xC800, 0x6400, 0x32FF) * 90 * 90)
    assert middle(webp(render(colour))) == pytest.approx((200, 100, 50), abs=3)


def test_black_and_white_of_one_bit_is_averaged_to_grey() -> None:
    stripes = bytes([0b10101010]) * (256 // 8) * 256
    assert middle(webp(render(pictures.png(256, 256, 1, pictures.GREY, stripes)))) == pytest.approx((128,) * 3, abs=3)


# --- Transparency -----------------------------------------------------------------------------------------------------


def half_transparent_palette() -> bytes:
    """Left half green, right half transparent, by palette."""
    palette = (b"PLTE", bytes((0, 200, 0, 200, 0, 0)))
    row = bytes(45 * [0] + 45 * [1])
    return pictures.png(90, 90, 8, pictures.PALETTE, row * 90, palette, (b"tRNS", b"\xff\x00"))


def half_transparent_colour() -> bytes:
    picture = plain(90, 90, (0, 200, 0, 255), "RGBA")
    picture.paste((200, 0, 0, 0), (45, 0, 90, 90))
    return encoded(picture, "PNG")


def half_transparent_by_key() -> bytes:
    row = bytes((0, 200, 0)) * 45 + bytes((200, 0, 0)) * 45
    return pictures.png(90, 90, 8, pictures.RGB, row * 90, (b"tRNS", struct.pack(">HHH", 200, 0, 0)))


def half_transparent_gif() -> bytes:
    picture = plain(90, 90, 0, "P")
    picture.putpalette([0, 200, 0, 200, 0, 0])
    picture.paste(1, (45, 0, 90, 90))
    return encoded(picture, "GIF", transparency=1)


def half_transparent_webp() -> bytes:
    return encoded(opened(half_transparent_colour()), "WEBP", lossless=True)


@pytest.mark.parametrize(
    "data",
    [
        half_transparent_palette(),
        half_transparent_colour(),
        half_transparent_by_key(),
        half_transparent_gif(),
        half_transparent_webp(),
    ],
    ids=["palette PNG", "RGBA PNG", "PNG with a key colour", "GIF", "WebP"],
)
def test_transparency_is_kept_in_webp_and_white_in_jpeg(data: bytes) -> None:
    rendition = render(data)
    assert corners(jpeg(rendition)) == close_to((0, 200, 0), (255, 255, 255)) * 2
    assert webp(rendition).mode == "RGBA"
    left, right = corners(webp(rendition))[:2]
    assert [left] == close_to((0, 200, 0, 255))
    assert right[3] == 0


def test_grey_with_alpha_keeps_both() -> None:
    picture = plain(90, 90, (100, 128), "LA")
    rendition = render(encoded(picture, "PNG"))
    assert middle(webp(rendition)) == pytest.approx((100, 100, 100, 128), abs=2)
    assert middle(jpeg(rendition)) == pytest.approx((177, 177, 177), abs=2)


def test_colours_hidden_under_transparency_do_not_bleed_into_the_edges() -> None:
    picture = plain(400, 400, (0, 0, 0, 0), "RGBA")  # transparent, and black beneath
    ImageDraw.Draw(picture).ellipse((0, 0, 399, 399), fill=(255, 255, 255, 255))
    darkest = ImageStat.Stat(jpeg(render(encoded(picture, "PNG"))).convert("L")).extrema[0][0]
    assert darkest > 250


def test_an_alpha_channel_that_hides_nothing_is_dropped() -> None:
    assert webp(render(encoded(plain(90, 90, (1, 2, 3, 255), "RGBA"), "PNG"))).mode == "RGB"


# --- Privacy ----------------------------------------------------------------------------------------------------------


def talkative_jpeg() -> bytes:
    return encoded(
        plain(90, 90),
        "JPEG",
        exif=pictures.exif(6),
        icc_profile=pictures.display_p3_profile(),
        xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>",
        comment=b"SECRET",
    )


def talkative_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>SECRET</x:xmpmeta>")
    return encoded(
        plain(90, 90, (1, 2, 3, 99), "RGBA"),
        "PNG",
        pnginfo=text,
        exif=pictures.exif(),
        icc_profile=pictures.display_p3_profile(),
    )


def talkative_webp() -> bytes:
    return encoded(
        plain(90, 90),
        "WEBP",
        exif=pictures.exif(),
        xmp=b"<x:xmpmeta>SECRET</x:xmpmeta>",
        icc_profile=pictures.display_p3_profile(),
    )


def talkative_gif() -> bytes:
    return encoded(plain(90, 90), "GIF", comment=b"SECRET")


@pytest.mark.parametrize("talkative", [talkative_jpeg, talkative_png, talkative_webp, talkative_gif, PHOTO.read_bytes])
def test_no_metadata_reaches_an_output(talkative: Callable[[], bytes]) -> None:
    rendition = render(talkative(), sizes=(64, 32))
    assert jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    for variant in rendition.variants:
        assert webp_chunks(variant.data) in WEBP_CHUNKS
        assert b"SECRET" not in variant.data
    for picture in outputs(rendition):
        assert not {"exif", "icc_profile", "xmp", "comment"} & picture.info.keys()


def test_what_the_privacy_test_looks_for_is_in_its_inputs() -> None:
    assert jpeg_segments(talkative_jpeg()) - JPEG_SEGMENTS == {"0xe1", "0xe2", "0xfe"}
    assert webp_chunks(talkative_webp()) == [b"VP8X", b"ICCP", b"VP8 ", b"EXIF", b"XMP "]
    assert b"SECRET" in talkative_png()
    assert b"SECRET" in talkative_gif()


# --- Several pictures in one file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "MPO"])
def test_the_first_of_several_pictures_is_taken(file_format: str) -> None:
    first, second = plain(90, 90, (0, 200, 0)), plain(90, 90, (200, 0, 0))
    data = encoded(first, file_format, save_all=True, append_images=[second])
    rendition = render(data)
    assert [middle(jpeg(rendition))] == close_to((0, 200, 0))
    assert rendition.source.format == {"MPO": "jpeg"}.get(file_format, file_format.lower())


# --- What is refused --------------------------------------------------------------------------------------------------

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
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miafheic", "unsupported_format"),  # the last is after the box
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "truncated"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "truncated"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "truncated"),
        (b"8BPS\0\x01", "unsupported_format"),
        (encoded(plain(9, 9), "BMP"), "unsupported_format"),
        (encoded(plain(9, 9), "TIFF"), "unsupported_format"),
        (encoded(plain(16, 16), "ICO"), "unsupported_format"),
    ],
)
def test_the_first_bytes_decide_what_a_file_is(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@pytest.mark.parametrize(
    "bomb", [pictures.png_claiming, pictures.jpeg_claiming, pictures.gif_claiming, pictures.webp_claiming]
)
def test_a_picture_over_the_pixel_budget_is_refused_by_its_header(bomb: Callable[[int, int], bytes]) -> None:
    assert reason_of(bomb(16_000, 16_000)) == "too_many_pixels"
    assert reason_of(bomb(300, 100), max_pixels=100 * 100) == "too_many_pixels"


def test_a_picture_of_exactly_the_pixel_budget_is_taken() -> None:
    assert render(encoded(plain(100, 90), "PNG"), max_pixels=9000).source.width == 100
    assert reason_of(encoded(plain(100, 90), "PNG"), max_pixels=8999) == "too_many_pixels"


def test_formats_whose_decoders_need_more_memory_have_a_budget_of_their_own() -> None:
    large = encoded(plain(8000, 6251), "WEBP", lossless=True, method=0, quality=0)
    assert reason_of(large, max_pixels=100_000_000) == "too_many_pixels"
    assert reason_of(pictures.png_claiming(8000, 6251), max_pixels=100_000_000) == "truncated"


def test_the_pixel_budget_is_for_one_picture_only() -> None:
    before = Image.MAX_IMAGE_PIXELS
    render(encoded(plain(9, 9), "PNG"), max_pixels=81)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_jpeg_that_passes_over_its_pixels_again_and_again_is_refused() -> None:
    assert render(pictures.jpeg_of_many_scans(80)).source.width == 2000
    assert reason_of(pictures.jpeg_of_many_scans(100)) == "too_many_pixels"


def test_a_jpeg_of_one_scan_for_each_component_is_rendered_and_refused_with_too_many_of_them() -> None:
    assert middle(jpeg(render(pictures.jpeg_of_separate_scans()))) == pytest.approx(RED, abs=3)
    assert reason_of(pictures.jpeg_of_separate_scans(*[2] * 98)) == "too_many_pixels"


def test_what_looks_like_scans_in_a_jpeg_whose_first_one_has_everything_costs_nothing() -> None:
    thumbnail = b"\xff\xe5" + (2 + 4 * 200).to_bytes(2) + b"\xff\xda\0\x02" * 200
    photo = encoded(plain(90, 90), "JPEG")
    assert render(photo[:2] + thumbnail + photo[2:]).source.format == "jpeg"
    assert reason_of(photo[:-2] + photo[photo.index(b"\xff\xda") : -2] * 200 + photo[-2:]) == "truncated"


def test_bytes_after_the_end_of_a_jpeg_are_not_counted_as_passes() -> None:
    motion_photo = encoded(plain(90, 90), "JPEG") + b"\0\x02" + b"\xff\xda\0\x02" * 200
    assert render(motion_photo).source.format == "jpeg"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_file_that_ends_early_is_refused(file_format: str, part: float) -> None:
    data = encoded(pictures.textured(90, 90), file_format)
    assert reason_of(data[: int(len(data) * part)]) == "truncated"


def test_a_damaged_file_is_rendered_or_refused_but_never_an_error() -> None:
    chance = random.Random(7)
    originals = [talkative_jpeg(), talkative_png(), talkative_webp(), talkative_gif(), half_transparent_palette()]
    refused = 0
    for _ in range(1500):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            render(bytes(data), sizes=(32,), max_pixels=100_000)
        except renderer.Rejected:
            refused += 1
    assert 0 < refused < 1500


def test_running_out_of_memory_is_not_the_uploads_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(_picture: Image.Image) -> None:
        raise MemoryError

    data = encoded(plain(90, 90), "GIF")
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.load", out_of_memory)
    with pytest.raises(MemoryError):
        render(data)


# --- A chosen square --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_is_of_the_picture_as_it_stands_upright(file_format: str, orientation: int) -> None:
    upright = plain(160, 80, (40, 90, 160))
    upright.paste(
        pictures.four_corners(40, 40), (110, 20)
    )  # begins at 11/16 and 1/4, half as wide as the picture is high
    data = encoded(
        pictures.laid_down(upright, orientation), file_format, exif=pictures.exif(orientation).tobytes(), quality=95
    )
    crop = SquareCrop(110 / 160, 0.25, 0.5)
    rendition = renderer.render(data, sizes=(40,), max_pixels=MAX_PIXELS, crop=crop)
    for picture in outputs(rendition):
        assert picture.size == (40, 40)
        assert corners(picture.convert("RGB")) == [pytest.approx(it, abs=30) for it in (RED, GREEN, BLUE, YELLOW)]


def test_a_crop_of_a_large_jpeg_is_as_sharp_as_one_of_its_pixels() -> None:
    large = encoded(pictures.textured(4096, 3072), "JPEG", quality=95)
    crop = SquareCrop(0.25, 0.25, 0.25)  # 768 pixels, from which nothing may be lost while decoding
    found = jpeg(renderer.render(large, sizes=(512,), max_pixels=MAX_PIXELS, crop=crop))
    reference = opened(large).crop((1024, 768, 1792, 1536)).resize((512, 512), Image.Resampling.LANCZOS)
    assert psnr(found, reference) > 32


@pytest.mark.parametrize(("size", "edge"), [(0.5, 50), (0.011, 1), (0.000001, 1), (0.029, 2)])
def test_a_tiny_crop_is_not_enlarged(size: float, edge: int) -> None:
    data = encoded(pictures.textured(200, 100), "PNG")
    rendition = renderer.render(data, sizes=(512, 64), max_pixels=MAX_PIXELS, crop=SquareCrop(0.9, 0.9, size))
    assert {picture.size for picture in outputs(rendition)} == {(edge, edge)}


def test_a_crop_of_everything_is_the_centre_of_a_square() -> None:
    data = encoded(pictures.textured(90, 90), "PNG")
    assert render(data) == renderer.render(data, sizes=(64,), max_pixels=MAX_PIXELS, crop=SquareCrop(0, 0, 1))
