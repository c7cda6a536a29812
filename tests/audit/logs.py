"""Logs of several segments, written by the ledger itself, with events of chosen times."""

import subprocess
import sys

from gateway.audit import Durability, Ledger, LedgerOptions, Stamp, opened
from gateway.audit.stamp import ulid
from tests.audit.samples import exchange

DAY = 86_400_000
SIZE = 640 * 1024
OPTIONS = LedgerOptions(segment_size=SIZE, reserve=4096, announce=False)


def write(directory, count=1000, *, begin=1_700_000_000_000, step=1000, origin="test/w0", batch=40, options=OPTIONS):
    """`count` events, one each `step` milliseconds, in segments of 640 KiB: about 440 events each."""
    with Ledger.open(directory, origin=origin, options=options) as ledger:
        for number in range(count):
            at = begin + number * step
            event = opened(exchange(request_id=f"req-{number:06d}"), Stamp(at, ulid(at, number)))
            receipt = ledger.append(event, Durability.BEFORE)
            if number % batch == batch - 1:
                receipt.wait(10)
        receipt.wait(10)


def plain(directory):
    """The names of the segments that are plain lines, oldest first, each with its bytes."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("seg-*.jsonl"))}


def seal(directory, *, check=True):
    """Seal what waits, in the process that the gateway uses for it."""
    command = [sys.executable, "-m", "gateway.audit.sealing", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check)
