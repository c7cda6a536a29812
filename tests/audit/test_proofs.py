"""Proofs about one event, and about two checkpoints, from the files of a log."""

import json
import random
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, lifecycle, stamp
from gateway.audit.directory import SegmentFiles
from gateway.audit.proofs import ContradictionError, LogTree, ProofError, newest_checkpoint, prove, prove_continued
from gateway.audit.sealing.pack import pack
from gateway.audit.verifier import Checkpoint, Key, check_consistency, check_proof, is_consistent, root_of_inclusion
from tests.audit.forge import Forger, b64, event, note, split
from tests.audit.test_verifier import go  # noqa: F401  a fixture
from tests.support.processes import PYTHON, ROOT

VERIFIER = ROOT / "gateway" / "audit" / "verifier.py"


class Definition:
    """The tree, the proof and the consistency proof of RFC 6962 §2.1, as they are defined: by recursion."""

    def __init__(self, leaves):
        self.leaves = leaves
        self.head = cache(self._head)

    def _head(self, start, end):
        if end - start == 0:
            return sha256(b"").digest()
        if end - start == 1:
            return self.leaves[start]
        middle = start + split(end - start)
        return sha256(b"\1" + self.head(start, middle) + self.head(middle, end)).digest()

    def path(self, m, start, end):
        if end - start <= 1:
            return []
        middle = start + split(end - start)
        if m < middle:
            return [*self.path(m, start, middle), self.head(middle, end)]
        return [*self.path(m, middle, end), self.head(start, middle)]

    def proof(self, m, start, end, whole=True):
        if m == end - start:
            return [] if whole else [self.head(start, end)]
        k = split(end - start)
        if m <= k:
            return [*self.proof(m, start, start + k, whole), self.head(start + k, end)]
        return [*self.proof(m - k, start + k, end, False), self.head(start, start + k)]


def seal(log, index):
    """The segment as the gateway seals it."""
    files = SegmentFiles(log.directory, log.starts[index])
    with files.lines.with_suffix(".tmp").open("wb") as target:
        packed = pack(files.lines, target)
    sealed = log.seal(index)
    files.lines.with_suffix(".tmp").rename(files.packed)
    assert packed.hashes == files.tree.read_bytes()
    assert sealed["jsonl"] == {"bytes": packed.plain.bytes, "sha256": packed.plain.sha256}


def a_log(directory, segments, sealed=0, pruned=0):
    """A log of segments with these numbers of events; the first ones sealed, and the first of those pruned."""
    log = Forger(directory)
    for count in segments:
        batches, left = [], count
        while left:
            batches.append(min(left, 1 + len(batches) % 5))
            left -= batches[-1]
        log.segment(batches)
    for index in range(sealed):
        seal(log, index)
    for index in range(pruned):
        log.prune(index, len(log.leaves) - 1)
    return log


SMALL = (1, 2, 3, 7, 20, 30, 60, 100, 77)
CROSSING = (250, 3, 1, 10, 36)


@pytest.mark.parametrize(
    ("segments", "sealed", "pruned"),
    [
        pytest.param((300,), 0, 0, id="one segment"),
        pytest.param(SMALL, 0, 0, id="plain segments"),
        pytest.param(SMALL, len(SMALL) - 1, 0, id="sealed segments"),
        pytest.param(CROSSING, 3, 0, id="a block over many segments"),
        pytest.param(SMALL, 6, 5, id="the first 33 events pruned"),
        pytest.param(CROSSING, 3, 3, id="the first 254 events pruned"),
    ],
)
def test_every_event_can_be_proven_in_every_log(tmp_path, segments, sealed, pruned):
    """For each event and each length of the log there is the proof that RFC 6962 defines, also when those
    before it are pruned."""
    log = a_log(tmp_path, segments, sealed, pruned)
    first, size = sum(segments[:pruned]), sum(segments)
    definition, tree = Definition(log.leaves), LogTree(tmp_path)
    for n in range(first + 1, size + 1):
        root = definition.head(0, n)
        assert tree.root(n) == root
        for m in range(first, n):
            path = tree.inclusion(m, n)
            assert path == definition.path(m, 0, n)
            assert root_of_inclusion(log.leaves[m], m, n, path) == root


@pytest.mark.parametrize(("sealed", "pruned"), [(0, 0), (8, 0), (6, 5)], ids=["plain", "sealed", "pruned"])
def test_every_log_continues_what_it_was(tmp_path, sealed, pruned):
    """From each length of the log to each greater one there is the proof that RFC 6962 defines."""
    log = a_log(tmp_path, SMALL, sealed, pruned)
    definition, tree = Definition(log.leaves), LogTree(tmp_path)
    for new in range(sum(SMALL[:pruned]), len(log.leaves) + 1):
        for old in range(sum(SMALL[:pruned]), new + 1):
            path = tree.consistency(old, new)
            assert path == ([] if old == 0 else definition.proof(old, 0, new))
            assert is_consistent(old, definition.head(0, old), new, definition.head(0, new), path)


def test_a_pruned_event_cannot_be_proven(tmp_path):
    """Who asks for an event that is gone is told so; those after it can be proven as before."""
    a_log(tmp_path, (10, 10, 10), 2, 1)
    tree = LogTree(tmp_path)
    with pytest.raises(ProofError, match="pruned"):
        tree.inclusion(9, 30)
    with pytest.raises(ProofError, match="pruned"):
        tree.line(3)
    assert tree.inclusion(10, 30)


def test_a_long_log(tmp_path):
    """A log of a hundred thousand events in real segments: samples of all of it are proven, sealed, pruned and live."""
    with Ledger.open(tmp_path, origin="gw.example/long", options=LedgerOptions(segment_size=8 * 1024**2)) as ledger:
        at = stamp()
        for number in range(100_000):
            receipt = ledger.append(lifecycle("long.test", "x", {"n": number}, at), Durability.BEFORE)
            if number % 5000 == 4999:
                receipt.wait(20)
    lines = [line for path in sorted(tmp_path.glob("seg-*.jsonl")) for line in path.read_bytes().splitlines()]
    events = [line for line in lines if b'"sequence":' in line]
    before = LogTree(tmp_path)
    size = before.size
    assert size == len(events) > 100_000
    definition = Definition([sha256(b"\0" + each).digest() for each in events])
    wanted = [0, 255, 256, 65535, 65536, size - 1, *random.Random(1).sample(range(size), 300)]
    assert before.root(size) == definition.head(0, size)
    for m in wanted:
        assert before.inclusion(m, size) == definition.path(m, 0, size)
        assert before.line(m) == events[m]
    for m in wanted[:40]:
        assert before.consistency(m, size) == ([] if not m else definition.proof(m, 0, size))


def test_go_accepts_what_is_proven(go, tmp_path):  # noqa: F811
    """Go's checksum database code, which is not ours, accepts the proofs of events and of growth."""
    log = a_log(tmp_path, (600,))
    tree, key = LogTree(tmp_path), log.keys[0].vkey
    for index, size in ((0, 600), (255, 599), (256, 511), (598, 600)):
        old, new = note(log.keys[0], log.leaves[: index + 1]), note(log.keys[0], log.leaves[:size])
        question = {
            "key": key,
            "old": old,
            "new": new,
            "index": index,
            "record": tree.line(index).decode(),
            "record_proof": [b64(each) for each in tree.inclusion(index, size)],
            "tree_proof": [b64(each) for each in tree.consistency(index + 1, size)],
        }
        assert go(question) == "ok"


# --- the files ------------------------------------------------------------------------------------------------------


def written(directory, log, sequence, note_text=None):
    tree = LogTree(log.directory)
    (directory / "e.json").write_bytes(tree.line(sequence))
    (directory / "e.tlog-proof").write_text(prove(tree, sequence, note_text or newest_checkpoint(log.directory)))
    return directory / "e.json", directory / "e.tlog-proof"


def run(*arguments):
    return subprocess.run([PYTHON, VERIFIER, *arguments], capture_output=True, text=True)


def test_a_proof_is_checked_without_the_log(tmp_path):
    """The event's line and its proof convince the stand-alone verifier, and an altered line does not."""
    log = a_log(tmp_path / "log", (5, 300, 9), 2)
    event_file, proof_file = written(tmp_path, log, 260)
    done = run("proof", event_file, proof_file, "--key", log.keys[-1].vkey)
    assert (done.returncode, done.stderr) == (0, "")
    event_file.write_bytes(event_file.read_bytes().replace(b'"x"', b'"y"'))
    assert run("proof", event_file, proof_file, "--key", log.keys[-1].vkey).returncode == 1


def test_a_proof_has_the_form_of_the_specification(tmp_path):
    """The first line, the index, one hash a line, an empty line, the checkpoint as it was signed."""
    log = a_log(tmp_path / "log", (4,))
    _, proof_file = written(tmp_path, log, 2)
    first, second, third, fourth, rest = proof_file.read_text().split("\n", 4)
    assert (first, second) == ("c2sp.org/tlog-proof@v1", "index 2")
    assert len(third) == len(fourth) == 44
    assert rest == "\n" + (log.directory / "checkpoint").read_text()


def test_an_older_commit_can_be_proven_against(tmp_path):
    """With the size of a commit, the event is proven in the log of that time, under the key of that time."""
    log = a_log(tmp_path, (6, 9, 9), 2)
    tree = LogTree(tmp_path)
    for size, key in ((6, 0), (15, 1), (16, 2), (18, 2)):
        signed = tree.checkpoint_at(size)
        assert Checkpoint.parse(signed, "it").is_signed_by(Key.parse(log.keys[key].vkey))
        assert tree.signed_by(Checkpoint.parse(signed, "it")) == log.keys[key].vkey
        check_proof(tree.line(2), prove(tree, 2, signed), [Key.parse(log.keys[key].vkey)])
    with pytest.raises(ProofError, match="no commit has the size 3"):  # of a sealed segment the last one is kept
        tree.checkpoint_at(3)


def test_a_size_without_a_commit_is_refused(tmp_path):
    """Who asks for a size that nobody has signed is told which ones there are."""
    a_log(tmp_path, (6,))
    with pytest.raises(ProofError, match="no commit has the size 2") as caught:
        LogTree(tmp_path).checkpoint_at(2)
    assert caught.value.hint == "sizes that have one: 1, 3"


def test_an_event_that_is_not_covered_yet(tmp_path):
    """An event behind the checkpoint is not proven, whatever stands in the file."""
    log = a_log(tmp_path, (6,))
    early = note(log.keys[0], log.leaves[:3])
    with pytest.raises(ProofError, match="newer than the checkpoint"):
        prove(LogTree(tmp_path), 3, early)


def test_files_that_contradict_the_checkpoint(tmp_path):
    """A log whose events are not those of the checkpoint gives no proof, and says where to look."""
    log = a_log(tmp_path, (6,))
    other = [*log.leaves[:-1], b"\0" * 32]
    with pytest.raises(ContradictionError, match="do not give the tree head") as caught:
        prove(LogTree(tmp_path), 3, note(log.keys[0], other))
    assert caught.value.hint == "gateway audit verify finds where they differ"


def test_two_checkpoints(tmp_path):
    """The newer of two checkpoints is shown to continue the older, or that it does not."""
    log = a_log(tmp_path, (6, 30), 1)
    key = log.keys[0]
    old, new = (Checkpoint.parse(note(key, log.leaves[:size]), "it") for size in (5, 36))
    path = prove_continued(LogTree(tmp_path), old, new)
    check_consistency(old, new, path, [Key.parse(key.vkey)])
    changed = Checkpoint.parse(note(key, [b"\0" * 32, *log.leaves[1:5]]), "it")
    with pytest.raises(ContradictionError, match="first 5 events are not those"):
        prove_continued(LogTree(tmp_path), changed, new)
    ahead = Checkpoint.parse(note(key, [*log.leaves, b"\0" * 32]), "it")
    with pytest.raises(ContradictionError, match="has 36 events, and a checkpoint of it was signed for 37"):
        prove_continued(LogTree(tmp_path), old, ahead)


def test_what_comes_is_taken_up(tmp_path):
    """An open tree reads on: new events, a new segment, a segment that has been sealed, and never half a batch."""
    log = a_log(tmp_path, (6,))
    tree = LogTree(tmp_path)
    with log.plain(0).open("ab") as file:
        file.write(event(6))
    tree.refresh()
    assert tree.size == 6
    with log.plain(0).open("ab") as file:  # and what a crash leaves there
        file.write(b"\0" * 5000 + b"\n" + event(7))
    tree.refresh()
    assert (tree.size, LogTree(tmp_path).size) == (6, 6)
    with log.plain(0).open("r+b") as file:  # taken back: nobody had signed for it
        file.truncate(log.plain(0).stat().st_size - len(event(6)) - 5001 - len(event(7)))
    log.segment([3])
    tree.refresh()
    assert (tree.size, tree.root(9)) == (9, Definition(log.leaves).head(0, 9))
    seal(log, 0)
    tree.refresh()
    assert tree.inclusion(2, 9) == Definition(log.leaves).path(2, 0, 9)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda log: log.named(0, ".tree").write_bytes(b"x" * 31), "does not hold the subtrees"),
        (lambda log: log.named(0, ".seal").write_text("{}"), "the seal cannot be read"),
        (lambda log: log.plain(1).write_bytes(b"nonsense\n"), "not a header"),
    ],
    ids=["tree", "seal", "header"],
)
def test_a_damaged_file_is_named(tmp_path, damage, message):
    """Files that are not what they should be end in a message with their place, and in no proof."""
    log = a_log(tmp_path, (600, 5), 1)
    damage(log)
    with pytest.raises(Exception, match=message):
        LogTree(tmp_path).inclusion(1, 605)


def test_a_tree_file_that_is_gone_is_not_needed(tmp_path):
    """What the tree file holds can be made of the events."""
    log = a_log(tmp_path, (600, 5), 1)
    log.named(0, ".tree").unlink()
    assert LogTree(tmp_path).inclusion(1, 605) == Definition(log.leaves).path(1, 0, 605)


def test_no_log(tmp_path):
    """A directory without a log is refused."""
    with pytest.raises(ProofError, match="no log"):
        LogTree(Path(tmp_path))


def test_the_line_is_the_one_of_the_file(tmp_path):
    """The line of an event is given byte for byte, sealed or not."""
    log = a_log(tmp_path, (300, 5), 0)
    plain = [LogTree(tmp_path).line(each) for each in (0, 255, 256, 299)]
    open_before = LogTree(tmp_path)
    seal(log, 0)
    sealed = LogTree(tmp_path)
    assert json.loads(sealed.line(299))["metadata"]["sequence"] == 299
    assert [sealed.line(each) for each in (0, 255, 256, 299)] == plain
    assert open_before.line(255) == plain[1]
