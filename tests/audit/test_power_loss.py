"""What the disk may hold after the power went: four hundred images, no acknowledged event lost or doubled."""

import json
import random
import shutil

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from tests.audit.reading import events
from tests.audit.samples import exchange

IMAGES = 400
PAGE = 4096
OPTIONS = LedgerOptions(segment_size=256 * 1024, reserve=4096)


def ids(directory):
    return [each["metadata"]["uid"] for each in events(directory)]


def appended(ledger, count):
    """One commit: so many events that are written together."""
    receipts = [ledger.append(opened(exchange(), stamp()), Durability.ASYNC) for _ in range(count)]
    receipts[-1].wait(5)
    return [receipt.event.body for receipt in receipts]


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Logs that were copied while they were open: what was durable, and the batch after it that may be torn."""
    made = []
    chooser = random.Random(3)
    for number in range(8):
        directory = tmp_path_factory.mktemp(f"life{number}") / "log"
        with Ledger.open(directory, origin="o", options=OPTIONS) as ledger:
            for _ in range(chooser.randint(1, 12)):
                appended(ledger, chooser.randint(1, 9))
            durable = directory.parent / "durable"
            shutil.copytree(directory, durable)
            appended(ledger, chooser.randint(1, 30))
            later = directory.parent / "later"
            shutil.copytree(directory, later)
        made.append((durable, later))
    return made


def cut(tail, chooser):
    return tail[: chooser.randint(0, len(tail))]


def zeros(tail, chooser):
    at = chooser.randint(0, len(tail))
    return tail[:at] + b"\0" * (len(tail) - at)


def garbage(tail, chooser):
    at = chooser.randint(0, len(tail))
    return tail[:at] + chooser.randbytes(len(tail) - at)


def holes(tail, chooser):
    """Pages reach the disk in any order: some of them never."""
    pages = [tail[at : at + PAGE] for at in range(0, len(tail), PAGE)]
    return b"".join(page if chooser.random() < 0.5 else b"\0" * len(page) for page in pages)


def only_the_end(tail, chooser):
    """The last page came through, with the commit in it, and nothing before it."""
    kept = min(len(tail), chooser.randint(1, PAGE))
    return b"\0" * (len(tail) - kept) + tail[-kept:]


def nothing(tail, chooser):
    return b""


def a_flipped_bit(tail, chooser):
    data = bytearray(tail)
    data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
    return bytes(data)


KINDS = [cut, zeros, garbage, holes, only_the_end, nothing, a_flipped_bit]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_no_acknowledged_event_is_lost_whatever_the_power_cut_leaves(lives, tmp_path, kind):
    """After a power cut the log holds every acknowledged event once, in order, and of the last batch all or nothing."""
    chooser = random.Random(kind.__name__)
    for number in range(IMAGES // len(KINDS) + 1):
        durable, later = chooser.choice(lives)
        image = tmp_path / str(number)
        shutil.copytree(durable, image)
        path = max(image.glob("seg-*.jsonl"))
        before, whole = path.read_bytes(), (later / path.name).read_bytes()
        path.write_bytes(before + kind(whole[len(before) :], chooser))
        if chooser.random() < 0.5:  # the checkpoint need not have reached the disk
            (image / "checkpoint").unlink(missing_ok=True)
        acknowledged, complete = ids(durable), ids(later)
        Ledger.open(image, origin="o", options=OPTIONS).close()
        found = ids(image)
        assert len(found) == len(set(found))
        assert found[: len(acknowledged)] == acknowledged
        kept = [uid for uid in complete[len(acknowledged) :] if uid in found]
        assert kept in ([], complete[len(acknowledged) :])
        last = [line for line in path.read_bytes().splitlines() if line.startswith(b'{"cp":')][-1]
        assert json.loads(last)["cp"] == len(found)
        shutil.rmtree(image)
