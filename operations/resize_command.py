"""`make resize`: says what it would do, and does it with APPLY=1."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

from bench.cost import load_prices
from bench.deployed import REGION
from components.blocks import validation
from functions.shared.output_sizes import STABLE_JPEG_SIZE
from operations.operated_stack import OperatedStack, OperationError
from operations.progress import Progress, format_duration
from operations.resizing import Pace, Resizing, Survey, price


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=_parse_sizes, help="in pixels, such as 256,128 (default: those of the stack)")
    parser.add_argument("--rate", type=_parse_rate, default=20, help="avatars a second (default: %(default)s)")
    parser.add_argument("--apply", action="store_true", help="change them, instead of a dry run")


def run(stack: OperatedStack, options: argparse.Namespace) -> int:
    bucket, configured = stack.get_output("assetsBucket"), stack.outputs.get("sizes")
    sizes: list[int] | None = options.sizes or configured
    if not sizes:
        raise OperationError("the outputs have no sizes: deploy this version first, or give SIZES")
    resizing = Resizing(stack.s3, bucket, sizes)
    survey = _survey(resizing)
    print(_describe(survey, sizes, options.rate))
    failed = survey.failed
    if options.apply:
        failed += _apply(resizing, survey.to_change, options.rate) if survey.to_change else 0
    else:
        print("This was a dry run: nothing has changed. APPLY=1 changes the avatars.")
    if configured and sorted(sizes) != sorted(configured):
        print(f"New uploads get the stack's own sizes, {_join(configured)}: set `sizes`, and run `pulumi up`.")
    return 1 if failed else 0


def _parse_sizes(text: str) -> list[int]:
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = []
    if not validation.SIZES.accepts(sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not {validation.SIZES.allowed}, with commas between them")
    return sizes


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return rate


def _survey(resizing: Resizing) -> Survey:
    progress = Progress(None, sys.stderr)

    def on_read(subject: str, failure: Exception | None) -> None:
        if failure:
            progress.report(_format_failure(subject, failure))
        progress.advance()

    survey = resizing.survey(on_read)
    progress.end()
    return survey


def _describe(survey: Survey, sizes: Sequence[int], rate: float) -> str:
    changes = len(survey.to_change)
    others = changes - survey.to_render
    lines = [
        f"{survey.avatars:,} avatars; {changes:,} have other sizes than {_join(sizes)}",
        f"{survey.images:,} images to make, for {survey.to_render:,} of them; the other {others:,} only lose images",
    ]
    if survey.too_large:
        lines.append(f"{survey.too_large:,} images are not made: they would be larger than {STABLE_JPEG_SIZE} pixels")
    source = load_prices()["s3_put"].source
    lines += [
        f"This survey: {_describe_requests(survey.past_requests)}",
        f"The changes: {_describe_requests(survey.future_requests)}",
        f"List prices in {REGION}: {source}",
        f"At {rate:g} avatars a second, the changes take {format_duration(changes / rate)}",
    ]
    return "\n".join(lines)


def _describe_requests(requests: Mapping[str, int]) -> str:
    return f"{requests['s3_get']:,} GET, {requests['s3_put']:,} PUT and LIST requests, ${price(requests):.4f}"


def _apply(resizing: Resizing, subjects: Sequence[str], rate: float) -> int:
    """Returns how many avatars failed."""
    progress, failed = Progress(len(subjects), sys.stderr), 0
    with closing(resizing.apply(subjects, Pace(rate))) as results:
        for subject, failure in results:
            if failure:
                failed += 1
                progress.report(_format_failure(subject, failure))
            progress.advance()
    progress.end()
    print(f"{len(subjects) - failed:,} avatars have the sizes now, {failed:,} failed" + "; run it again" * bool(failed))
    return failed


def _format_failure(subject: str, failure: Exception) -> str:
    return f"{subject}: {type(failure).__name__}: {failure}"


def _join(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sorted(sizes, reverse=True))
