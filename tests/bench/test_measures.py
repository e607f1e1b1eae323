"""What the figures of the bench are made with: quality, ratios, tables and plots."""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import inf
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageDraw, ImageFilter

from bench import plot, report, runs
from bench.quality import Reference
from bench.rows import Row


def scene(width: int, height: int) -> Image.Image:
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 40, 90))
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def row(ratio: float | None, aim: float | None) -> Row:
    peer = None if ratio is None else 10.0
    return Row(
        name="a <case>", ours=10 * (ratio or 1), peer=peer, peer_name="peer", unit="ms", ratio=ratio, aim=aim, note="n"
    )


def test_a_picture_that_is_its_own_reference_is_perfect() -> None:
    picture = scene(64, 64)
    quality = Reference(png(picture), 64).quality(png(picture))
    assert (quality.psnr, quality.ssim) == (inf, pytest.approx(1))


def test_an_error_of_one_step_everywhere_is_48_db() -> None:
    grey = Image.new("RGB", (64, 64), (100, 100, 100))
    off = Image.new("RGB", (64, 64), (101, 101, 101))
    assert Reference(png(grey), 64).quality(png(off)).psnr == pytest.approx(48.13, abs=0.01)


def test_a_blurred_picture_is_worse_in_both_measures() -> None:
    picture = scene(64, 64)
    reference = Reference(png(picture), 64)
    slightly, strongly = (
        reference.quality(png(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0.5, 2)
    )
    assert slightly.psnr > strongly.psnr
    assert 1 > slightly.ssim > strongly.ssim > 0


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_the_reference_is_the_centre_square(size: tuple[int, int]) -> None:
    picture = scene(*size)
    left, top = (size[0] - 200) // 2, (size[1] - 200) // 2
    cut = picture.crop((left, top, left + 200, top + 200))
    assert Reference(png(picture), 200).quality(png(cut)).psnr == inf


def test_a_picture_cut_by_whole_pixels_is_not_blamed_for_it() -> None:
    """683 pixels scaled from 1,000 have no middle 512: who rounds is half a pixel off."""
    picture = scene(1000, 750).filter(ImageFilter.GaussianBlur(1))
    scaled = picture.resize((683, 512), Image.Resampling.LANCZOS)
    cut = scaled.crop((85, 0, 597, 512))
    assert Reference(png(picture), 512).quality(png(cut)).psnr > 50
    half = png(cut.resize((256, 256), Image.Resampling.LANCZOS))
    knowing, unknowing = Reference(png(picture), 256, cut_at=512), Reference(png(picture), 256)
    assert knowing.quality(half).psnr > unknowing.quality(half).psnr + 3


def test_transparency_is_seen_on_white() -> None:
    clear = Image.new("RGBA", (64, 64), (10, 20, 30, 0))
    assert Reference(png(clear), 64).quality(png(Image.new("RGB", (64, 64), "white"))).psnr == inf


def test_a_ratio_is_the_median_of_the_pairs_and_the_order_alternates() -> None:
    order: list[str] = []
    ours, peer = iter([1.0, 4.0, 9.0]), iter([1.0, 2.0, 3.0])

    def run(side: str, values: Iterator[float]) -> float:
        order.append(side)
        return next(values)

    pairs = runs.in_pairs(lambda: run("ours", ours), lambda: run("peer", peer), 3)
    assert pairs.ratio(lambda its: its) == 2
    assert order[:4] in (["ours", "peer", "peer", "ours"], ["peer", "ours", "ours", "peer"])


def test_a_process_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(runs.RunError, match=r"ended with 3:\nalas"):
        runs.run(["sh", "-c", "echo alas; exit 3"], {"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("ratio", "aim", "verdict"), [(0.5, 0.5, "met"), (0.51, 0.5, "not met"), (None, 0.5, ""), (2, None, "")]
)
def test_an_aim_is_the_largest_ratio_that_is_good_enough(ratio: float | None, aim: float | None, verdict: str) -> None:
    assert row(ratio, aim).verdict == verdict


def test_a_peer_that_fails_is_in_the_table_and_not_in_the_plot() -> None:
    rows = [row(0.5, 0.6), row(None, None)]
    assert report.table(rows).count("fails") == 1
    assert plot.ratios(rows).count("<rect") == 1


@pytest.mark.parametrize(
    "drawing",
    [
        plot.ratios([row(0.5, 0.6), row(613.8, 1), row(1.2, None)]),
        plot.curves("a < b", [("one", [(1, 2), (3, 4)]), ("two", [(1, 1), (3, 1)])], "MB", "ms"),
    ],
)
def test_a_plot_is_a_picture_with_a_title_that_fetches_nothing(drawing: str) -> None:
    picture = ElementTree.fromstring(drawing)  # noqa: S314 - our own
    assert picture.get("role") == "img"
    assert picture.findtext("{*}title")
    assert "href" not in drawing
