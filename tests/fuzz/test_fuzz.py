"""A short campaign, the inputs, and the detection of crashes, hangs, errors, and expensive files."""

import random
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.process_avatar.imaging import renderer
from functions.process_avatar.imaging.render_process import MEMORY_BYTES, RenderProcess
from fuzz import worker
from fuzz.__main__ import divide, format_worst
from fuzz.campaign import Campaign
from fuzz.costs import Cost, Ranking
from fuzz.floods import FLOODS, MAX_BYTES, generate_flood
from fuzz.inputs import BRED, FLOOD, MUTATED, STRUCTURED, breed, generate_structured, mutate
from tests.fixtures import pictures
from tests.fixtures.gallery import FIXTURES


@pytest.mark.timeout(600)
def test_short_campaign_has_no_findings(tmp_path: Path) -> None:
    campaign = Campaign(7, tmp_path)
    outcomes = campaign.run({MUTATED: 200, STRUCTURED: 50, FLOOD: 40, BRED: 40})
    assert campaign.findings == []
    assert 320 <= outcomes.total() <= 330
    assert {"rendered", "truncated", "too_many_pixels"} <= {outcome for _, outcome in outcomes}
    for measure, (cost, file) in campaign.worst.items():
        assert file.parent == tmp_path
        assert file.name.startswith(f"worst-{measure}-")
        assert cost.size == file.stat().st_size
    assert campaign.worst["cpu"][0].cpu_seconds > 0.01
    assert campaign.worst["memory"][0].memory_bytes > 1_000_000


def test_divide_has_every_kind_and_the_exact_total() -> None:
    assert divide(1001) == {STRUCTURED: 250, FLOOD: 50, BRED: 100, MUTATED: 601}


# --- Inputs -----------------------------------------------------------------------------------------------------------


def test_inputs_same_seed_are_equal() -> None:
    assert mutate(3, 20) == mutate(3, 20) != mutate(3, 21)
    assert list(generate_structured(1, 5)) == list(generate_structured(1, 5))


def test_bred_input_same_seed_and_parents_is_equal(tmp_path: Path) -> None:
    for name in ("JPEG", "PNG"):
        (tmp_path / name).write_bytes(FIXTURES[name].file())
    parents = sorted(tmp_path.iterdir())
    assert breed(3, 20, parents) == breed(3, 20, parents) != breed(3, 21, parents)
    assert breed(3, 20, parents) != breed(3, 20, parents[1:])


def test_bred_inputs_are_at_most_the_size_of_an_upload(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(FIXTURES["JPEG"].file().ljust(MAX_BYTES, b"\0"))
    sizes = [len(breed(number, 1, [tmp_path / "large"])) for number in range(20)]
    assert max(sizes) == MAX_BYTES


@pytest.mark.parametrize("name", FLOODS)
def test_flood_same_seed_is_equal_and_within_upload_size(name: str) -> None:
    number = list(FLOODS).index(name)
    data = generate_flood(number, 5)
    assert data == generate_flood(number, 5)
    assert 1024 <= len(data) <= MAX_BYTES


@pytest.mark.parametrize("name", [name for name in FLOODS if "nested" not in name and "between pixels" not in name])
def test_flood_adds_exactly_the_copies_of_the_segment(name: str) -> None:
    flood = FLOODS[name]
    segment = flood.segment(random.Random(1))
    data, empty = flood.insert(segment, 1000), flood.insert(segment, 0)
    assert segment * 1000 in data
    assert len(data) == len(empty) + 1000 * len(segment)


def test_flood_between_pixels_has_exactly_the_copies() -> None:
    chunk = pictures.png_chunk(b"teSt", b"")
    assert FLOODS["PNG, chunks between pixels"].insert(chunk, 1000).count(chunk) == 1000


@pytest.mark.parametrize("name", ["AVIF, nested boxes", "HEIC, nested boxes"])
def test_flood_of_nested_boxes_is_as_deep_as_its_count(name: str) -> None:
    data = FLOODS[name].insert(b"trak", 1000)
    at = int.from_bytes(data[:4])
    sizes = [int.from_bytes(data[at + 8 * depth :][:4]) for depth in range(1000)]
    assert data[at + 4 : at + 8000 : 8] == b"t" * 1000
    assert sizes == [8 * (1000 - depth) for depth in range(1000)]


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("JPEG, tables", pictures.jpeg_segment(0xDD, b"\0\0")),
        ("JPEG, metadata", pictures.jpeg_segment(0xEF, b"")),
        ("JPEG, markers", b"\xff\1"),
        ("JPEG, markers between scans", b"\xff\1"),
        ("PNG, chunks", pictures.png_chunk(b"teSt", b"")),
        ("PNG, chunks after the pixels", pictures.png_chunk(b"IDAT", b"")),
        ("PNG, chunks between pixels", pictures.png_chunk(b"IDAT", b"")),
        ("GIF, extensions", b"!\xfe\1A\0"),
        ("GIF, blocks", b"\1A"),
        ("GIF, frames", b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"),
        ("GIF, frames after the first", b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"),
        ("WebP, chunks", b"teSt\0\0\0\0"),
        ("WebP, chunks of an animation", b"teSt\0\0\0\0"),
        *((f"{name}, {kind}", b"\0\0\0\x08free") for name in ("AVIF", "HEIC") for kind in ("boxes", "properties")),
        *((f"{name}, nested boxes", b"free") for name in ("AVIF", "HEIC")),
        ("HEIC, references", b"\0\0\0\x0eprem\0\1\0\1\0\2"),
        ("AVIF, references", b"\0\0\0\x0eprem\0\1\0\1\0\2"),
    ],
)
def test_flood_of_few_segments_is_rendered(name: str, segment: bytes) -> None:
    """A decoder reaches the segments: the file around them is valid."""
    data = FLOODS[name].insert(segment, 3)
    assert renderer.render(data, sizes=(16,), max_pixels=10**6).source.bytes == len(data)


# --- Costs ------------------------------------------------------------------------------------------------------------


def test_ranking_keeps_two_of_each_format_by_each_measure() -> None:
    ranking = Ranking[str]()
    for number, (cpu, memory, size) in enumerate([(1, 9, 10**6), (2, 8, 10**6), (3, 7, 10**6), (0.9, 6, 10)]):
        ranking.add(Cost("png", size, cpu, memory), str(number))
    assert sorted(ranking.list_files()) == ["0", "1", "2", "3"]
    ranking.add(Cost("gif", 10, 0, 0), "gif")
    assert "gif" in ranking.list_files()
    worst = {measure: file for measure, (_, file) in ranking.worst().items()}
    assert worst == {"cpu": "2", "memory": "0", "cpu-for-size": "3", "memory-for-size": "3"}
    assert not ranking.has_place(Cost("png", 10**6, 2, 8))
    assert ranking.has_place(Cost("png", 10**6, 2.1, 0))


def test_ranking_same_file_again_takes_no_second_place() -> None:
    ranking = Ranking[str]()
    ranking.add(Cost("png", 10, 1, 1), "first")
    ranking.add(Cost("png", 10, 9, 9), "second")
    ranking.add(Cost("png", 10, 8, 8), "second")
    assert ranking.list_files() == ["second", "first"]


def test_format_worst_names_costs_and_file() -> None:
    cost = Cost("jpeg", 1_234_567, 3.4564, 300 * 2**20)
    header, row = format_worst({"cpu": (cost, Path("worst-cpu-1"))}).splitlines()
    assert header.split() == ["worst", "format", "bytes", "CPU", "ms", "MiB", "file"]
    assert row.split() == ["cpu", "jpeg", "1,234,567", "3,456", "300", "worst-cpu-1"]


EXPENSIVE_DECODER = """
import signal, time
from PIL import Image

def open_image(file, name):
    code = file.read().partition(b"#")[2]
    exec(code, {})
    return Image.new("RGB", (20, 10))

def register_heif_opener(**_options):
    Image.register_open("HEIF", open_image)
"""


def _heic_that_executes(code: str) -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic#\n" + code.encode()


StartEngine = Callable[..., worker.Engine]


@pytest.fixture
def start_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartEngine]:
    """Start an engine whose HEIC decoder executes the file."""
    (tmp_path / "pillow_heif.py").write_text(EXPENSIVE_DECODER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(worker, "warm_up_files", lambda: [_heic_that_executes("pass")])
    processes: list[RenderProcess] = []

    def start(**limits: Any) -> worker.Engine:
        processes.append(RenderProcess(**{"timeout_seconds": 60, **limits}))
        return worker.Engine(processes[-1])

    yield start
    for process in processes:
        process.close()


def test_engine_measures_cpu_time_and_memory(start_engine: StartEngine) -> None:
    engine = start_engine()
    loop = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    outcome, cost = engine.render(_heic_that_executes(loop), None)
    assert outcome == ("rendered", None)
    assert 0.3 <= cost.cpu_seconds < 2
    outcome, cost = engine.render(_heic_that_executes("bytes(range(250)) * 400_000"), None)
    assert outcome == ("rendered", None)
    assert 95_000_000 <= cost.memory_bytes < 150_000_000


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("while True: pass", "CPU limit"),
        (f"bytes({MEMORY_BYTES})", "memory limit"),
        ("import os; os.abort()", "decoder crash"),
        ("raise AttributeError", "error"),
        ("import time; time.sleep(60)", "hang"),
    ],
)
def test_engine_input_over_a_limit_is_finding(code: str, kind: str, start_engine: StartEngine) -> None:
    engine = start_engine(cpu_seconds=1, timeout_seconds=5 if kind == "hang" else 60)
    outcome, cost = engine.render(_heic_that_executes(code), None)
    assert outcome.kind == kind
    assert outcome.details
    assert (cost.cpu_seconds > 0.5) == (kind == "CPU limit")
    outcome, cost = engine.render(_heic_that_executes("pass"), None)
    assert outcome == ("rendered", None)
    assert cost.cpu_seconds < 0.2, "includes the start of the process"


def test_measure_memory_does_not_reuse_freed_memory() -> None:
    image = pictures.webp_of_one_color(1000, 1000)
    renderer.render(image, sizes=worker.SIZES, max_pixels=worker.MAX_PIXELS)  # imports what it needs
    first = worker.measure_memory(image, None)
    blocks = [b"x" * 100_000 for _ in range(500)]
    del blocks[:-1]  # the last one keeps the others from being returned to the system
    assert first > 10_000_000
    # Within some megabytes, as the kernel also counts and reclaims pages of this process between the forks.
    assert worker.measure_memory(image, None) == pytest.approx(first, rel=0.5)
    assert abs(worker.measure_memory(b"", None)) < first / 2


# --- Campaigns --------------------------------------------------------------------------------------------------------

WORKER = """
import json, os, pathlib, sys, time
kind, seed, start, stop, current, parents = sys.argv[1:]
for number in range(int(start), int(stop)):
    data = b"input %d" % number
    pathlib.Path(current).write_bytes(data)
    if number == 2:
        os.abort()
    if number == 4:
        time.sleep(60)
    is_finding = number == 5
    if is_finding:
        pathlib.Path(current).with_name("5").write_bytes(data)
    print(json.dumps({
        "number": number, "is_kept": is_finding, "cost": ["png", 7, 0.1, 5],
        "kind": "CPU limit" if is_finding else "rendered", "details": "4 seconds" if is_finding else None,
    }), flush=True)
"""

# Costs grow with the number of X. Breeding adds one to a parent.
BREEDING_WORKER = """
import json, pathlib, sys
kind, seed, start, stop, current, parents = sys.argv[1:]
worst = max((file.read_bytes() for file in pathlib.Path(parents).iterdir()), key=len, default=b"")
for number in range(int(start), int(stop)):
    data = worst + b"X" if kind == "bred" and number % 100 == 7 else b"X" if number == 3 else b""
    pathlib.Path(current).with_name(str(number)).write_bytes(data)
    print(json.dumps({
        "number": number, "is_kept": True, "cost": ["png", 7, len(data) / 10, len(data)],
        "kind": "rendered", "details": None,
    }), flush=True)
"""


def _start_campaign(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    (tmp_path / "stub_worker.py").write_text(textwrap.dedent(code))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Campaign(1, tmp_path / "findings", worker="stub_worker", hang_seconds=2)


def test_worker_crash_hang_or_finding_saves_input_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = _start_campaign(WORKER, tmp_path, monkeypatch)
    assert campaign.run({MUTATED: 8}) == Counter({("png", "rendered"): 5, ("png", "CPU limit"): 1})
    found = [(finding.kind, finding.saved_as.read_bytes()) for finding in campaign.findings]
    assert found == [("crash", b"input 2"), ("hang", b"input 4"), ("CPU limit", b"input 5")]


def test_breeding_continues_from_the_worst_of_each_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = _start_campaign(BREEDING_WORKER, tmp_path, monkeypatch)
    assert campaign.run({MUTATED: 10, BRED: 600}).total() == 610
    cost, file = campaign.worst["cpu"]
    assert cost.cpu_seconds == 0.4
    assert file.read_bytes() == b"XXXX", "one from the mutated inputs, and one from each of three generations"


def test_campaign_deletes_files_without_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = _start_campaign(BREEDING_WORKER, tmp_path, monkeypatch)
    kept: list[str] = []
    monkeypatch.setattr(
        campaign, "_save_worst", lambda: kept.extend(file.read_text() for file in vars(campaign)["_ranked"].iterdir())
    )
    campaign.run({MUTATED: 10, BRED: 600})
    assert sorted(kept) == ["XXX", "XXXX"]
