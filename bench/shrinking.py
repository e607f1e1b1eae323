"""Quality of avatars of photos that `<avatar-upload>` has shrunk in Chromium, and of those of the originals.

`python -m bench.shrinking` shrinks photos with the element's modules, renders the results and the originals as
process_avatar does, and compares all outputs with an exact resize of the original. It writes shrinking.json and the
table in docs/benchmarks.md. Other load on the machine does not change the results.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from playwright.sync_api import Page, Route

from bench import inputs
from bench.chromium import launch_chromium
from bench.quality import Reference
from functions.process_avatar.imaging import renderer
from functions.shared.output_sizes import STABLE_JPEG_SIZE
from functions.shared.square_crop import SquareCrop
from lambda_packages.build import REPOSITORY

RESULTS = Path(__file__).with_name("shrinking.json")
LARGEST_LOSS = 0.002
"""Of SSIM, at each output."""
DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- shrinking: begin -->", "<!-- shrinking: end -->"
_ORIGIN = "http://bench.invalid"
_INPUTS = REPOSITORY / ".build" / "bench" / "inputs"
_MAX_PIXELS = 50_000_000
_SHRUNK = (".jpg", ".png", ".webp")
_SIZES = (512, 256, 128, 64)
_LARGEST_SIZES = (1024,)

_SHRINK = """async ([url, crop, edge]) => {
    const { decodePhoto } = await import("/avatar-upload/photo.js");
    const { shrinkPhoto } = await import("/avatar-upload/shrink.js");
    const { type, encode } = shrinkPhoto(await decodePhoto(await (await fetch(url)).blob()), crop);
    const bytes = new Uint8Array(await (await encode(edge)).arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return [type, btoa(text)];
}"""


@dataclass(frozen=True)
class Case:
    name: str
    path: Path
    crop: SquareCrop | None = None
    sizes: Sequence[int] = _SIZES

    @property
    def edge(self) -> int:
        """The field `useful_edge` of the form."""
        return 3 * max(*self.sizes, STABLE_JPEG_SIZE) // 2


@dataclass(frozen=True)
class Output:
    """SSIM against an exact resize of the original."""

    name: str
    original: float
    shrunk: float


@dataclass(frozen=True)
class Result:
    name: str
    original_bytes: int
    shrunk_bytes: int
    shrunk_type: str
    outputs: Sequence[Output]


def make_cases() -> list[Case]:
    paths = {picture.name: picture.path for picture in inputs.make_inputs(_INPUTS) if picture.path.suffix in _SHRUNK}
    phone = paths["12 MP JPEG"]
    return [
        Case("Portrait of 0.3 MP, JPEG", REPOSITORY / "local" / "photo.jpg"),
        *(Case(name, path) for name, path in paths.items()),
        Case("12 MP JPEG, zoom 2", phone, SquareCrop(0.25, 0.25, 0.5)),
        Case("12 MP JPEG, zoom 5", phone, SquareCrop(0.5, 0.5, 0.2)),
        Case("12 MP JPEG, size 1,024", phone, sizes=_LARGEST_SIZES),
    ]


def measure(page: Page, case: Case) -> Result:
    original = case.path.read_bytes()
    content_type, content = page.evaluate(_SHRINK, [f"/photo/{case.name}", _to_json(case.crop), case.edge])
    shrunk = base64.b64decode(content)
    square = _cut_square(original, case.crop)
    outputs = list(_compare(original, shrunk, square, case))
    return Result(case.name, len(original), len(shrunk), content_type, outputs)


def _to_json(crop: SquareCrop | None) -> dict[str, float] | None:
    return crop and crop._asdict()


def _cut_square(original: bytes, crop: SquareCrop | None) -> bytes:
    """The part of the upright original that is kept, without loss."""
    if crop is None:
        return original
    with Image.open(BytesIO(original)) as picture:
        upright = ImageOps.exif_transpose(picture)
    output = BytesIO()
    box = crop.box(*upright.size)
    upright.crop((round(box.left), round(box.top), round(box.right), round(box.bottom))).save(output, "PNG")
    return output.getvalue()


def _compare(original: bytes, shrunk: bytes, square: bytes, case: Case) -> Iterator[Output]:
    ours, theirs = (
        renderer.render(data, sizes=case.sizes, max_pixels=_MAX_PIXELS, crop=crop)
        for data, crop in ((shrunk, None), (original, case.crop))
    )
    pairs = [
        *((f"WebP {a.size}", a.size, a.data, b.data) for a, b in zip(ours.variants, theirs.variants, strict=True)),
        (f"JPEG {STABLE_JPEG_SIZE}", STABLE_JPEG_SIZE, ours.stable_jpeg, theirs.stable_jpeg),
    ]
    for name, size, shrunk_output, original_output in pairs:
        with Image.open(BytesIO(shrunk_output)) as picture:
            edge = min(size, picture.width)  # a small photo is not enlarged
        reference = Reference(square, edge)
        qualities = [reference.quality(output).ssim for output in (original_output, shrunk_output)]
        yield Output(name, *(round(ssim, 4) for ssim in qualities))


def format_table(results: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| photo | original, kB | sent, kB | sent as | SSIM of its outputs | of the original's | worst output |",
        "|---|---:|---:|---|---:|---:|---|",
    ]
    for result in results:
        worst = find_worst_output(result)
        lines.append(
            f"| {result['name']} | {result['original_bytes'] / 1000:,.0f} | {result['shrunk_bytes'] / 1000:,.0f} "
            f"| {result['shrunk_type'].removeprefix('image/')} | {worst['shrunk']:.4f} | {worst['original']:.4f} "
            f"| {worst['name']} |"
        )
    return "\n".join(lines)


def find_worst_output(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The output that loses most."""
    return max(result["outputs"], key=lambda output: output["original"] - output["shrunk"])


def insert_table(document: str) -> str:
    begin, end = document.index(BEGIN) + len(BEGIN), document.index(END)
    return f"{document[:begin]}\n{format_table(json.loads(RESULTS.read_text()))}\n{document[end:]}"


def _serve(route: Route, cases: Sequence[Case]) -> None:
    path = route.request.url.removeprefix(_ORIGIN)
    photos = {f"/photo/{case.name}".replace(" ", "%20"): case.path for case in cases}
    route.fulfill(path=photos.get(path) or REPOSITORY / "web" / path.lstrip("/"))


def main() -> None:
    cases = make_cases()
    results: list[dict[str, Any]] = []
    with launch_chromium() as browser:
        page = browser.new_page()
        page.route(f"{_ORIGIN}/**", lambda route: _serve(route, cases))
        page.goto(f"{_ORIGIN}/avatar-upload.js")
        for case in cases:
            result = asdict(measure(page, case))
            worst = find_worst_output(result)
            print(f"{case.name:<28}{worst['original']:.4f} {worst['shrunk']:.4f} {worst['name']}", flush=True)
            results.append(result)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    DOCUMENT.write_text(insert_table(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
