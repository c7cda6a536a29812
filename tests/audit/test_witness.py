"""The witness: it signs what continues what it has signed, and nothing else. Expectations: c2sp.org/tlog-witness."""

import base64
import hashlib
import json
import shutil
import threading
import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, LedgerOptions, lifecycle, stamp
from gateway.audit.anchors.keeper import AnchorKeeper, Places
from gateway.audit.anchors.places import PeerPlace, WitnessPlace
from gateway.audit.verifier import Key, read_anchors, verify_log
from gateway.cli import app
from tests.audit.forge import Key as ForgedKey
from tests.audit.forge import b64, note, proof
from tests.audit.reading import codes, details
from tests.support.processes import PYTHON, free_port, running

ORIGIN = "gw.example/audit/main/w0"
COMMAND = [PYTHON, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "audit", "witness", "serve"]
LEAVES = [hashlib.sha256(b"\0" + str(each).encode()).digest() for each in range(64)]
QUICK = LedgerOptions(segment_size=64 * 1024, reserve=4096)


class Running:
    """A witness, as its clients see it."""

    def __init__(self, url, vkey, process):
        self.url, self.vkey, self.process = url, vkey, process

    def post(self, body):
        return httpx.post(f"{self.url}/add-checkpoint", content=body, trust_env=False)

    def add(self, old, hashes, text):
        lines = "".join(f"{b64(each)}\n" for each in hashes)
        return self.post(f"old {old}\n{lines}\n{text}".encode())


def witness_process(state, *keys, port=None):
    port = port or free_port()
    logs = [part for key in keys for part in ("--log", key)]
    command = [*COMMAND, "--state", state, "--port", str(port), "--name", "witness.example/w1", *logs]
    return port, running(command, ready_line="witness at")


@pytest.fixture(scope="module")
def log_key():
    return ForgedKey(ORIGIN)


@pytest.fixture(scope="module")
def one(tmp_path_factory, log_key):
    """A witness for the whole file; each test that changes what it has uses a log of its own."""
    others = [ForgedKey(f"log/{each}") for each in range(8)]
    state = tmp_path_factory.mktemp("witness") / "state"
    port, process = witness_process(state, log_key.vkey, *(each.vkey for each in others))
    with process as started:
        vkey = started.output().split("key ")[1].split()[0]
        found = Running(f"http://127.0.0.1:{port}", vkey, started)
        found.others = others
        found.state = state
        yield found


def note_of(key, size, origin=None):
    return note(key, LEAVES[:size], origin or key.vkey.split("+")[0])


def test_it_signs_what_continues(one, log_key):
    """The first checkpoint from size 0, then each with the proof that it continues the one before; the signature is a
    timestamped Ed25519 cosignature."""
    for old, new in ((0, 5), (5, 5), (5, 13), (13, 64)):
        hashes = proof(old, LEAVES[:new]) if old else []
        answer = one.add(old, hashes, note_of(log_key, new))
        assert answer.status_code == 200
        name, signature = answer.text.removeprefix("\u2014 ").rstrip("\n").split(" ")
        assert name == "witness.example/w1"
        raw = base64.b64decode(signature)
        public = base64.b64decode(one.vkey.split("+", 2)[2])
        assert public[0] == 4
        assert raw[:4] == hashlib.sha256(b"witness.example/w1\n" + public).digest()[:4]
        at = int.from_bytes(raw[4:12], "big")
        assert abs(at - time.time()) < 10
        body = note_of(log_key, new).partition("\n\n")[0] + "\n"
        message = f"cosignature/v1\ntime {at}\n{body}".encode()
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[12:], message)


def fork(size):
    return [b"\1" * 32, *LEAVES[1:size]]


@pytest.mark.parametrize(
    ("number", "old", "hashes", "leaves", "signer", "expected"),
    [
        (0, 0, [], LEAVES[:20], None, (409, "9\n")),
        (0, 9, [], LEAVES[:20], None, (422, None)),
        (0, 9, proof(9, LEAVES[:20])[::-1], LEAVES[:20], None, (422, None)),
        (0, 9, proof(9, fork(20)), fork(20), None, (422, None)),
        (0, 9, [], fork(9), None, (409, "9\n")),
        (0, 12, [], LEAVES[:9], None, (400, None)),
        (0, 9, proof(9, LEAVES[:20]), LEAVES[:20], ForgedKey("log/0"), (403, None)),
        (1, 0, [LEAVES[0]], LEAVES[:3], None, (422, None)),
        (None, 0, [], LEAVES[:3], ForgedKey("log/unknown"), (404, None)),
    ],
    ids=[
        "old size",
        "no proof",
        "wrong proof",
        "fork",
        "fork, same size",
        "old above new",
        "key",
        "proof from 0",
        "log",
    ],
)
def test_it_refuses_what_does_not(one, number, old, hashes, leaves, signer, expected):
    """Each refusal has the status that the specification gives it, and changes nothing."""
    key = one.others[number] if number is not None else signer
    if number == 0:
        assert one.add(0, [], note_of(key, 9)).status_code in (200, 409)
    origin = key.vkey.split("+")[0]
    answer = one.add(old, hashes, note(signer or key, leaves, origin))
    status, body = expected
    assert answer.status_code == status
    if body is not None:
        assert answer.text == body
        assert answer.headers["content-type"] == "text/x.tlog.size"
    if number == 0:
        assert one.add(9, [], note_of(key, 9)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 00\n\n%s",
        b"old -1\n\n%s",
        b"new 0\n\n%s",
        b"old 0\nnot base64\n\n%s",
        b"old 0\n" + b"AAAA\n" + b"\n%s",
        b"old 0\n" + (b64(b"x" * 32).encode() + b"\n") * 64 + b"\n%s",
        b"old 0\n\nnothing\n",
        b"\xff\xfe",
    ],
)
def test_a_malformed_request(one, log_key, body):
    """What has not the form of a request is answered with 400."""
    assert one.post(body.replace(b"%s", note_of(log_key, 3).encode())).status_code == 400


def test_a_request_that_is_too_long(one):
    """No more is read than a request can have."""
    assert one.post(b"old 0\n" + b"A" * 200_000).status_code == 413
    assert httpx.get(f"{one.url}/add-checkpoint", trust_env=False).status_code == 405


def test_evidence_is_kept(one):
    """A checkpoint that a log has signed, and that does not continue what it had signed, is kept."""
    key = one.others[2]
    assert one.add(0, [], note_of(key, 9)).status_code == 200
    forked = note(key, fork(20), "log/2")
    assert one.add(9, proof(9, fork(20)), forked).status_code == 422
    assert forked in [path.read_text() for path in (one.state / "refused").iterdir()]


def test_one_at_a_time(one):
    """Of many requests that continue the same checkpoint, one is signed; the others are told the new size."""
    key, answers = one.others[3], []
    assert one.add(0, [], note_of(key, 4)).status_code == 200

    def ask(size):
        answers.append(one.add(4, proof(4, LEAVES[:size]), note_of(key, size)).status_code)

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(10, 20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(answers) == [200] + [409] * 9


def test_the_newest_checkpoint_can_be_read(one):
    """By the SHA-256 of its origin, with the witness's signature on it."""
    key = one.others[4]
    line = one.add(0, [], note_of(key, 7)).text
    digest = hashlib.sha256(b"log/4").hexdigest()
    assert httpx.get(f"{one.url}/checkpoints/{digest}", trust_env=False).text == note_of(key, 7) + line
    assert httpx.get(f"{one.url}/checkpoints/{'0' * 64}", trust_env=False).status_code == 404


def test_it_remembers(tmp_path, log_key):
    """After a restart, also after kill -9, it goes on where it was; under another name, or twice, it does not start."""
    state = tmp_path / "state"
    _, process = witness_process(state, log_key.vkey)
    with process as first:
        found = Running(f"http://127.0.0.1:{_}", None, first)
        assert found.add(0, [], note_of(log_key, 5)).status_code == 200
        second = CliRunner().invoke(
            app, ["audit", "witness", "serve", "--state", str(state), "--log", log_key.vkey, "--port", str(free_port())]
        )
        assert (second.exit_code, "in use by another process" in second.output) == (3, True)
        first.kill()
    port, process = witness_process(state, log_key.vkey)
    with process as again:
        found = Running(f"http://127.0.0.1:{port}", None, again)
        assert found.add(0, [], note_of(log_key, 6)).text == "5\n"
        assert found.add(5, proof(5, LEAVES[:6]), note_of(log_key, 6)).status_code == 200
        assert again.stop() == 0
    named = CliRunner().invoke(
        app, ["audit", "witness", "serve", "--state", str(state), "--log", log_key.vkey, "--name", "other"]
    )
    assert (named.exit_code, "not of other" in named.output) == (3, True)


# --- with a log of ours --------------------------------------------------------------------------------------------


def written(directory, count=20):
    with Ledger.open(directory, origin=ORIGIN, options=QUICK) as ledger:
        for number in range(count):
            ledger.append(lifecycle("a.test", "x" * 300, {"n": number}, stamp()), Durability.BEFORE).wait(5)


def kept(directory, *places, seconds=1.5):
    """The events that a keeper noted within this time."""
    noted = []
    keeper = AnchorKeeper(directory, ORIGIN, Places(witnesses=places, interval=0.2), noted.append)
    keeper.start()
    until = time.monotonic() + 10
    while not noted and time.monotonic() < until:
        time.sleep(0.05)
    keeper.close()
    return noted, keeper.statuses


def test_a_log_is_witnessed(tmp_path):
    """The log asks the witness for a signature on its checkpoint, keeps it, goes on after rolls, and the verifier takes
    the note for an anchor; a log that was put back is refused, and that is an alarm."""
    log, before = tmp_path / "log", tmp_path / "before"
    written(log)
    shutil.copytree(log, before)
    vkey = CliRunner().invoke(app, ["audit", "witness", "key", "--log", str(log)]).output.strip()
    shutil.copytree(log / "keys", before / "keys", dirs_exist_ok=True)  # whoever puts a log back has its anchor key too
    port, process = witness_process(tmp_path / "witness", vkey)
    with process as started:
        place = WitnessPlace.parse(f"{started.output().split('key ')[1].split()[0]}@http://127.0.0.1:{port}")
        noted, statuses = kept(log, place)
        assert [each.code for each in noted] == ["audit.witnessed"]
        written(log, 300)  # several segments, each with a key of its own
        noted, statuses = kept(log, place)
        assert [each.code for each in noted] == ["audit.witnessed"]
        assert [each.problem for each in statuses if each.kind == "witness"] == [None]
        note_file = max((log / "witness").glob("*.note"))
        assert len(note_file.read_text().splitlines()) == 7
        first = json.loads((log / "seg-000000000000.jsonl").open().readline())["vkey"]
        found = verify_log(log, keys=[Key.parse(first)], anchors=read_anchors([log / "witness"]))
        assert (found.findings, found.anchors, found.anchors_unchecked) == ((), 2, 0)

        prove = [
            "audit",
            "prove",
            "9",
            "--log",
            str(log),
            "--witnessed",
            "--unrecorded",
            "-o",
            str(tmp_path / "e.json"),
        ]
        (proven,) = json.loads(CliRunner().invoke(app, [*prove, "--json"]).output)["proven"]
        check = ["audit", "check-proof", proven["event"], proven["proof"], "--key", proven["key"], "--witness"]
        shown = CliRunner().invoke(app, [*check, place.key.vkey])
        assert (shown.exit_code, "witnessed: by witness.example/w1, 20" in shown.output) == (0, True)
        assert CliRunner().invoke(app, [*check, _witness_vkey()]).exit_code == 1
        assert CliRunner().invoke(app, [*check, proven["key"]]).exit_code == 2

        noted, statuses = kept(before, place)
        assert [each.code for each in noted] == ["audit.anchor_conflict"]
        assert "has signed a log of" in str(statuses[-1].conflict)

        elsewhere, told = tmp_path / "elsewhere", []
        with Ledger.open(elsewhere, origin="elsewhere", options=QUICK):
            pass
        peer = f"http://127.0.0.1:{port}/checkpoints/{hashlib.sha256(ORIGIN.encode()).hexdigest()}"
        places = Places(peers=(PeerPlace.parse(f"{vkey}@{peer}"),), interval=0.2)
        keeper = AnchorKeeper(elsewhere, "elsewhere", places, told.append)
        keeper.start()
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            time.sleep(0.05)
        keeper.close()
        assert [each.code for each in told] == ["audit.anchor"]


def test_a_witness_that_does_not_know_us(tmp_path, log_key):
    """An unknown log, and a witness that does not answer, are told once, and again when it works."""
    log = tmp_path / "log"
    written(log, 3)
    port, process = witness_process(tmp_path / "witness", log_key.vkey)  # the same origin, under another key
    with process as started:
        vkey = started.output().split("key ")[1].split()[0]
        noted, statuses = kept(log, WitnessPlace.parse(f"{vkey}@http://127.0.0.1:{port}"))
        assert [each.code for each in noted] == ["audit.anchor_failed"]
        assert "answered 403" in statuses[-1].problem
    noted, statuses = kept(log, WitnessPlace.parse(f"{vkey}@http://127.0.0.1:{port}"))
    assert [each.code for each in noted] == ["audit.anchor_failed"]
    assert statuses[-1].problem == "no answer: ConnectError"


def test_a_witness_with_another_key(tmp_path):
    """What answers under another key than the one that was configured has witnessed nothing."""
    log = tmp_path / "log"
    written(log, 3)
    vkey = CliRunner().invoke(app, ["audit", "witness", "key", "--log", str(log)]).output.strip()
    port, process = witness_process(tmp_path / "witness", vkey)
    _, other = witness_process(tmp_path / "other", vkey)
    with process, other as elsewhere:
        wrong = elsewhere.output().split("key ")[1].split()[0]
        noted, statuses = kept(log, WitnessPlace.parse(f"{wrong}@http://127.0.0.1:{port}"))
    assert [each.code for each in noted] == ["audit.anchor_failed"]
    assert statuses[-1].problem == "answered without a signature of its key"
    assert not (log / "witness").exists()


def test_codes_are_those_of_the_record(tmp_path):
    """The alarms go into the log like any other event, with their facts."""
    log = tmp_path / "log"
    with Ledger.open(log, origin=ORIGIN, options=QUICK) as ledger:
        place = WitnessPlace.parse(f"{_witness_vkey()}@http://127.0.0.1:{free_port()}")
        keeper = AnchorKeeper(
            log, ORIGIN, Places(witnesses=(place,), interval=0.1), lambda each: ledger.append(each, Durability.BEFORE)
        )
        keeper.start()
        until = time.monotonic() + 10
        while "audit.anchor_failed" not in codes(log) and time.monotonic() < until:
            time.sleep(0.1)
        keeper.close()
    (facts,) = details(log, "audit.anchor_failed")
    assert facts["kind"] == "witness"
    assert facts["place"].startswith("w at http://127.0.0.1:")
    assert facts["problem"] == "no answer: ConnectError"


def _witness_vkey():
    public = b"\4" + bytes(32)
    return f"w+{hashlib.sha256(b'w' + chr(10).encode() + public).digest()[:4].hex()}+{b64(public)}"
