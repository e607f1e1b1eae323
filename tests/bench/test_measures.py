"""The code that evaluates and writes measurements: quality, ratios, tables, plots and files."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageDraw, ImageFilter

from bench import cost, felt, plot, report, runs, shrinking
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


def test_quality_of_identical_picture_is_perfect() -> None:
    picture = scene(64, 64)
    quality = Reference(png(picture), 64).quality(png(picture))
    assert (quality.psnr, quality.ssim) == (inf, pytest.approx(1))


def test_error_of_one_step_everywhere_is_48_db() -> None:
    grey = Image.new("RGB", (64, 64), (100, 100, 100))
    off = Image.new("RGB", (64, 64), (101, 101, 101))
    assert Reference(png(grey), 64).quality(png(off)).psnr == pytest.approx(48.13, abs=0.01)


def test_more_blur_lowers_psnr_and_ssim() -> None:
    picture = scene(64, 64)
    reference = Reference(png(picture), 64)
    slightly, strongly = (
        reference.quality(png(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0.5, 2)
    )
    assert slightly.psnr > strongly.psnr
    assert 1 > slightly.ssim > strongly.ssim > 0


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_reference_is_the_center_square(size: tuple[int, int]) -> None:
    picture = scene(*size)
    left, top = (size[0] - 200) // 2, (size[1] - 200) // 2
    cut = picture.crop((left, top, left + 200, top + 200))
    assert Reference(png(picture), 200).quality(png(cut)).psnr == inf


def test_crop_to_whole_pixels_does_not_lower_quality() -> None:
    """A center crop of 512 from 683 pixels is shifted by half a pixel."""
    picture = scene(1000, 750).filter(ImageFilter.GaussianBlur(1))
    scaled = picture.resize((683, 512), Image.Resampling.LANCZOS)
    cut = scaled.crop((85, 0, 597, 512))
    assert Reference(png(picture), 512).quality(png(cut)).psnr > 50
    half = png(cut.resize((256, 256), Image.Resampling.LANCZOS))
    knowing, unknowing = Reference(png(picture), 256, cut_at=512), Reference(png(picture), 256)
    assert knowing.quality(half).psnr > unknowing.quality(half).psnr + 3


def test_transparency_is_flattened_on_white() -> None:
    clear = Image.new("RGBA", (64, 64), (10, 20, 30, 0))
    assert Reference(png(clear), 64).quality(png(Image.new("RGB", (64, 64), "white"))).psnr == inf


def test_ratio_is_median_of_pairs_in_alternating_order() -> None:
    order: list[str] = []
    ours, peer = iter([1.0, 4.0, 9.0]), iter([1.0, 2.0, 3.0])

    def run(side: str, values: Iterator[float]) -> float:
        order.append(side)
        return next(values)

    pairs = runs.run_in_pairs(lambda: run("ours", ours), lambda: run("peer", peer), 3)
    assert pairs.ratio(lambda its: its) == 2
    assert order[:4] in (["ours", "peer", "peer", "ours"], ["peer", "ours", "ours", "peer"])


def test_run_failing_process_raises_with_output() -> None:
    with pytest.raises(runs.RunError, match=r"ended with 3:\nalas"):
        runs.run(["sh", "-c", "echo alas; exit 3"], {"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("ratio", "aim", "verdict"), [(0.5, 0.5, "met"), (0.51, 0.5, "not met"), (None, 0.5, ""), (2, None, "")]
)
def test_verdict_is_met_up_to_the_aim(ratio: float | None, aim: float | None, verdict: str) -> None:
    assert row(ratio, aim).verdict == verdict


def test_failing_peer_is_in_table_but_not_in_plot() -> None:
    rows = [row(0.5, 0.6), row(None, None)]
    assert report.format_table(rows).count("fails") == 1
    assert plot.ratios(rows).count("<rect") == 1


@pytest.mark.parametrize(
    "drawing",
    [
        plot.ratios([row(0.5, 0.6), row(613.8, 1), row(1.2, None)]),
        plot.curves("a < b", [("one", [(1, 2), (3, 4)]), ("two", [(1, 1), (3, 1)])], "MB", "ms"),
    ],
)
def test_plot_is_an_image_with_title_and_no_links(drawing: str) -> None:
    picture = ElementTree.fromstring(drawing)  # noqa: S314 - our own
    assert picture.get("role") == "img"
    assert picture.findtext("{*}title")
    assert "href" not in drawing


def test_write_results_updates_cost_tables_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` compares these tables with measured.json, and must pass after `make bench`."""
    documents = tuple(tmp_path / document.name for document in cost.DOCUMENTS)
    for document, copy in zip(cost.DOCUMENTS, documents, strict=True):
        shutil.copy(document, copy)
    measurements = cost.load_measurements()
    shutil.copy(report.FOLDER / "results.json", tmp_path)
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(cost, "DOCUMENTS", documents)
    monkeypatch.setattr(cost, "MEASURED", tmp_path / "measured.json")
    slower = {name: 2 * value for name, value in measurements["cpu_ms"].items()}
    report.write([row(0.5, 0.6)], slower, report.Circumstances("2026-11-27", "another processor", "versions", 7))
    readme, costs = (document.read_text() for document in documents)
    assert json.loads((tmp_path / "measured.json").read_text())["cpu_ms"] == pytest.approx(slower)
    assert "measured on 2026-11-27, on another processor" in costs
    assert cost.format_report() in costs
    assert cost.format_monthly_report() in costs
    assert cost.format_monthly_totals() in readme
    assert [cost.insert_reports(text) for text in (readme, costs)] == [readme, costs]


def test_avatars_of_shrunk_photos_are_as_good_as_those_of_originals() -> None:
    results = json.loads(shrinking.RESULTS.read_text())
    assert len(results) == 9
    for result in results:
        worst = shrinking.find_worst_output(result)
        assert worst["original"] - worst["shrunk"] <= shrinking.LARGEST_LOSS, result["name"]
        assert result["shrunk_bytes"] < 700_000


@pytest.mark.parametrize("module", [shrinking, felt])
def test_table_of_document_is_that_of_results(module: ModuleType) -> None:
    document = module.DOCUMENT.read_text()
    assert module.insert_table(document) == document
    assert module.insert_table(document.replace(module.BEGIN, f"{module.BEGIN}\nformer table")) == document
