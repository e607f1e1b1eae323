"""Time from the click on "Use this photo" to the new avatar on the screen.

`python -m bench.felt` measures it in Chromium against local stacks, with a phone's network and processor emulated by
the DevTools protocol: <avatar-upload> of this working copy and of an earlier commit, and Uppy with and without its
compressor. It writes felt.json, the rows of results.json that begin with "felt", the table in docs/benchmarks.md, and
with `--film FILE` a film strip. Other load on the machine falsifies the times; the fastest of several uploads counts.

A laptop does not have the latencies of AWS and TLS, and the DevTools protocol does not slow preflights: `model_aws_ms`
adds assumptions.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, CDPSession, Page

from bench import cost, inputs, report, runs
from bench.chromium import launch_chromium
from bench.rows import Row
from bench.sides import Peers
from client.session import Session
from lambda_packages.build import REPOSITORY

RESULTS = Path(__file__).with_name("felt.json")
BEFORE = "1381b22"
"""The commit before photos were shrunk in the browser."""
PHOTO = "12 MP JPEG"
SLOWDOWN = 4
"""Of the main thread. The DevTools protocol does not slow the threads that decode."""
_FOLDER = REPOSITORY / ".build" / "bench"
_ORIGIN_PORT = 5173  # an allowed origin of Pulumi.dev.yaml
_START_SECONDS = 180
_CROP_MS = 1000
"""From the preview to the click."""
_EVENT_SECONDS = 1
"""Of S3, until it sends an event: docs/decisions/0051-finish-an-upload.md. A local stack sends it at once."""
_FRAME_MS = 200
_FRAMES_IN_A_ROW = 16
_GAP = 14  # pixels
DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- felt: begin -->", "<!-- felt: end -->"


@dataclass(frozen=True)
class Line:
    name: str
    up_mbit: float
    down_mbit: float
    round_trip_ms: int


LINES = (Line("fast line", 10, 30, 40), Line("slow line", 1.6, 9, 150))


@dataclass(frozen=True)
class Way:
    """`title` is the peer's name in the results."""

    name: str
    title: str
    compresses: bool | None = None  # None: the element


AFTER = Way("after", "<avatar-upload>")
PEERS = (
    Way("before", f"<avatar-upload> that sends the original, {BEFORE}"),
    Way("Uppy", "Uppy, XHR upload", compresses=False),
    Way("Uppy compressor", "Uppy, XHR upload with compressor", compresses=True),
)


@dataclass(frozen=True)
class Time:
    """One upload, in milliseconds from the click."""

    ready: float
    shown: float
    sent_bytes: int


@dataclass(frozen=True)
class Stack:
    outputs: Mapping[str, Any]

    def sign_in(self) -> str:
        user = self.outputs["users"][0]
        return Session.sign_in(self.outputs, user["username"], user["password"]).access_token

    def delay_events(self) -> None:
        queues = boto3.client("sqs", **self.outputs["operator"])
        delay = {"DelaySeconds": str(_EVENT_SECONDS)}
        queues.set_queue_attributes(QueueUrl=self.outputs["queueUrl"], Attributes=delay)


@contextmanager
def run_stack(folder: Path, port: int) -> Generator[Stack]:
    """Run `make local` of a working copy."""
    outputs = _FOLDER / f"outputs-{port}.json"
    outputs.unlink(missing_ok=True)
    environment = {**os.environ, "ALLOW_UNCOMPILED_PACKAGES": "1"}
    command = [sys.executable, "-m", "local", "--port", str(port), "--outputs", str(outputs)]
    log = (_FOLDER / f"stack-{port}.log").open("w")
    with log, subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while "Ctrl-C" not in Path(log.name).read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the stack in {folder} did not start: see {log.name}")
                time.sleep(0.2)
            stack = Stack(json.loads(outputs.read_text()))
            stack.delay_events()
            yield stack
        finally:
            process.send_signal(signal.SIGINT)


def check_out(commit: str) -> Path:
    """The files of a commit in a folder of their own, with the packages that need not be built again."""
    folder = _FOLDER / commit
    if not folder.exists():
        partial = _FOLDER / f"{commit}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "--extract"], cwd=partial, check=True, input=archive.stdout)
        for platform in ("host", "lambda"):
            if (REPOSITORY / ".build" / platform).exists():
                shutil.copytree(REPOSITORY / ".build" / platform, partial / ".build" / platform)
        partial.rename(folder)
    return folder


class _Site(http.server.BaseHTTPRequestHandler):
    scripts: Mapping[str, Path]

    def do_GET(self) -> None:
        script = self.scripts.get(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html")
        self.end_headers()
        self.wfile.write(script.read_bytes() if script else b"<!doctype html><body style='margin: 0'></body>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Disables the access log."""


@contextmanager
def serve_page(uppy: Path) -> Generator[str]:
    handler = type("Site", (_Site,), {"scripts": {"/uppy.js": uppy}})
    with http.server.ThreadingHTTPServer(("localhost", _ORIGIN_PORT), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{_ORIGIN_PORT}/"
        server.shutdown()


_PREPARE = """() => {
    window.nextFrame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    const { send } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.send = function (content) {
        if (content instanceof FormData) window.sentBytes = content.get("file").size;
        return send.call(this, content);
    };
}"""
_ELEMENT = """async ([script, apiUrl, token]) => {
    await import(script);
    const element = document.createElement("avatar-upload");
    element.apiUrl = apiUrl;
    element.getToken = () => token;
    document.body.append(element);
    window.addEventListener("click", () => (window.clicked = performance.now()), { capture: true });
    window.felt = new Promise((resolve, reject) => {
        element.addEventListener("avatar-error", ({ detail }) => reject(new Error(detail.code)));
        element.addEventListener("avatar-ready", async () => {
            const ready = performance.now();
            while (element.shadowRoot.querySelector("[part=avatar]").hidden) await nextFrame();
            await nextFrame();
            resolve([ready - clicked, performance.now() - clicked]);
        });
    });
}"""
_UPPY = """async ([apiUrl, token, compress]) => {
    const { sendByUppy } = await import("/uppy.js");
    const input = document.createElement("input");
    const button = document.createElement("button");
    const image = new Image(256, 256);
    input.type = "file";
    button.textContent = "Use this photo";
    document.body.append(input, button, image);
    window.felt = new Promise((resolve, reject) => {
        button.addEventListener("click", async () => {
            window.clicked = performance.now();
            try {
                const { manifest } = await sendByUppy(input.files[0], { apiUrl, token, compress });
                const ready = performance.now();
                image.src = manifest.images[0].url;
                await image.decode();
                await nextFrame();
                resolve([ready - clicked, performance.now() - clicked]);
            } catch (error) {
                reject(error);
            }
        });
    });
}"""


class Bench:
    def __init__(self, browser: Browser, url: str, stacks: Mapping[str, Stack], photo: Path) -> None:
        self._browser, self._url, self._stacks, self._photo = browser, url, stacks, photo

    def measure(self, way: Way, line: Line, film: Film | None = None) -> Time:
        stack = self._stacks.get(way.name, self._stacks[AFTER.name])
        token = stack.sign_in()
        context = self._browser.new_context(viewport={"width": 390, "height": 480})
        page = context.new_page()
        session = context.new_cdp_session(page)
        page.goto(self._url)
        page.evaluate(_PREPARE)
        _emulate(session, line)
        self._choose(page, way, stack, token)
        page.wait_for_timeout(_CROP_MS)
        if film:
            film.start(session)
        page.get_by_role("button", name="Use this photo").click()
        ready, shown = page.evaluate("window.felt")
        if film:
            page.wait_for_timeout(_FRAME_MS)
            film.stop(session)
        sent = page.evaluate("window.sentBytes")
        context.close()
        return Time(ready, shown, sent)

    def measure_longest_task(self, way: Way) -> float:
        """Of the main thread, from the choice of the photo to the avatar, in milliseconds on a phone.

        Processor time without emulation, times the slowdown: other load on the machine has little effect on it.
        """
        stack = self._stacks.get(way.name, self._stacks[AFTER.name])
        token = stack.sign_in()
        page = self._browser.new_page()
        page.goto(self._url)
        page.evaluate(_PREPARE)
        self._browser.start_tracing(page=page, categories=["toplevel"])
        self._choose(page, way, stack, token)
        page.get_by_role("button", name="Use this photo").click()
        page.evaluate("window.felt")
        events = json.loads(self._browser.stop_tracing())["traceEvents"]
        page.close()
        main_threads = {
            (event["pid"], event["tid"])
            for event in events
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        tasks = [
            event["tdur"] / 1000
            for event in events
            if event["name"].endswith("RunTask") and "tdur" in event and (event["pid"], event["tid"]) in main_threads
        ]
        return SLOWDOWN * max(tasks)

    def _choose(self, page: Page, way: Way, stack: Stack, token: str) -> None:
        api_url = stack.outputs["apiUrl"]
        if way.compresses is None:
            page.evaluate(_ELEMENT, [stack.outputs["avatarUploadUrl"], api_url, token])
            page.locator("avatar-upload input[type=file]").first.set_input_files(self._photo)
            page.locator("avatar-upload canvas").wait_for()
        else:
            page.evaluate(_UPPY, [api_url, token, way.compresses])
            page.locator("input[type=file]").set_input_files(self._photo)


def _emulate(session: CDPSession, line: Line) -> None:
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": line.round_trip_ms,
            "uploadThroughput": line.up_mbit * 125_000,
            "downloadThroughput": line.down_mbit * 125_000,
        },
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})


class Film:
    """What the screen shows, from just before the click."""

    def __init__(self) -> None:
        self._frames: list[tuple[float, bytes]] = []

    def start(self, session: CDPSession) -> None:
        def keep(event: Mapping[str, Any]) -> None:
            self._frames.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
            session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

        session.on("Page.screencastFrame", keep)
        session.send("Page.startScreencast", {"format": "png", "maxWidth": 195, "maxHeight": 240})

    def stop(self, session: CDPSession) -> None:
        session.send("Page.stopScreencast")

    def frames(self) -> Iterator[Image.Image]:
        """One each 200 ms: the last that had been painted by then."""
        first, last = self._frames[0][0], self._frames[-1][0]
        for number in range(round((last - first) * 1000 / _FRAME_MS) + 2):
            until = first + number * _FRAME_MS / 1000
            data = [data for painted, data in self._frames if painted <= until][-1]
            yield Image.open(BytesIO(data)).convert("RGB")


def draw_strip(films: Mapping[str, Film], path: Path) -> None:
    """Rows of frames with their times, each film below its title."""
    lines: list[tuple[str, list[tuple[int, Image.Image]]]] = []
    for title, film in films.items():
        frames = list(enumerate(film.frames()))
        rows = [frames[start : start + _FRAMES_IN_A_ROW] for start in range(0, len(frames), _FRAMES_IN_A_ROW)]
        lines += zip([title, *[""] * len(rows)], rows, strict=False)
    width, height = lines[0][1][0][1].size
    strip = Image.new("RGB", (_FRAMES_IN_A_ROW * (width + _GAP), len(lines) * (height + 3 * _GAP)), "white")
    draw = ImageDraw.Draw(strip)
    for row, (title, frames) in enumerate(lines):
        top = row * (height + 3 * _GAP)
        draw.text((_GAP, top), title, "black")
        for column, (number, frame) in enumerate(frames):
            draw.text((column * (width + _GAP), top + _GAP), f"{number * _FRAME_MS / 1000:.1f} s", "black")
            strip.paste(frame, (column * (width + _GAP), top + 2 * _GAP))
    path.parent.mkdir(parents=True, exist_ok=True)
    strip.save(path)


API_MS = 10
"""API Gateway and the invocation of a warm function; assumed for each request."""


def model_aws_ms(way: Way, line: Line) -> float:
    """Milliseconds on AWS, warm, that a local stack does not have; docs/benchmarks.md explains them."""
    finish = 2 * API_MS + cost.READ_MS + cost.COUNT_MS + 3 * cost.WRITE_MS  # processing: bench/cost.py
    picture = 2 * cost.READ_MS  # CloudFront and S3
    if way == AFTER:  # has the form and the connection to S3 before the click, and posts without a preflight
        # Slow start, and the preflight of `finish`.
        return (2 * line.round_trip_ms) + cost.WRITE_MS + finish + picture
    form = 3 * API_MS  # with the authorizer, whose response is then cached
    status = 2 * API_MS + cost.READ_MS
    result = status if way.name == "before" else finish
    # Preflights of form, photo and result; TCP, TLS 1.3 and slow start of a new connection.
    return (6 * line.round_trip_ms) + form + cost.WRITE_MS + result + picture


def make_rows(results: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Compare the time to the picture on AWS, as modelled."""
    seconds = {(result["line"], result["way"]): result["modelled_ms"] / 1000 for result in results}
    for line in LINES:
        ours = seconds[line.name, AFTER.name]
        for peer in PEERS:
            theirs = seconds[line.name, peer.name]
            aim = 0.125 if (line.name, peer.name) == ("slow line", "before") else None
            name = f"felt, {line.name}, {peer.name}"
            ratio = ours / theirs
            yield Row(name=name, ours=ours, peer=theirs, peer_name=peer.title, unit="s", ratio=ratio, aim=aim)


def format_table(results: Sequence[Mapping[str, Any]]) -> str:
    titles = {way.name: way.title for way in (AFTER, *PEERS)}
    lines = [
        "| line | way | sent, kB | `ready`, s | picture, s | picture on AWS (model), s | longest task, ms |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        figures = [result[name] / 1000 for name in ("ready_ms", "shown_ms", "modelled_ms")]
        lines.append(
            f"| {result['line']} | {titles[result['way']].replace('<avatar-upload>', '`<avatar-upload>`')} "
            f"| {result['sent_bytes'] / 1000:,.0f} | {' | '.join(f'{figure:.2f}' for figure in figures)} "
            f"| {result['longest_task_ms']:.0f} |"
        )
    return "\n".join(lines)


def insert_table(document: str) -> str:
    begin, end = document.index(BEGIN) + len(BEGIN), document.index(END)
    measured = json.loads(RESULTS.read_text())
    when = f"Measured on {measured['date']}, with a load average of {measured['load_average']} by other work."
    return f"{document[:begin]}\n{format_table(measured['results'])}\n\n{when}\n{document[end:]}"


def _summarize(line: Line, way: Way, times: Sequence[Time], longest_task_ms: float) -> dict[str, Any]:
    """The fastest upload: other load on the machine only adds to the time."""
    best = min(times, key=lambda its: its.shown)
    return {
        "line": line.name,
        "way": way.name,
        "sent_bytes": best.sent_bytes,
        "ready_ms": round(best.ready),
        "shown_ms": round(best.shown),
        "modelled_ms": round(best.shown + model_aws_ms(way, line)),
        "longest_task_ms": round(longest_task_ms),
        "times": [asdict(its) for its in times],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.felt")
    parser.add_argument("--rounds", type=int, default=5, help="uploads of each kind")
    parser.add_argument("--film", type=Path, help="write a film strip of the fast line to this file")
    parser.add_argument("--try", action="store_true", dest="is_trial", help="write no results")
    options = parser.parse_args()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    photo = next(picture.path for picture in inputs.make_inputs(_FOLDER / "inputs") if picture.name == PHOTO)
    uppy = Peers.install(_FOLDER / "peers").bundle_for_browsers("uppy")
    results: list[dict[str, Any]] = []
    with ExitStack() as cleanup:
        stacks = {
            AFTER.name: cleanup.enter_context(run_stack(REPOSITORY, 8530)),
            "before": cleanup.enter_context(run_stack(check_out(BEFORE), 8540)),
        }
        url = cleanup.enter_context(serve_page(uppy))
        bench = Bench(cleanup.enter_context(launch_chromium()), url, stacks, photo)
        tasks = {
            way.name: median(bench.measure_longest_task(way) for _ in range(options.rounds)) for way in (AFTER, *PEERS)
        }
        print(f"longest tasks: {tasks}", flush=True)
        for line in LINES:
            # Interleaved: other load on the machine is the same for all.
            rounds = [{way: bench.measure(way, line) for way in (AFTER, *PEERS)} for _ in range(options.rounds)]
            for way in (AFTER, *PEERS):
                result = _summarize(line, way, [times[way] for times in rounds], tasks[way.name])
                results.append(result)
                print({name: value for name, value in result.items() if name != "times"}, flush=True)
        if options.film:
            films = {way.title: Film() for way in (PEERS[0], AFTER)}
            for way in (PEERS[0], AFTER):
                bench.measure(way, LINES[0], films[way.title])
            draw_strip(films, options.film)
    if not options.is_trial:
        _write(results)


def _write(results: Sequence[Mapping[str, Any]]) -> None:
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    document = {"date": date, "load_average": round(os.getloadavg()[1], 1), "results": results}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    report.replace_felt_rows(list(make_rows(results)), {"date": date, "processor": runs.read_processor_name()})
    DOCUMENT.write_text(insert_table(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
