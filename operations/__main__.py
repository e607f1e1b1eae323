"""Operates a stack: `python -m operations --outputs FILE <operation> ...`, with AWS credentials.

FILE contains the stack outputs as JSON: from `pulumi stack output --json`, or `.local/outputs.json` of a local run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from operations.operated_stack import OperatedStack, OperationError
from operations.reprocessing import reprocess


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = _parse(arguments)
    try:
        return options.run(OperatedStack.read(options.outputs), options)
    except (OperationError, ValueError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m operations", description="Operate an avatars stack.")
    parser.add_argument("--outputs", required=True, type=Path, help="stack outputs as JSON")
    operations = parser.add_subparsers(required=True, metavar="operation")
    subject = argparse.ArgumentParser(add_help=False)
    subject.add_argument("subject", help="the user's `sub`")
    upload = argparse.ArgumentParser(add_help=False)
    upload.add_argument("upload_id")

    again = operations.add_parser("reprocess", parents=[subject, upload], help="process an original again")
    again.set_defaults(run=_reprocess)
    return parser.parse_args(arguments)


def _reprocess(stack: OperatedStack, options: argparse.Namespace) -> int:
    reprocess(stack, options.subject, options.upload_id)
    print(f"{options.upload_id} is processed again")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
