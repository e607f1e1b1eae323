"""Hostile files are rendered or rejected within the limits of the render process."""

from collections.abc import Iterator

import pytest

from functions.process_avatar.imaging.formats import ImageRejectedError
from functions.process_avatar.imaging.render_process import RenderProcess
from tests.fixtures.gallery import FIXTURES
from tests.fixtures.hostile import HOSTILE
from tests.functions.process_avatar.imaging.output_files import (
    JPEG_SEGMENTS,
    WEBP_CHUNKS,
    list_jpeg_segments,
    list_webp_chunks,
)

TIMEOUT_SECONDS = 60  # for busy machines
MAX_PIXELS = 50_000_000


@pytest.fixture(scope="module")
def process() -> Iterator[RenderProcess]:
    process = RenderProcess(timeout_seconds=TIMEOUT_SECONDS)
    yield process
    process.close()


def render(process: RenderProcess, data: bytes) -> str:
    """Return the outcome. Files that make the process fail in another way than by its limits raise."""
    try:
        rendition = process.render(data, sizes=(64,), max_pixels=MAX_PIXELS)
    except ImageRejectedError as error:
        return error.reason
    assert list_jpeg_segments(rendition.stable_jpeg) == JPEG_SEGMENTS
    assert list_webp_chunks(rendition.variants[0].data) in WEBP_CHUNKS
    return "rendered"


@pytest.mark.parametrize("name", HOSTILE)
def test_render_hostile_file_is_rendered_or_rejected_within_limits(name: str, process: RenderProcess) -> None:
    assert render(process, HOSTILE[name].file()) in HOSTILE[name].outcomes


@pytest.mark.parametrize(
    "name", [name for name in FIXTURES if "orientation" not in name and not name.endswith(("P3", "RGB", "CICP"))]
)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_render_incomplete_file_is_truncated(name: str, tenth: int, process: RenderProcess) -> None:
    data = FIXTURES[name].file()
    # Data after the first image is not read.
    allowed = {"truncated", "rendered"} if "multiple" in name else {"truncated"}
    assert render(process, data[: len(data) * tenth // 10]) in allowed
