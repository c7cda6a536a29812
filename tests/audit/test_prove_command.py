"""`gateway audit prove`, `check-proof` and `consistency`, as somebody types them."""

import json
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, LedgerOptions, admin_action, opened, stamp
from gateway.audit.note import Signer, checkpoint, checkpoint_text
from gateway.audit.tree import leaf_hash
from gateway.cli import app
from gateway.state.directory import StateDirectory
from tests.audit.reading import events
from tests.audit.samples import STAFF, exchange
from tests.support.processes import PYTHON, ROOT

VERIFIER = ROOT / "gateway" / "audit" / "verifier.py"
QUIET = LedgerOptions(segment_size=64 * 1024, reserve=4096)


@pytest.fixture
def state(tmp_path):
    """A state directory with a log of several segments; the events of two requests stand in it."""
    place = StateDirectory.prepare(tmp_path / "state")
    with Ledger.open(place.audit_directory(), origin=f"{place.instance}/w0", options=QUIET) as ledger:
        for number in range(200):
            ledger.append(opened(exchange(request_id=f"req-{number // 2}"), stamp()), Durability.BEFORE).wait(5)
    return place


def gateway(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def log_of(state):
    return state.audit_directory()


def test_an_event_is_proven_by_its_uid(state, tmp_path):
    """The event's line, byte for byte, and its proof: with the key, they convince the stand-alone verifier."""
    event = events(log_of(state))[77]
    uid = event["metadata"]["uid"]
    done = gateway("prove", uid, "--output", tmp_path / "evidence", "--state-dir", state.path, "--json")
    assert done.exit_code == 0, done.output
    (proven,) = json.loads(done.output)["proven"]
    assert (proven["sequence"], proven["event"]) == (77, str(tmp_path / "evidence" / f"{uid}.json"))
    assert json.loads((tmp_path / "evidence" / f"{uid}.json").read_bytes()) == event
    command = [PYTHON, VERIFIER, "proof", proven["event"], proven["proof"], "--key", proven["key"]]
    assert subprocess.run(command, capture_output=True).returncode == 0
    checked = gateway("check-proof", proven["event"], proven["proof"], "--key", proven["key"])
    assert checked.exit_code == 0
    assert checked.output.startswith(
        f"proven: event 77 of {state.instance}/w0, in its first 203 events".partition(",")[0]
    )


def test_the_proof_of_an_event_is_an_event(state, tmp_path):
    """What leaves the record is recorded, in the log of the commands, before it leaves; `--unrecorded` does not."""
    gateway("prove", 3, "-o", tmp_path / "a.json", "--state-dir", state.path)
    gateway("prove", 4, "-o", tmp_path / "b.json", "--state-dir", state.path, "--unrecorded")
    (told,) = events(state.audit_directory("cli"))
    assert told["metadata"]["event_code"] == "audit.export"
    assert told["unmapped"]["gateway"]["details"]["sequences"] == [3]
    assert (tmp_path / "b.json").exists()


def test_all_events_of_a_request(state, tmp_path):
    """With a request id, each event of the request gets its two files."""
    done = gateway("prove", "req-9", "-o", tmp_path / "all", "--state-dir", state.path)
    assert done.exit_code == 0
    assert len(list((tmp_path / "all").glob("*.json"))) == len(list((tmp_path / "all").glob("*.tlog-proof"))) == 2
    assert "python verifier.py proof" in done.output


def test_what_was_altered_is_not_proven(state, tmp_path):
    """Another line, another key: not proven, exit code 1."""
    gateway("prove", 5, "-o", tmp_path / "e.json", "--state-dir", state.path)
    proof = tmp_path / "e.tlog-proof"
    key = json.loads(gateway("prove", 5, "-o", tmp_path, "--state-dir", state.path, "--json").output)["proven"][0][
        "key"
    ]
    assert gateway("check-proof", tmp_path / "e.json", proof, "--key", key).exit_code == 0
    (tmp_path / "e.json").write_bytes((tmp_path / "e.json").read_bytes() + b"\n")
    assert gateway("check-proof", tmp_path / "e.json", proof, "--key", key).exit_code == 0
    (tmp_path / "e.json").write_bytes((tmp_path / "e.json").read_bytes() + b"\n")
    assert gateway("check-proof", tmp_path / "e.json", proof, "--key", key).exit_code == 1
    first = json.loads((log_of(state) / "seg-000000000000.jsonl").open().readline())["vkey"]
    assert gateway("check-proof", tmp_path / "e.json", proof, "--key", first).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing-like-it",), "no event with this uid"),
        (("100000",), "newer than the checkpoint"),
        (("7", "--at", "3"), "event 7 is newer than the checkpoint, which covers 3 events"),
        (("req-9", "-o", "one.json"), "one file, and there are several events"),
        (("7", "--log", "nowhere"), "there is no log here"),
    ],
)
def test_what_cannot_be_proven(state, arguments, message, monkeypatch, tmp_path):
    """Each refusal says why, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    done = gateway("prove", *arguments, "--state-dir", state.path, "--unrecorded")
    assert done.exit_code == 2
    assert message in done.output


def test_a_key_that_is_none(state, tmp_path):
    """A key that is no verifier key is refused, before anything is checked."""
    gateway("prove", 5, "-o", tmp_path / "e.json", "--state-dir", state.path, "--unrecorded")
    done = gateway("check-proof", tmp_path / "e.json", tmp_path / "e.tlog-proof", "--key", "a+b+c")
    assert done.exit_code == 2
    missing = gateway("check-proof", tmp_path / "missing.json", tmp_path / "e.tlog-proof", "--key", "a+b+c")
    assert missing.exit_code == 2


def test_the_log_continues_an_old_checkpoint(state, tmp_path):
    """A checkpoint that was kept is found in the log that has grown since; the proof is written for the verifier."""
    old = tmp_path / "old.txt"
    old.write_bytes((log_of(state) / "checkpoint").read_bytes())
    with Ledger.open(log_of(state), origin=f"{state.instance}/w0", options=QUIET) as ledger:
        for _ in range(50):
            ledger.append(admin_action("x", STAFF, "h", {}, stamp()), Durability.BEFORE).wait(5)
    done = gateway("consistency", old, "--state-dir", state.path, "--output", tmp_path / "proof.txt")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"proven: {state.instance}/w0 with 254 events begins with the 202")
    keys = tmp_path / "keys.txt"
    keys.write_bytes((log_of(state) / "keys" / "vkeys.log").read_bytes())
    new = log_of(state) / "checkpoint"
    command = [PYTHON, VERIFIER, "consistency", old, new, tmp_path / "proof.txt", "--key", keys]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_log_that_was_put_back(state, tmp_path):
    """A checkpoint that is greater than the log, or of other events, is told with exit code 1."""
    checkpoint = log_of(state) / "checkpoint"
    lines = checkpoint.read_text().split("\n")
    greater, other = tmp_path / "greater.txt", tmp_path / "other.txt"
    greater.write_text("\n".join([lines[0], "9999", *lines[2:]]))
    other.write_text("\n".join([lines[0], "150", *lines[2:]]))
    done = gateway("consistency", greater, "--state-dir", state.path)
    assert (done.exit_code, "was signed for 9999" in done.output) == (1, True)
    done = gateway("consistency", other, "--state-dir", state.path)
    assert (done.exit_code, "are not those that the older checkpoint was signed for" in done.output) == (1, True)


def test_a_checkpoint_that_nobody_has_signed(state, tmp_path):
    """A checkpoint that states what is true, under a signature that is not the log's, proves nothing."""
    lines = (log_of(state) / "checkpoint").read_text().split("\n")
    lines[4] = lines[4][:-20] + "A" * 18 + "=="
    (tmp_path / "forged.txt").write_text("\n".join(lines))
    done = gateway("consistency", tmp_path / "forged.txt", "--state-dir", state.path)
    assert (done.exit_code, "no key that the log had" in done.output) == (1, True)
    (tmp_path / "none.txt").write_text("nothing\n")
    assert gateway("consistency", tmp_path / "none.txt", "--state-dir", state.path).exit_code == 2


# --- from the log's first key to the one that signed ---


@pytest.fixture
def proven(state, tmp_path):
    """An event of the last segment, its proof, and the chain of the log's keys."""
    done = gateway("prove", 199, "-o", tmp_path / "evidence", "--state-dir", state.path, "--json")
    return json.loads(done.output)["proven"][0]


def stand_alone(proven, key, chain=None):
    command = [PYTHON, VERIFIER, "proof", proven["event"], proven["proof"], "--key", key]
    return subprocess.run([*command, *(["--chain", chain] if chain else [])], capture_output=True, text=True)


def test_the_first_key_is_enough(proven):
    """Whoever knows the log's first key follows the chain of keys to the one that signed, with nothing else at hand."""
    assert proven["first_key"] != proven["key"]
    assert stand_alone(proven, proven["first_key"]).returncode == 1
    assert stand_alone(proven, proven["first_key"], proven["chain"]).returncode == 0
    checked = gateway(
        "check-proof", proven["event"], proven["proof"], "--key", proven["first_key"], "--chain", proven["chain"]
    )
    assert (checked.exit_code, checked.output.startswith("proven: event 199")) == (0, True)


def without_a_link(lines):
    return [lines[0], *lines[2:]]


def with_another_roll(lines):
    last = json.loads(lines[-1])
    return [*lines[:-1], json.dumps(last | {"roll": json.loads(lines[-2])["roll"]}, separators=(",", ":")).encode()]


def with_another_tree(lines):
    last = json.loads(lines[-1])
    return [*lines[:-1], json.dumps(last | {"start": last["start"] ^ 3}, separators=(",", ":")).encode()]


def without_its_beginning(lines):
    return lines[1:]


def as_if_the_last_key_had_signed_later(lines):
    return lines[:-1]


BROKEN = [
    (without_a_link, "is not signed for by the one before it"),
    (with_another_roll, "is not signed for by the one before it"),
    (with_another_tree, "not proven"),
    (without_its_beginning, "does not begin with a key that was given"),
    (as_if_the_last_key_had_signed_later, "not signed by a key that was given"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_a_broken_chain_of_keys_proves_nothing(proven, tmp_path, change, message):
    """Each key must be signed for by the one before it, with the tree that it takes over; else nothing is proven."""
    chain = tmp_path / "broken.keys"
    chain.write_bytes(b"\n".join(change(Path(proven["chain"]).read_bytes().splitlines())) + b"\n")
    done = stand_alone(proven, proven["first_key"], chain)
    assert (done.returncode, message in done.stdout) == (1, True), done.stdout + done.stderr


def test_a_later_key_proves_nothing_about_an_earlier_log(state, tmp_path):
    """A stolen key signs for the epoch that it was made for: what it signs about an earlier size is refused."""
    with Ledger.open(log_of(state), origin=f"{state.instance}/w0", options=QUIET) as ledger:
        ledger.append(opened(exchange(), stamp()), Durability.BEFORE).wait(5)
    done = gateway("prove", 3, "-o", tmp_path / "evidence", "--state-dir", state.path, "--json")
    proven = json.loads(done.output)["proven"][0]
    thief = Signer(
        f"{state.instance}/w0",
        Ed25519PrivateKey.from_private_bytes(b64decode((log_of(state) / "keys" / "current").read_bytes())),
    )
    line = tmp_path / "evidence" / "forged.json"
    line.write_bytes(b'{"metadata":{"sequence":0,"forged":true}}')
    root = leaf_hash(line.read_bytes())
    signed = checkpoint(thief.vkey.split("+")[0], 1, root, thief.sign(checkpoint_text(f"{state.instance}/w0", 1, root)))
    proof = tmp_path / "evidence" / "forged.tlog-proof"
    proof.write_text(f"c2sp.org/tlog-proof@v1\nindex 0\n\n{signed}")
    forged = proven | {"event": line, "proof": proof}
    assert stand_alone(forged, thief.vkey).returncode == 0  # with that key alone it looks true
    assert stand_alone(forged, proven["first_key"], proven["chain"]).returncode == 1
