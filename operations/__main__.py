"""Operates a stack: `python -m operations --outputs FILE <operation> ...`, with AWS credentials.

FILE contains the stack outputs as JSON: from `pulumi stack output --json`, or `.local/outputs.json` of a local run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.moderation_decision import Decision
from operations import log_reading, migrating, quota, redelivery, resize_command, restoring, status
from operations.blocking import block, take_down, unblock
from operations.erasure import erase
from operations.moderation import decide, list_held
from operations.operated_stack import OperatedStack, OperationError
from operations.reprocessing import reprocess

_SWEEP_SECONDS = 900  # the timeout of sweep_avatars


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = _parse(arguments)
    try:
        return options.run(OperatedStack.read(options.outputs), options)
    except (OperationError, ValueError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m operations", description="Operate an avatars stack.")
    parser.add_argument("--outputs", required=True, type=Path, help="stack outputs as JSON")
    operations = parser.add_subparsers(required=True, metavar="operation")
    subject = argparse.ArgumentParser(add_help=False)
    subject.add_argument("subject", help="the user's `sub`")
    upload = argparse.ArgumentParser(add_help=False)
    upload.add_argument("upload_id")

    blocking = operations.add_parser("block", parents=[subject], help="reject what a user uploads")
    blocking.add_argument("days", type=int)
    blocking.set_defaults(run=_block)
    operations.add_parser("unblock", parents=[subject], help="end the block of a user").set_defaults(run=_unblock)
    takedown = operations.add_parser("takedown", parents=[subject], help="delete the avatar of a user")
    takedown.add_argument("--block", type=int, metavar="DAYS", help="also reject what the user uploads")
    takedown.set_defaults(run=_take_down)
    operations.add_parser("erase", parents=[subject], help="delete everything of a user").set_defaults(run=_erase)
    again = operations.add_parser("reprocess", parents=[subject, upload], help="process an original again")
    again.set_defaults(run=_reprocess)
    held = operations.add_parser("held", help="list the uploads that wait for a decision")
    held.set_defaults(run=_print_held)
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument("upload", help="as `held` lists it, with the digits of the file")
    approve = operations.add_parser("approve", parents=[subject, file], help="publish a held upload")
    approve.set_defaults(run=_decide, verdict="approve", reason=None)
    reject = operations.add_parser("reject", parents=[subject, file], help="reject a held upload")
    reject.add_argument("--reason", help="for the team, in the event and the log")
    reject.set_defaults(run=_decide, verdict="reject")

    its_status = operations.add_parser("status", help="what waits, what has failed, and since when")
    its_status.add_argument("--subject", help="with --upload: what has become of this upload")
    its_status.add_argument("--upload", metavar="UPLOAD_ID")
    its_status.set_defaults(run=status.run)
    logs = operations.add_parser("logs", help="print the logs of functions")
    log_reading.add_arguments(logs)
    logs.set_defaults(run=log_reading.run)
    applying = argparse.ArgumentParser(add_help=False)
    applying.add_argument("--apply", action="store_true", help="do it, instead of a dry run")
    redrive = operations.add_parser("redrive", parents=[applying], help="process again what has failed")
    redrive.set_defaults(run=redelivery.redrive)
    republish = operations.add_parser("republish", parents=[applying], help="publish undelivered events again")
    republish.set_defaults(run=redelivery.republish)
    discard = operations.add_parser("discard", help="delete a message of the dead-letter queue that is no S3 event")
    discard.add_argument("message", help="its ID, as `status` and `redrive` name it")
    discard.set_defaults(run=redelivery.discard)
    its_quota = operations.add_parser("quota", parents=[subject], help="count the uploads of a user in this hour")
    its_quota.add_argument("--reset", action="store_true", help="and begin the hour anew")
    its_quota.set_defaults(run=_print_quota)
    restore = operations.add_parser("restore", parents=[subject, applying], help="restore a former avatar of a user")
    restore.add_argument("--version", help="as it is listed without")
    restore.add_argument("--deleted", action="store_true", help="although the avatar was deleted since")
    restore.set_defaults(run=restoring.run)
    revision = operations.add_parser("revision", parents=[applying], help="say and change the revision of the database")
    revision.add_argument("--target", help="head, -1 or a revision")
    revision.set_defaults(run=migrating.run)
    operations.add_parser("sweep", help="delete superseded images now").set_defaults(run=_sweep)

    other_sizes = operations.add_parser("resize", help="bring existing avatars to other sizes")
    resize_command.add_arguments(other_sizes)
    other_sizes.set_defaults(run=resize_command.run)
    return parser.parse_args(arguments)


def _block(stack: OperatedStack, options: argparse.Namespace) -> int:
    _print_block(options.subject, block(stack, options.subject, options.days))
    return 0


def _unblock(stack: OperatedStack, options: argparse.Namespace) -> int:
    end = unblock(stack, options.subject)
    print(
        f"{options.subject} was blocked until {end:%Y-%m-%d %H:%M} UTC" if end else f"{options.subject} was not blocked"
    )
    return 0


def _take_down(stack: OperatedStack, options: argparse.Namespace) -> int:
    end = take_down(stack, options.subject, options.block)
    print(f"{options.subject} has no avatar; copies at the CDN's edges are removed within minutes")
    if end:
        _print_block(options.subject, end)
    return 0


def _print_block(subject: str, end: datetime) -> None:
    print(f"uploads of {subject} are rejected until {end:%Y-%m-%d %H:%M} UTC")


def _erase(stack: OperatedStack, options: argparse.Namespace) -> int:
    """Returns 1 if something is left that does not end by itself."""
    report = erase(stack, options.subject)
    removed, remaining = report["removed"], report["remaining"]
    print(f"Removed of {options.subject}:")
    print(f"  {removed['objects']} object versions")
    print(f"  {removed['limits']} counted hours of uploads")
    print(f"  {'the' if removed['profile'] else 'no'} profile, {removed['handles']} former handles")
    print("Remaining:")
    for its in remaining:
        print(f"  {its['what']}, until {its['until']}" if "until" in its else f"  {its['what']}: {its['why']}")
    return int(any("why" in its for its in remaining))


def _reprocess(stack: OperatedStack, options: argparse.Namespace) -> int:
    reprocess(stack, options.subject, options.upload_id)
    print(f"{options.upload_id} is processed again")
    return 0


def _print_quota(stack: OperatedStack, options: argparse.Namespace) -> int:
    count = quota.count_uploads(stack, options.subject)
    print(f"counted uploads of {options.subject} in this hour (UTC): {count}")
    if options.reset:
        quota.reset(stack, options.subject)
        print("the hour begins anew")
    return 0


def _sweep(stack: OperatedStack, _options: argparse.Namespace) -> int:
    swept = stack.invoke(stack.functions["sweep_avatars"], {}, _SWEEP_SECONDS)
    print(f"{swept['subjects']:,} users, {swept['deleted']:,} objects deleted")
    if not swept["is_complete"]:
        print("the time did not suffice for all users: run it again")
    return 0


def _print_held(stack: OperatedStack, _options: argparse.Namespace) -> int:
    uploads = list(list_held(stack))
    for held in uploads:
        note = " (superseded by a newer upload)" if held.is_superseded else ""
        print(f"SUBJECT={held.subject} UPLOAD={held.name} since {held.since}{note}")
        print(f"  reason: {held.reason or '-'}\n  {held.url}")
    print(f"{len(uploads)} held" if uploads else "nothing is held")
    return 0


def _decide(stack: OperatedStack, options: argparse.Namespace) -> int:
    decision = Decision(options.verdict, options.reason or None)
    if decide(stack, options.subject, options.upload, decision):
        print(f"no effect: a newer upload of {options.subject} is published; {options.upload} is deleted")
    else:
        print(f"{options.upload} is {'published' if options.verdict == 'approve' else 'rejected'} within seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
