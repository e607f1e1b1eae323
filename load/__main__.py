"""`make load`: many uploads at once to a local stack whose requests fail and whose workers are killed.

All users post photos as fast as the stack accepts them; the line of uploads becomes as long as it does. Meanwhile
requests of the functions to S3, SNS and SQS are answered with 500 or not at all, before or after their effect, events
of S3 arrive late or twice, and workers are killed with SIGKILL. At the end the rules are checked from outside.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence

import requests

from client.session import ClientError
from lambda_packages.build import PackagingError
from load.checks import check, count_dead_letters, percentile
from load.photos import MAX_UPLOADS
from load.run import Result, Settings, create_config, run
from local.recording.graph import ProgramError
from local.stack import LocalStack

_GC_THRESHOLD = 100_000  # as in local/__main__.py


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 if a rule is violated."""
    settings = _parse_arguments(arguments)
    gc.set_threshold(_GC_THRESHOLD)
    try:
        with LocalStack(create_config()) as stack:
            result = run(stack, settings)
            violations = check(result.evidence)
            print("\n".join(format_table(result)))
    except (ClientError, PackagingError, ProgramError, requests.RequestException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for violation in violations:
        print(f"{violation.rule}: {violation.details}")
    print(f"{len(violations)} violations of {len({violation.rule for violation in violations})} rules")
    return 1 if violations else 0


def _parse_arguments(arguments: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(
        prog="make load USERS= UPLOADS= KILLS= FAILURES=",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=_integer(1, 1000), default=10, help="users (default: %(default)s)")
    parser.add_argument(
        "--uploads", type=_integer(1, MAX_UPLOADS), default=200, help="uploads of all users (default: %(default)s)"
    )
    parser.add_argument(
        "--kills",
        type=_integer(0, 3600),
        default=10,
        metavar="SECONDS",
        help="time between two kills of a worker; 0 kills none (default: %(default)s)",
    )
    parser.add_argument(
        "--failures",
        type=_integer(0, 1_000_000),
        default=50,
        metavar="N",
        help="one in N requests fails; 0 lets none fail (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if options.users > options.uploads:
        parser.error(f"--users {options.users} is more than --uploads {options.uploads}: some would not upload")
    return Settings(options.users, options.uploads, options.kills, options.failures)


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {minimum:,} to {maximum:,}")
        return int(text)

    return parse


def format_table(result: Result) -> list[str]:
    evidence, failures, observer = result.evidence, result.failures, result.evidence.observer
    uploads = evidence.uploads
    photos = sum(upload.is_photo for _, upload in uploads)
    dead = sum(count_dead_letters(evidence.stack).values())
    rows = {
        "uploads": f"{len(uploads):,} by {len(evidence.users)} users, {len(uploads) - photos:,} of them not photos",
        "throughput": f"{len(uploads) / result.seconds:.1f} a second: posted in {result.post_seconds:.0f} s, "
        f"processed in {result.seconds:.0f} s",
        "wait": _format_percentiles(evidence.waits()),
        "  beyond the line": _format_percentiles(evidence.waits_beyond_line()),
        "requests": f"{failures.requests:,} of functions, {failures.failed.total():,} failed: "
        + _format_counts(failures.failed),
        "  retries": f"{failures.retries:,} by botocore",
        "events": f"{failures.events.total():,} failed: " + _format_counts(failures.events),
        "kills": f"{result.kills:,}",
        "deliveries": f"{observer.deliveries:,}, {observer.deliveries - len(observer.received_at):,} of them repeated",
        "dead letters": f"{dead:,}",
        "reads": f"{evidence.reader.reads:,}, {evidence.reader.errors:,} statuses unavailable",
    }
    return [f"{name:<18}{value}" for name, value in rows.items()]


def _format_percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return "   ".join(
        f"{name} {percentile(seconds, percent):.1f} s"
        for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
    )


def _format_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())) or "-"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
