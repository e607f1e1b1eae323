"""Our side of the benchmark of cold starts: the handlers accept its events, environments and services."""

from __future__ import annotations

import json
from pathlib import Path

from bench import runs
from bench.cold import ColdBench
from bench.deployed import load_functions
from bench.inputs import Input
from bench.sides import Ours, Peers
from tests.fixtures import pictures


def test_functions_succeed_with_the_events_of_the_benchmark(tmp_path: Path) -> None:
    sharp = tmp_path / "node_modules" / "sharp" / "package.json"
    sharp.parent.mkdir(parents=True)
    sharp.write_text(json.dumps({"version": "0"}))
    photo = Input("photo", tmp_path / "photo.jpg")
    photo.path.write_bytes(pictures.encode(pictures.plain(64, 64), "JPEG"))
    bench = ColdBench(Ours.unpack(tmp_path / "ours"), Peers(tmp_path, "no Node.js"), load_functions(), tmp_path)
    with bench.contests(photo) as contests:
        answers = [json.loads(bench.run_ours(contest).output.splitlines()[-1])["answer"] for contest in contests]
        commands = bench.list_upload_commands(contests[0].environment, times=1)
        others = {name: json.loads(runs.run(*its).output.splitlines()[-1])["answer"] for name, its in commands.items()}
    processed, presigned, authorized = answers
    assert processed == {"batchItemFailures": []}
    assert presigned["statusCode"] == 200
    assert authorized["isAuthorized"]
    statuses = {name: json.loads(others.pop(name)["body"])["status"] for name in list(others) if "body" in others[name]}
    assert statuses == {"finish_upload": "ready", "finish_upload, shrunk": "ready", "upload_status": "pending"}
    assert others == {
        name: {"batchItemFailures": []} for name in ("process_avatar, shrunk", "process_avatar, finished")
    }
