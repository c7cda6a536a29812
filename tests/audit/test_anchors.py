"""Checkpoints that are kept elsewhere, in a directory or in the records of other replicas; what that finds."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, LedgerOptions, lifecycle, stamp
from gateway.audit.anchors.anchor_key import anchor_signer
from gateway.audit.anchors.cosignature import WitnessKey
from gateway.audit.anchors.directory import last_note
from gateway.audit.anchors.keeper import AnchorKeeper, Places
from gateway.audit.anchors.places import PeerPlace, WitnessPlace
from gateway.audit.anchors.status import read
from gateway.audit.note import is_signed
from gateway.audit.verifier import Key, read_anchors, verify_log
from gateway.cli import app
from gateway.errors import SettingsError
from gateway.settings import Settings
from gateway.state.directory import StateDirectory
from tests.audit.forge import b64
from tests.audit.reading import codes, details
from tests.support.processes import PYTHON, ROOT, clean_environment

COMMAND = [PYTHON, "-c", "import sys; from gateway.cli import main; sys.exit(main())"]
ORIGIN = "3f00d1/w0"
QUICK = LedgerOptions(segment_size=64 * 1024, reserve=4096)


def write(directory, count=20, origin=ORIGIN):
    with Ledger.open(directory, origin=origin, options=QUICK) as ledger:
        for number in range(count):
            ledger.append(lifecycle("a.test", "x" * 300, {"n": number}, stamp()), Durability.BEFORE).wait(5)


def wait_for(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()


class Kept:
    """A keeper that runs beside a log at rest, and the events that it has noted."""

    def __init__(self, directory, *, origin=ORIGIN, interval=0.1, **places):
        self.noted = []
        self.directory = directory
        self.keeper = AnchorKeeper(directory, origin, Places(interval=interval, **places), self.noted.append)

    def __enter__(self):
        self.keeper.start()
        return self

    def __exit__(self, *_):
        self.keeper.close()

    def codes(self):
        return [each.code for each in self.noted]

    def status(self, kind):
        return next(each for each in self.keeper.statuses if each.kind == kind)

    def settled(self, kind):
        wait_for(lambda: self.status(kind).time or self.status(kind).problem)
        return self.status(kind)


def facts(event):
    line = event.line(0, b'"o"', b'"before"')
    return json.loads(line)["unmapped"]["gateway"]["details"]


def first_key(directory):
    return json.loads((directory / "seg-000000000000.jsonl").open().readline())["vkey"]


def notes_in(directory):
    return sorted((directory / ORIGIN.replace("/", "_")).glob("*.checkpoints"))


# --- a directory ---------------------------------------------------------------------------------------------------


def test_checkpoints_are_kept_in_a_directory(tmp_path):
    """Each that has grown is appended, with the lines of the epoch's key and of the anchor key; the verifier takes the
    directory for an anchor."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log)
    with Kept(log, directories=(anchors,)) as kept:
        kept.settled("directory")
        write(log, 200)  # a few segments, each with another key
        wait_for(lambda: kept.status("directory").size == 224)
    (path,) = notes_in(anchors)
    text, signatures = path.read_text().rstrip("\n").rsplit("\n\n", 1)
    assert (log / "checkpoint").read_text() == f"{text.rsplit(chr(10) * 2, 1)[-1]}\n\n{signatures.splitlines()[0]}\n"
    anchor_line = signatures.splitlines()[1]
    body = (log / "checkpoint").read_text().partition("\n\n")[0] + "\n"
    assert is_signed(anchor_signer(log, ORIGIN).vkey, body.encode(), anchor_line.split(" ")[2])
    found = verify_log(log, keys=[Key.parse(first_key(log))], anchors=read_anchors([anchors]))
    assert (found.findings, found.anchors_unchecked) == ((), 0)
    assert found.anchors >= 2
    assert kept.codes() == []


def test_nothing_is_written_over(tmp_path):
    """Every start begins a file; what is there stays as it is, byte for byte."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    for count in (3, 5, 7):
        before = {path: path.read_bytes() for path in notes_in(anchors)}
        write(log, count)
        with Kept(log, directories=(anchors,)) as kept:
            kept.settled("directory")
        assert {path: path.read_bytes() for path in before} == before
    assert len(notes_in(anchors)) == 3


def test_the_end_is_anchored(tmp_path):
    """At a stop the last checkpoint is kept, however long the interval is."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log, 3)
    with Kept(log, directories=(anchors,), interval=3600):
        pass
    assert last_note(notes_in(anchors)[0]).size == 5


def test_half_a_note(tmp_path):
    """What a crash has left of a note is passed over; the one before it counts."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log, 3)
    with Kept(log, directories=(anchors,)) as kept:
        kept.settled("directory")
    (path,) = notes_in(anchors)
    for torn in (f"{ORIGIN}\n9", f"{ORIGIN}\n99\nabc", f"{ORIGIN}\n99\n{'A' * 43}=\n\n"):
        with path.open("a") as file:
            file.write(torn)
        assert last_note(path).size == 5
        os.truncate(path, path.stat().st_size - len(torn))


@pytest.mark.parametrize("restart", ["keeps what it knew", "knows nothing"])
def test_a_log_that_was_put_back_is_noticed_at_the_start(tmp_path, restart):
    """A log that is older than what the directory holds raises the alarm at the next start, and at each after it."""
    log, before, anchors = tmp_path / "log", tmp_path / "before", tmp_path / "anchors"
    write(log, 3)
    with Kept(log, directories=(anchors,)) as kept:
        kept.settled("directory")
    shutil.copytree(log, before)
    write(log, 30)
    with Kept(log, directories=(anchors,)) as kept:
        kept.settled("directory")
    shutil.rmtree(log)
    before.rename(log)
    if restart == "knows nothing":
        (log / "anchors.json").unlink()
    for _ in range(2):
        write(log, 1)
        with Kept(log, directories=(anchors,)) as kept:
            wait_for(lambda: kept.codes() == ["audit.anchor_conflict"])
        told = facts(kept.noted[0])
        assert told["kind"] == "directory"
        assert told["size"] == 37
        assert "and a checkpoint of it was kept for 37" in told["problem"]


def test_a_log_that_was_changed_is_noticed(tmp_path):
    """A log of the same length with other events is another log."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log, 9)
    with Kept(log, directories=(anchors,)) as kept:
        kept.settled("directory")
    shutil.rmtree(log)
    write(log, 12)
    with Kept(log, directories=(anchors,)) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_conflict"])
    assert "the first 11 events are not those" in facts(kept.noted[0])["problem"]


def test_files_that_contradict_the_checkpoint_are_not_anchored(tmp_path):
    """An event that was changed under the running gateway is an alarm, and no checkpoint leaves."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log, 9)
    path = log / "seg-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"n":4', b'"n":5', 1))
    with Kept(log, directories=(anchors,)) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_conflict"])
    assert "not those that the checkpoint of 11 was signed for" in facts(kept.noted[0])["problem"]
    assert notes_in(anchors) == []


def test_a_directory_that_cannot_be_written(tmp_path):
    """It is told once, with the place and the cause; when it works again, that is told as well."""
    log, anchors = tmp_path / "log", tmp_path / "anchors"
    write(log, 3)
    anchors.write_text("a file stands in the way")
    with Kept(log, directories=(anchors,)) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_failed"])
        time.sleep(0.4)
        assert kept.codes() == ["audit.anchor_failed"]
        told = facts(kept.noted[0])
        assert (told["kind"], told["place"]) == ("directory", str(anchors))
        assert told["problem"].endswith("not a directory")
        anchors.unlink()
        wait_for(lambda: kept.codes() == ["audit.anchor_failed", "audit.anchor_restored"])
    assert kept.status("directory").problem is None


def test_a_place_that_hangs_holds_up_nobody(tmp_path):
    """A directory that does not answer delays neither the other places nor the stop for long."""
    log, fine, hangs = tmp_path / "log", tmp_path / "fine", tmp_path / "hangs"
    write(log, 3)
    (hangs / ORIGIN.replace("/", "_")).mkdir(parents=True)
    os.mkfifo(hangs / ORIGIN.replace("/", "_") / "20260101T000000Z.checkpoints")  # an open of it waits for a writer
    begun = time.monotonic()
    with Kept(log, directories=(hangs, fine)) as kept:
        wait_for(lambda: [each.size for each in kept.keeper.statuses if each.place == str(fine)] == [5])
    assert time.monotonic() - begun < 20
    assert [each.size for each in kept.keeper.statuses if each.place == str(hangs)] == [None]


# --- other replicas ------------------------------------------------------------------------------------------------


def test_replicas_witness_each_other(tmp_path):
    """Each writes the checkpoints of the other into its own record: origin, size, tree head, key, the note itself."""
    one, other = tmp_path / "a" / "audit" / "one" / "w0", tmp_path / "b" / "audit" / "other" / "w0"
    write(one, 3, "one/w0")
    with Ledger.open(other, origin="other/w0", options=QUICK) as ledger:
        keeper = AnchorKeeper(
            other,
            "other/w0",
            Places(peers=(PeerPlace.parse(str(tmp_path / "a" / "audit")),), interval=0.1),
            lambda event: ledger.append(event, Durability.BEFORE),
        )
        keeper.start()
        wait_for(lambda: codes(other).count("audit.anchor") == 1)
        write(one, 3, "one/w0")
        wait_for(lambda: codes(other).count("audit.anchor") == 2)
        time.sleep(0.3)
    keeper.close()
    first, second = details(other, "audit.anchor")
    assert (first["origin"], first["size"], second["size"]) == ("one/w0", 5, 10)
    assert second["vkey"] == first_key(one)
    assert "\n".join(second["note"]) + "\n" == (one / "checkpoint").read_text()
    kept = tmp_path / "kept.txt"
    kept.write_text("\n".join(first["note"]) + "\n")
    found = verify_log(one, keys=[Key.parse(first_key(one))], anchors=read_anchors([kept]))
    assert (found.findings, found.anchors) == ((), 1)


def test_a_replica_that_was_put_back(tmp_path):
    """A log that has become smaller, or another one of the same size, is an alarm, also after a restart of ours."""
    ours, theirs, before = tmp_path / "ours", tmp_path / "theirs", tmp_path / "before"
    write(ours, 1)
    write(theirs, 3, "theirs")
    shutil.copytree(theirs, before)
    write(theirs, 3, "theirs")
    peers = {"peers": (PeerPlace.parse(str(theirs)),)}
    with Kept(ours, **peers) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor"])
    shutil.rmtree(theirs)
    before.rename(theirs)
    with Kept(ours, **peers) as kept:
        wait_for(lambda: "audit.anchor_conflict" in kept.codes())
    told = facts(kept.noted[0])
    assert (told["origin"], told["size"], told["seen_size"]) == ("theirs", 5, 10)
    shutil.rmtree(theirs)
    write(theirs, 8, "theirs")
    with Kept(ours, **peers) as kept:
        wait_for(lambda: "audit.anchor_conflict" in kept.codes())
    told = facts(kept.noted[0])
    assert (told["size"], told["root"] != told["seen_root"]) == (10, True)


def test_a_peer_may_be_where_it_anchors(tmp_path):
    """A directory with what replicas have anchored is a place of peers; with a key, only what that key has signed."""
    theirs, anchors, ours = tmp_path / "theirs", tmp_path / "anchors", tmp_path / "ours"
    write(theirs, 3, "their/w0")
    write(ours, 3)
    with Kept(theirs, origin="their/w0", directories=(anchors,)) as kept:
        kept.settled("directory")
    with Kept(ours, directories=(anchors,)) as kept:  # ours stand there, too, and are passed over
        kept.settled("directory")
    vkey = anchor_signer(theirs, "their/w0").vkey
    for place in (str(anchors), f"{vkey}@{anchors}", str(anchors / "their_w0")):
        (ours / "anchors.json").unlink()
        with Kept(ours, peers=(PeerPlace.parse(place),)) as kept:
            wait_for(lambda: kept.codes() == ["audit.anchor"])
        assert facts(kept.noted[0])["origin"] == "their/w0"
    other = anchor_signer(ours, ORIGIN).vkey
    with Kept(ours, peers=(PeerPlace.parse(f"{other}@{anchors}"),)) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_failed"])
    assert "that its key has signed" in facts(kept.noted[0])["problem"]


def test_a_peer_over_http(tmp_path):
    """A checkpoint may be fetched; an answer that is none, or none at all, is a failure."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, 1)
    write(theirs, 3, "theirs")
    answers = [(200, (theirs / "checkpoint").read_bytes()), (200, b"nothing"), (404, b""), (200, b"x" * 300_000)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[int(self.path[1:])]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    expected = [None, "what is there is no checkpoint", "answered 404", "answered with more than a checkpoint"]
    for number, problem in enumerate(expected):
        with Kept(ours, peers=(PeerPlace.parse(f"http://127.0.0.1:{server.server_port}/{number}"),)) as kept:
            assert kept.settled("peer").problem == problem
    server.shutdown()
    server.server_close()


def test_a_checkpoint_that_the_peer_has_not_signed(tmp_path):
    """What stands beside a log and is not signed by its key is not taken for its checkpoint."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, 1)
    write(theirs, 3, "theirs")
    path = theirs / "checkpoint"
    path.write_text(path.read_text().replace("theirs\n5\n", "theirs\n7\n"))
    with Kept(ours, peers=(PeerPlace.parse(str(theirs)),)) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_failed"])
    assert "not signed by the log's key" in facts(kept.noted[0])["problem"]


def test_what_reviewers_do_is_anchored_in_the_record(tmp_path):
    """The commands' own log stands beside ours, and ours holds its checkpoints without being told to."""
    ours = tmp_path / "instance" / "w0"
    write(ours, 1)
    write(tmp_path / "instance" / "cli", 2, "instance/cli")
    with Kept(ours) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor"])
    assert facts(kept.noted[0])["origin"] == "instance/cli"


# --- settings, commands, health -------------------------------------------------------------------------------------


def _vkey(kind, name="w"):
    public = bytes([kind]) + bytes(range(32))
    return f"{name}+{hashlib.sha256(name.encode() + bytes([10]) + public).digest()[:4].hex()}+{b64(public)}"


def test_places_are_read():
    """A witness is its key and its address; a peer is a place, which may have a key before it."""
    witness = WitnessPlace.parse(f"{_vkey(4)}@https://witness.example/prefix/")
    assert (witness.key.name, witness.url) == ("w", "https://witness.example/prefix")
    assert WitnessKey.parse(_vkey(4)).vkey == _vkey(4)
    assert str(PeerPlace.parse("/mnt/peers")) == "/mnt/peers"
    assert PeerPlace.parse(f"{_vkey(1)}@/mnt/peers").key.name == "w"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WITNESSES", "https://witness.example", "expected the witness's verifier key, @, and its address"),
        ("WITNESSES", f"{_vkey(1)}@https://witness.example", "not the verifier key of a witness"),
        ("WITNESSES", f"{_vkey(4).replace('w+', 'v+')}@https://w.example", "not that of its name"),
        ("WITNESSES", f"{_vkey(4)}@ftp://witness.example", "not an http or https address"),
        ("WITNESSES", f"{_vkey(4)}@https://me:secret@witness.example", "without user, password, query and fragment"),
        ("PEERS", "https://peer.example/?q", "without user, password, query and fragment"),
        ("PEERS", f"{_vkey(4)}@/mnt/peers", "not an Ed25519 verifier key"),
        ("ANCHOR_INTERVAL", "0", "expected"),
    ],
)
def test_a_place_that_is_none(variable, value, message):
    """A setting that cannot be used is refused with its place and its cause, before anything starts."""
    with pytest.raises(SettingsError) as caught:
        Settings.load({f"GATEWAY_AUDIT__{variable}": value})
    (problem,) = caught.value.problems
    assert problem.place == f"GATEWAY_AUDIT__{variable}"
    assert message in problem.message
    assert "secret" not in problem.message


def doctor(state):
    command = [*COMMAND, "doctor", "--state-dir", state, "--policies", ROOT / "policies"]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment()).stdout


def gateway(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_command_shows_the_anchors(tmp_path):
    """Kind, place, size, age and how far behind; exit code 1 when one fails; the doctor finds the same."""
    place = StateDirectory.prepare(tmp_path / "state")
    log, origin = place.audit_directory(), f"{place.instance}/w0"
    write(log, 3, origin)
    done = gateway("audit", "anchors", "--state-dir", place.path)
    assert (done.exit_code, "rollback and loss of the machine cannot be detected" in done.output) == (0, True)
    assert "GW120" in doctor(place.path)

    (tmp_path / "blocked").write_text("")
    with Kept(log, origin=origin, directories=(tmp_path / "anchors", tmp_path / "blocked")) as kept:
        wait_for(lambda: kept.codes() == ["audit.anchor_failed"])
        wait_for(lambda: len([each for each in read(log).anchors if each.size or each.problem]) == 2)
    write(log, 5, origin)
    done = gateway("audit", "anchors", "--state-dir", place.path, "--json")
    assert done.exit_code == 1
    (shown,) = json.loads(done.output)["logs"]
    fine, blocked, _ = shown["anchors"]
    assert (shown["log"], shown["size"]) == (origin, 12)
    assert (fine["kind"], fine["size"], fine["behind"], fine["problem"]) == ("directory", 5, 7, None)
    assert blocked["problem"]
    done = gateway("audit", "anchors", "--state-dir", place.path)
    assert "behind by" in done.output
    found = doctor(place.path)
    assert "GW121" in found
    assert "GW120" not in found


def test_no_record(tmp_path):
    """Without a record there is nothing to show."""
    assert gateway("audit", "anchors", "--state-dir", tmp_path).exit_code == 2
    assert gateway("audit", "witness", "key", "--state-dir", tmp_path).exit_code == 2


def test_the_gateway_anchors(tmp_path):
    """A gateway that is told of a directory anchors there while it runs, at its end, and says so in its health."""
    program = f"""
from pathlib import Path
from gateway.resources import Resources
from gateway.settings import Settings
import json, sys, time
settings = Settings.load({{
    "GATEWAY_STATE_DIR": {str(tmp_path / "state")!r}, "GATEWAY_POLICIES": {str(ROOT / "policies")!r},
    "GATEWAY_AUDIT__ANCHOR_DIRECTORIES": {str(tmp_path / "anchors")!r}, "GATEWAY_AUDIT__ANCHOR_INTERVAL": "0.2",
}})
resources = Resources.open(settings)
resources.announce()
until = time.monotonic() + 15
while not resources.health.report()["anchors"][0]["size"] and time.monotonic() < until:
    time.sleep(0.05)
print(json.dumps(resources.health.report()["anchors"]))
resources.close()
"""
    done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)[0]
    assert (shown["kind"], shown["problem"], shown["conflict"]) == ("directory", None, None)
    assert shown["size"] > 0
    (log,) = (tmp_path / "state" / "audit").glob("*/w0")
    (path,) = (tmp_path / "anchors").rglob("*.checkpoints")
    assert last_note(path).text.decode() == (log / "checkpoint").read_text().partition("\n\n")[0] + "\n"
