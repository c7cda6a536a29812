"""What an attacker may do to a log, and what the verifier says of it: also where it can say nothing."""

import base64
import json
import shutil
from random import Random

import pytest

from gateway.audit import verifier
from gateway.audit.verifier import (
    BAD_CHECKPOINT,
    BAD_HEADER,
    BAD_SEAL,
    BAD_TREE_FILE,
    CHANGED,
    CONTRADICTED,
    CUT,
    KEY_NOT_VOUCHED,
    MISSING,
    NOT_ANNOUNCED,
    NOT_COMMITTED,
    NOT_CONTINUED,
    NOT_SIGNED,
    OTHER_FIRST_KEY,
    OUT_OF_SEQUENCE,
    TWICE,
    UNKNOWN_LINE,
    UNREADABLE,
)
from tests.audit import forge
from tests.audit.forge import Forger, Key, commit, event, header, leaf, note


@pytest.fixture
def log(tmp_path):
    """Three segments of 5, 8 and 6 events, one of them sealed; the last one is live."""
    forger = Forger(tmp_path / "log").segment([2, 3]).segment([4, 1, 3]).segment([1, 3, 2])
    forger.seal(0)
    return forger


def verify(log, *, key=True, **options):
    keys = [verifier.Key.parse(log.keys[0].vkey)] if key else []
    return verifier.verify_log(log.directory, keys=keys, **options)


def ids(log, **options):
    return sorted({finding.id for finding in verify(log, **options).findings})


def edit(path, change):
    """Give the lines of a file to a function, which changes the list."""
    path.chmod(0o600)
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("every_commit", [False, True])
def test_an_honest_log_has_no_findings(log, tmp_path, every_commit):
    """Nothing is found in a log as the gateway writes it; what is in it is told."""
    anchor = log.anchor(tmp_path / "anchor", 9)
    found = verify(log, anchors=verifier.read_anchors([anchor]), every_commit=every_commit)
    assert found.findings == ()
    assert (found.size, found.segments, found.pinned, found.anchors) == (19, 3, True, 1)
    assert found.origin == log.origin
    assert found.first_vkey == log.keys[0].vkey
    assert found.vkeys == tuple((start, key.vkey) for start, key in zip(log.starts, log.keys, strict=True))
    assert found.times == (1790000000000, 1790000000018)


# ---- lines of a segment: header, commit 5, events 5 6 7 8, commit 9, event 9, commit 10, events 10 11 12, commit 13


def swap(lines):
    lines[2], lines[3] = lines[3], lines[2]


def edit_event(lines):
    lines[4] = lines[4].replace(b'"x"', b'"y"')


def edit_single(lines):
    lines[7] = lines[7].replace(b'"x"', b'"y"')


def put(at, line):
    def change(lines):
        lines.insert(at, line if line is not None else lines[at])

    return change


def cut(*places):
    def change(lines):
        for at in sorted(places, reverse=True):
            del lines[at]

    return change


def replace(at, old, new):
    def change(lines):
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new)

    return change


def renumbered(lines):
    """An event is deleted, and all after it are given new numbers, as are the commits."""
    del lines[3]
    for at, line in enumerate(lines[3:], 3):
        body = json.loads(line)
        if "cp" in body:
            body["cp"] -= 1
        else:
            body["metadata"]["sequence"] -= 1
        lines[at] = json.dumps(body, separators=(",", ":")).encode() + b"\n"


LINES = [
    ("an event is edited", edit_event, CHANGED, 3),  # one of a batch of four: lines 3 to 6
    ("the only event of a commit is edited", edit_single, CHANGED, 8),
    ("an event is deleted", cut(3), OUT_OF_SEQUENCE, 4),
    ("the last event of a batch is deleted", cut(5), OUT_OF_SEQUENCE, 6),
    ("two events change places", swap, OUT_OF_SEQUENCE, 3),
    ("an event is repeated", put(3, None), OUT_OF_SEQUENCE, 5),
    ("an event with a sequence of its own is inserted", put(4, event(7)), OUT_OF_SEQUENCE, 6),
    ("an event is deleted and the others are renumbered", renumbered, NOT_SIGNED, 6),
    ("a line of another kind is inserted", put(4, b'{"note":"nothing to see"}\n'), UNKNOWN_LINE, 5),
    ("an empty line is inserted", put(4, b"\n"), UNKNOWN_LINE, 5),
    ("a line too long for any event", put(4, b"x" * 3_000_000 + b"\n"), UNKNOWN_LINE, 5),
    ("a space in front of an event", replace(4, b"{", b" {"), UNKNOWN_LINE, 5),
    ("a commit is repeated", put(6, None), UNKNOWN_LINE, 8),
    ("the root of the last commit has another form", replace(12, b'"root":"', b'"root":"AAAA'), UNKNOWN_LINE, 13),
    ("the size of the last commit is edited", replace(12, b'"cp":13', b'"cp":12'), OUT_OF_SEQUENCE, 13),
    ("the last commit is deleted", cut(12), NOT_COMMITTED, 10),
    ("the last batch is deleted with its commit", cut(9, 10, 11, 12), MISSING, None),
    ("the last line is torn", lambda lines: lines.append(b'{"metadata":{"seq'), NOT_COMMITTED, None),
    ("the header is deleted", cut(0), BAD_HEADER, 1),
    ("the first commit is deleted", cut(1), BAD_HEADER, 6),
    ("all is deleted", lambda lines: lines.clear(), BAD_HEADER, None),
    ("a commit of the other segment", put(7, commit(Key(), [b"\0" * 32] * 9)), UNKNOWN_LINE, 8),
]


@pytest.mark.parametrize(("change", "expected", "line"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_a_changed_line_is_found_in_its_place(log, change, expected, line):
    """Whatever is done to a line, there is a finding, with the line, or with the lines of the smallest commit."""
    edit(log.plain(1), change)
    found = [each for each in verify(log).findings if each.file == log.plain(1).name or each.id == MISSING]
    assert expected in [each.id for each in found]
    if line is not None:
        assert line in [each.line for each in found if each.id == expected]
    assert ids(log, every_commit=True) == ids(log)


def test_a_batch_that_was_changed_is_named(log):
    """The finding names the events of the commit in which the change is, and the lines on which they stand."""
    edit(log.plain(1), edit_event)
    (finding,) = verify(log).findings
    assert finding.sequences == (5, 8)
    assert finding.line == 3
    assert "lines 3 to 6" in finding.message


def forged(log, index, key, *, at=4):
    """Edit an event, and make every commit after it again, signed with this key."""

    def change(lines):
        lines[at] = lines[at].replace(b'"x"', b'"y"')
        leaves = log.leaves[: log.starts[index]]
        for place, line in enumerate(lines):
            if line.startswith(b'{"metadata'):
                leaves = [*leaves, leaf(line)]
            elif line.startswith(b'{"cp"'):
                lines[place] = commit(key, leaves, log.origin)

    edit(log.plain(index), change)


def test_recomputed_roots_without_the_key(log):
    """Who has no key can make all roots anew, and signs none of them."""
    forged(log, 1, Key())
    (finding,) = verify(log).findings
    assert finding.id == NOT_SIGNED


def test_the_newest_segment_written_anew_without_the_key(log):
    """That holds for the segment that is being written, too."""
    forged(log, 2, Key())
    assert NOT_SIGNED in ids(log)


def test_a_commit_whose_signature_alone_is_edited(log):
    """A commit in the middle is redundant: `--every-commit` finds that it was edited, and that nothing else was."""
    lines = log.plain(1).read_bytes().splitlines()
    other = json.loads(lines[8])["sig"]
    edit(log.plain(1), replace(6, json.loads(lines[6])["sig"].encode(), other.encode()))
    assert ids(log) == []
    (finding,) = verify(log, every_commit=True).findings
    assert (finding.id, finding.line) == (NOT_SIGNED, 7)


def test_the_end_is_cut(log):
    """A tail that is missing is found: the checkpoint beside the log says that there was more."""
    edit(log.plain(2), cut(8, 9, 10))
    assert ids(log) == [CUT]
    log.plain(2).unlink()
    assert ids(log) == [CUT]


def test_a_rollback_of_everything_needs_an_anchor(log, tmp_path):
    """Log and checkpoint of an older moment are a log without a flaw: only a checkpoint kept elsewhere tells."""
    anchor = log.anchor(tmp_path / "anchor")
    edit(log.plain(2), cut(8, 9, 10))
    older = [*log.leaves[:17]]
    (log.directory / "checkpoint").write_text(note(log.keys[-1], older))
    assert ids(log) == []
    assert ids(log, anchors=verifier.read_anchors([anchor])) == [CONTRADICTED]


def test_a_stolen_key_does_not_sign_for_an_older_epoch(log):
    """Old events, edited and signed anew with a key of a later epoch, are found (as CVE-2023-31439 was not)."""
    forged(log, 1, log.keys[2])
    assert ids(log) == [NOT_SIGNED]


def test_a_stolen_key_in_the_header_of_an_older_epoch(log):
    """Nor does it help to write the stolen key into the older header: the key before has not signed for it."""
    stolen = log.keys[2]
    forged(log, 1, stolen)
    edit(log.plain(1), lambda lines: lines.__setitem__(0, header(stolen, log.leaves[:5], stolen)))
    assert KEY_NOT_VOUCHED in ids(log)


def test_all_written_anew_with_a_stolen_key(log):
    """A whole log of the attacker's own begins with another key than the reviewer was given."""
    reviewer = verifier.Key.parse(log.keys[0].vkey)
    shutil.rmtree(log.directory)
    anew = Forger(log.directory).segment([2, 3]).segment([4, 1, 3])
    assert [each.id for each in verifier.verify_log(anew.directory, keys=[reviewer]).findings] == [OTHER_FIRST_KEY]
    unpinned = verifier.verify_log(anew.directory)
    assert (unpinned.findings, unpinned.pinned) == ((), False)


def test_the_running_epoch_written_anew_with_its_stolen_key_needs_an_anchor(log, tmp_path):
    """Who steals the key that is in use can write the running epoch anew: an anchor inside the epoch tells."""
    anchor = log.anchor(tmp_path / "anchor", 17)
    forged(log, 2, log.keys[2], at=2)
    leaves = log.leaves[:13] + [
        leaf(line) for line in log.plain(2).read_bytes().splitlines() if line.startswith(b'{"metadata')
    ]
    (log.directory / "checkpoint").write_text(note(log.keys[2], leaves))
    assert ids(log) == []
    assert ids(log, anchors=verifier.read_anchors([anchor])) == [CONTRADICTED]


def test_the_checkpoint_of_another_history(log):
    """A checkpoint that the log's own key has signed, about other events, is found without any anchor."""
    (log.directory / "checkpoint").write_text(note(log.keys[2], log.leaves[1:17]))
    assert ids(log) == [BAD_CHECKPOINT]


CHECKPOINTS = [
    ("is nonsense", lambda log: "nonsense"),
    ("is signed by nobody we know", lambda log: note(Key(), log.leaves)),
    ("is signed by an older key", lambda log: note(log.keys[0], log.leaves)),
    ("is of another log", lambda log: note(Key("other/log"), log.leaves, "other/log")),
    ("is not text", lambda log: "\0\1\2"),
]


@pytest.mark.parametrize("make", [row[1] for row in CHECKPOINTS], ids=[row[0] for row in CHECKPOINTS])
def test_a_checkpoint_that_proves_nothing(log, make):
    """The checkpoint beside the log must be one that the log has made."""
    (log.directory / "checkpoint").write_text(make(log))
    assert ids(log) == [BAD_CHECKPOINT]


def test_an_anchor_signed_by_a_key_of_another_epoch(log, tmp_path):
    """An anchor counts when the key that the log had at that size has signed it."""
    (tmp_path / "anchor").write_text(note(log.keys[2], log.leaves[:9]))
    assert ids(log, anchors=verifier.read_anchors([tmp_path / "anchor"])) == [CONTRADICTED]


def test_the_headers_of_two_segments_are_exchanged(log):
    """A segment belongs to its place."""
    one, two = log.plain(1).read_bytes().splitlines(True), log.plain(2).read_bytes().splitlines(True)
    log.plain(1).write_bytes(b"".join([two[0], *one[1:]]))
    log.plain(2).write_bytes(b"".join([one[0], *two[1:]]))
    assert ids(log) == [BAD_HEADER]


def test_two_segments_are_exchanged(log):
    """So do all of its lines."""
    one, two = log.plain(1).read_bytes(), log.plain(2).read_bytes()
    log.plain(1).write_bytes(two)
    log.plain(2).write_bytes(one)
    assert ids(log) == [BAD_HEADER]


@pytest.mark.parametrize("index", [0, 1])
def test_a_segment_is_removed(log, index):
    """What is missing is named, with its events."""
    for path in log.directory.glob(f"seg-{log.starts[index]:012d}*"):
        path.unlink()
    assert MISSING in ids(log)
    missing = [each for each in verify(log).findings if each.id == MISSING]
    assert "missing" in missing[0].message


def test_the_roll_signature_of_another_log(log, tmp_path):
    """That another log's key has signed for a key says nothing in this log."""
    other = Forger(tmp_path / "other", "other/log").segment([5]).segment([1])
    roll = json.loads(other.plain(1).read_bytes().splitlines()[0])["roll"]
    mine = json.loads(log.plain(1).read_bytes().splitlines()[0])["roll"]
    edit(log.plain(1), replace(0, mine.encode(), roll.encode()))
    assert ids(log) == [KEY_NOT_VOUCHED]


def test_a_key_before_the_first_segment(log):
    """The first segment of a log has no key before it."""
    fresh = Forger(log.directory.parent / "fresh").segment([2, 3])
    edit(fresh.plain(0), replace(0, b'"roll":null', b'"roll":"AAAA"'))
    assert ids(fresh) == [BAD_HEADER]


def test_anchors_of_other_logs_are_passed_over(log, tmp_path):
    """A file of anchors may hold those of many logs: each log is compared with its own."""
    other = Forger(tmp_path / "other", "gw.example/other/w0").segment([3, 4])
    (tmp_path / "anchors").write_text(other.anchor(tmp_path / "o").read_text() + log.anchor(tmp_path / "a").read_text())
    found = verify(log, anchors=verifier.read_anchors([tmp_path / "anchors"]))
    assert (found.findings, found.anchors) == ((), 1)


def test_notes_of_witnesses_beside_the_log(log):
    """Cosigned checkpoints that lie in the log's directory must agree with it, whoever else has signed them."""
    (log.directory / "witness").mkdir()
    witness = Key("witness.example")
    signature = f"\u2014 witness.example {witness.sign('x')}\n\u2014 {log.origin} {Key().sign('x')}\n"
    (log.directory / "witness" / "17.note").write_text(note(log.keys[2], log.leaves[:17]) + signature)
    found = verify(log)
    assert (found.findings, found.anchors) == ((), 0)
    (log.directory / "witness" / "17.note").write_text(note(log.keys[2], log.leaves[1:18]) + signature)
    assert ids(log) == [BAD_CHECKPOINT]


@pytest.mark.parametrize("roll", ["null", '""', '"AAAA"', "7", "[]"])
def test_a_segment_that_nobody_has_signed_for(log, roll):
    """Each segment but the first needs the signature of the key before."""
    mine = json.loads(log.plain(1).read_bytes().splitlines()[0])["roll"]
    edit(log.plain(1), replace(0, json.dumps(mine).encode(), roll.encode()))
    assert ids(log) == [KEY_NOT_VOUCHED]


def test_commits_of_another_log_with_the_same_name(log, tmp_path):
    """Another key under the same name is another key."""
    other = Forger(tmp_path / "other").segment([2, 3]).segment([4, 1, 3])
    lines = other.plain(1).read_bytes().splitlines(True)
    edit(log.plain(1), lambda mine: mine.__setitem__(12, lines[12]))
    assert ids(log) == [NOT_SIGNED]


def test_a_segment_of_another_log_with_the_same_name(log, tmp_path):
    """A whole segment from elsewhere neither continues the tree nor has a key that is vouched for."""
    other = Forger(tmp_path / "other").segment([2, 3], make=lambda n: event(n, "other")).segment([4, 1, 3])
    shutil.copy(other.plain(1), log.plain(1))
    assert NOT_CONTINUED in ids(log)


def test_a_header_with_another_tree(log):
    """The tree that a header states is that of the segments before it, and its first commit signs for it."""
    wrong = [leaf(event(n, "other")) for n in range(5)]
    edit(log.plain(1), lambda lines: lines.__setitem__(0, header(log.keys[1], wrong, log.keys[0])))
    assert ids(log) == [BAD_HEADER, NOT_CONTINUED]


def test_a_segment_that_changes_the_name_of_the_log(log):
    """A log has one name: not even its own key can sign for a segment of another."""
    key = Key("gw.example/other/w0")
    text = f"streamlit-gateway.key-roll/1\n{log.origin}\n5\n{forge.b64(forge.head(log.leaves[:5]))}\n{key.vkey}\n"
    renamed = json.loads(header(key, log.leaves[:5], None, "gw.example/other/w0"))
    renamed["roll"] = log.keys[0].sign(text)
    first = json.dumps(renamed, separators=(",", ":")).encode() + b"\n"
    log.plain(1).write_bytes(first + commit(key, log.leaves[:5], "gw.example/other/w0"))
    log.plain(2).unlink()
    assert ids(log) == [KEY_NOT_VOUCHED, CUT]


HEADERS = [
    ("is no JSON", b"{"),
    ("is a list", b"[]"),
    ("is deep", b"[" * 100_000),
    ("has another format", lambda line: line.replace(b"gateway-audit/2", b"gateway-audit/1")),
    ("has a key more", lambda line: line.replace(b'"created"', b'"extra":1,"created"')),
    ("has a key twice", lambda line: line.replace(b'"created"', b'"start":5,"created"')),
    ("begins elsewhere", lambda line: line.replace(b'"start":5', b'"start":6')),
    ("begins at a text", lambda line: line.replace(b'"start":5', b'"start":"5"')),
    ("has no tree", lambda line: line.replace(b'"stack":[', b'"stack":[],"x":[')),
    ("has another name", lambda line: line.replace(b'"origin":"gw.', b'"origin":"gx.')),
    (
        "has half a key",
        lambda line: line.replace(b'"vkey":"gw.example/audit/main/w0+', b'"vkey":"gw.example/audit/main/w0+0'),
    ),
]


@pytest.mark.parametrize("change", [row[1] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_a_header_that_is_none(log, change):
    """A header has exactly the form that the gateway writes; nothing that stands there breaks the verifier."""

    def put_header(lines):
        lines[0] = change(lines[0]) if callable(change) else change + b"\n"

    edit(log.plain(1), put_header)
    assert ids(log) == [BAD_HEADER]


def test_the_key_of_an_earlier_segment_is_used_again(tmp_path):
    """Each segment has a key of its own: one that was erased cannot come back."""
    forger = Forger(tmp_path / "log").segment([2])
    forger.segment([1], key=forger.keys[0])
    assert ids(forger) == [KEY_NOT_VOUCHED]


# ---- sealed and pruned segments


def change_seal(log, index, **changes):
    path = log.named(index, ".seal")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


SEALS = [
    {"origin": "other"},
    {"start": 1},
    {"end": 4},
    {"header": "{}"},
    {"commit": "{}"},
    {"jsonl": {"bytes": 1, "sha256": "00"}},
    {"zst": {"bytes": 1, "sha256": "00"}},
    {"first_time": 1790000000003},
    {"last_time": 1790000000003},
    {"last_time": None},
    {"last_time": "today"},
    {"seal": "gateway-audit-seal/9"},
    {"jsonl": None},
    {"pruned": []},
    {"pruned": True},
]


@pytest.mark.parametrize("changes", SEALS, ids=lambda row: json.dumps(row)[:40])
def test_an_edited_seal(log, changes):
    """A seal that says something else than what it seals is found, whatever it is."""
    change_seal(log, 0, **changes)
    assert ids(log) == [BAD_SEAL]


def test_a_seal_without_a_word_on_pruning(log):
    """A seal says whether its segment was pruned: it is not taken for unpruned because it is silent."""
    path = log.named(0, ".seal")
    path.write_text(path.read_text().replace('"pruned"', '"prune"'))
    assert ids(log) == [BAD_SEAL]


def test_a_seal_that_is_missing(log):
    """A sealed segment has a seal."""
    log.named(0, ".seal").unlink()
    assert ids(log) == [BAD_SEAL]


def test_a_sealed_segment_that_is_edited(log):
    """Any change of its bytes is found: they no longer decompress, or are not what the seal states."""
    path = log.named(0, ".jsonl.zst")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert set(ids(log)) & {UNREADABLE, BAD_SEAL}
    path.write_bytes(b"no zstd at all")
    assert ids(log) == [UNREADABLE]


def test_a_sealed_segment_packed_anew(log):
    """Other contents, packed and sealed as they should be, lack the signature."""
    sealed = Forger(log.directory.parent / "other").segment([2, 3], make=lambda n: event(n, "other"))
    sealed.seal(0)
    for suffix in (".jsonl.zst", ".seal"):
        shutil.copy(sealed.named(0, suffix), log.named(0, suffix))
    assert OTHER_FIRST_KEY in ids(log)
    assert KEY_NOT_VOUCHED in ids(log) or NOT_CONTINUED in ids(log)


def test_a_segment_that_is_there_twice(log):
    """Plain and sealed at once, as while it is sealed: the events must be the same, whichever a reader takes."""
    shutil.copy(log.plain(1), log.directory / "keep")
    log.seal(1)
    shutil.copy(log.directory / "keep", log.plain(1))
    assert ids(log) == []
    shutil.copy(log.named(0, ".jsonl.zst"), log.named(1, ".jsonl.zst"))
    assert ids(log) == [BAD_HEADER, BAD_SEAL, TWICE]


def test_hashes_for_proofs_that_are_wrong(tmp_path):
    """The hashes beside a sealed segment are those that its events give."""
    forger = Forger(tmp_path / "log").segment([200, 400]).segment([1])
    forger.seal(0)
    assert forger.named(0, ".tree").stat().st_size == 2 * 32
    assert ids(forger) == []
    forger.named(0, ".tree").write_bytes(bytes(64))
    assert ids(forger) == [BAD_TREE_FILE]


def test_a_pruned_segment_leaves_its_seal(log, tmp_path):
    """What retention has removed, and said so in the log, is not a finding: the chain goes on over its seal."""
    anchors = verifier.read_anchors([log.anchor(tmp_path / "end", 5), log.anchor(tmp_path / "inside", 3)])
    log.segment([1], make=log.announcement(0))
    log.prune(0, 19)
    found = verify(log, anchors=anchors)
    assert (found.findings, found.pruned, found.size) == ((), ((0, 5),), 20)
    assert (found.anchors, found.anchors_unchecked) == (1, 1)


def test_a_pruned_segment_whose_announcement_was_pruned(log):
    """The event that tells of it may be in a segment that was pruned later: then that is told."""
    log.segment([1], make=log.announcement(0))
    log.segment([1])
    for index in (1, 2, 3):
        log.seal(index)
    log.prune(0, 19)
    for index in (1, 2, 3):
        make = log.announcement(index)
        log.segment([1], make=make)
        log.prune(index, len(log.leaves) - 1)
    found = verify(log)
    assert (found.findings, found.pruned_unread) == ((), 1)


def test_a_segment_that_is_said_to_be_pruned(log):
    """A seal that says so is not enough: an event of the log must tell it, with the segment's own root."""
    log.prune(0, 7)
    assert ids(log) == [NOT_ANNOUNCED]
    wrong = log.announcement(0)(19).replace(b'"root":"', b'"root":"x')
    log.segment([1], make=lambda _: wrong)
    assert ids(log) == [NOT_ANNOUNCED]


def test_events_that_a_seal_hides(log):
    """A seal that calls its segment pruned, though it is there, hides its events from questions: that is found, too."""
    change_seal(log, 0, pruned={"time": 1, "because": "x", "sequence": 7})
    assert ids(log) == [NOT_ANNOUNCED]
    log.segment([1], make=log.announcement(0))  # the moment between the seal and the removal
    assert ids(log) == []


def test_an_announcement_that_a_visitor_has_written(log):
    """Words in a field of an event are not an event."""
    text = '"event_code":"audit.pruned"'
    log.segment(
        [1],
        make=lambda n: event(
            n, text, segment=0, root=json.loads(json.loads(log.named(0, ".seal").read_text())["commit"])["root"]
        ),
    )
    log.prune(0, 19)
    assert ids(log) == [NOT_ANNOUNCED]


def test_a_segment_that_is_gone_without_being_pruned(log):
    """A seal without its segment is a segment that is missing."""
    log.named(0, ".jsonl.zst").unlink()
    assert ids(log) == [MISSING]


def test_the_seal_of_a_pruned_segment_is_edited(log):
    """What it says of the events that are gone is signed."""
    log.segment([1], make=log.announcement(0))
    log.prune(0, 19)
    lie = commit(Key(), log.leaves[:5])
    change_seal(log, 0, commit=lie.decode().rstrip())
    assert NOT_SIGNED in ids(log)


# ---- not an attack


def test_what_is_not_yet_acknowledged(log):
    """Behind the last commit of the live segment is what a crash, or a write under way, leaves: not a finding."""
    with log.plain(2).open("ab") as file:
        file.write(event(19) + event(20) + event(21)[:40])
    found = verify(log)
    assert (found.findings, found.size, found.waiting) == ((), 19, 2)


def test_times_that_are_none(log):
    """What a log says of its time is shown as it stands, however far off."""
    log.segment([1], make=lambda n: event(n).replace(b'"time":1', b'"time":99999999999999991'))
    assert "to 99999999999999991790" in verifier.report(verify(log))
    assert verify(log).findings == ()


def test_a_file_that_may_not_be_read(log):
    """A segment that cannot be read is a finding, and the others are verified."""
    log.plain(1).unlink()
    log.plain(1).mkdir()
    assert ids(log) == [UNREADABLE]


def test_no_log_there(tmp_path):
    """An empty directory is not a log without findings."""
    with pytest.raises(verifier.UnusableError):
        verifier.verify_log(tmp_path)


def test_base64_has_one_form(log):
    """A root whose last, unused bits are set is not the root that was signed, though it decodes to the same bytes."""
    lines = log.plain(2).read_bytes().splitlines()
    root = json.loads(lines[-1])["root"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = root[:42] + alphabet[alphabet.index(root[42]) + 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(root)
    edit(log.plain(2), replace(-1, root.encode(), twin.encode()))
    assert UNKNOWN_LINE in ids(log)


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_anywhere(log, seed):
    """Whatever is done to any file, the verifier answers; a change behind the header of a segment is always found."""
    random = Random(seed)
    log.seal(1)
    log.segment([2, 1], make=log.announcement(0)).segment([30])
    log.prune(0, 19)
    paths = sorted(log.directory.iterdir())
    for _ in range(60):
        path = random.choice(paths)
        before = path.read_bytes()
        at, junk = (
            random.randrange(len(before) + 1),
            bytes(random.choices(b'{}[]":,0n\\\0\xff\n1 ', k=random.randrange(4))),
        )
        after = before[:at] + junk + before[at + random.randrange(4) :]
        path.chmod(0o600)
        path.write_bytes(after)
        found = verify(log, every_commit=True)
        verifier.report(found)
        behind = len(before.partition(b"\n")[0])
        if path.suffix == ".jsonl" and after != before and at > behind:
            assert found.findings or path == log.plain(-1), (path, at, junk)
        path.write_bytes(before)
    assert verify(log).findings == ()


def test_a_seal_that_cannot_be_read_of_a_segment_that_is_gone(log):
    """Without its seal, a pruned segment is missing."""
    log.segment([1], make=log.announcement(0))
    log.prune(0, 19)
    log.named(0, ".seal").write_text("nonsense")
    assert ids(log) == [MISSING, BAD_SEAL]


def test_an_event_that_is_not_what_it_seems(log):
    """Events are whatever the log has signed: one that is no JSON, or of another shape, breaks nothing."""
    shapes = [b'"unmapped":7', b'"unmapped":[]', b'"unmapped":{"gateway":{"details":[1]}}', b"[" * 2000]
    log.segment([1], make=log.announcement(0))
    for shape in shapes:
        log.segment(
            [1], make=lambda n, s=shape: b'{"metadata":{"sequence":%d,"event_code":"audit.pruned"},%b}\n' % (n, s)
        )
    log.prune(0, 19)
    assert ids(log) == []
