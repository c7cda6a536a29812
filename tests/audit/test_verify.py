"""`gateway audit verify`, `verifier` and `key`, run as commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit import Durability, Ledger, LedgerOptions, ledger_directory, lifecycle, stamp, verifier
from tests.audit import forge
from tests.audit.forge import Forger

COMMAND = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "audit"]


def run(verb, *arguments, **environment):
    done = subprocess.run(
        [*COMMAND, verb, *map(str, arguments)],
        capture_output=True,
        timeout=60,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def state(tmp_path):
    """A state directory with two logs, of which one has several segments."""
    for worker, size in (("w0", 32 * 1024), ("w1", 1024 * 1024)):
        options = LedgerOptions(segment_size=size, reserve=4096)
        directory = ledger_directory(tmp_path / "state", "main", worker)
        with Ledger.open(directory, origin=f"gw.example/main/{worker}", options=options) as ledger:
            for number in range(100):
                made = lifecycle("gateway.start", "x" * 300, {"number": number}, stamp())
                receipt = ledger.append(made, Durability.BEFORE)
            receipt.wait(5)
    return tmp_path / "state"


def first_keys(state):
    code, out, _ = run("key", "--state-dir", state)
    assert code == 0
    return out


def test_a_record_without_findings(state, tmp_path):
    """It says for each log what was verified, whether its first key was compared, and how many anchors agree."""
    (tmp_path / "keys").write_text(first_keys(state))
    anchors = tmp_path / "anchors"
    anchors.mkdir()
    (anchors / "README").write_text("not a checkpoint")
    for path in (state / "audit" / "main").iterdir():
        (anchors / path.name).write_text((path / "checkpoint").read_text())
    code, out, err = run("verify", "--state-dir", state, "--key", tmp_path / "keys", "--anchor", anchors)
    assert (code, err) == (0, "")
    blocks = out.strip().split("\n\n")
    assert [block.splitlines()[0].split() for block in blocks] == [["log", f"gw.example/main/w{n}"] for n in (0, 1)]
    for block in blocks:
        shown = " ".join(block.split())
        assert "events 102 from" in shown and "as given" in shown and "anchors 1 agree result fine" in shown
    assert "not compared:" not in out and "no anchor:" not in out


def test_what_was_not_compared_is_said(state):
    """Without keys and anchors the record is verified, and what that does not show is said."""
    code, out, _ = run("verify", GATEWAY_STATE_DIR=str(state))
    assert code == 0
    assert "not compared:" in out and "no anchor:" in out


def test_a_finding_is_explained(state):
    """A finding is printed with its id, its place, the risk and the caution, and the command ends with 1."""
    path = ledger_directory(state, "main", "w1") / "seg-000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":42', b'"number":43', 1))
    code, out, _ = run("verify", "--state-dir", state)
    assert code == 1
    assert "GW102 events that are not those that were signed for" in out
    assert re.search(rf"{re.escape(str(path))}:\d+: events \d+ to \d+", out)
    assert "risk: " in out and "caution: " in out
    code, out, _ = run("verify", path.parent, "--json")
    found = json.loads(out)
    assert (code, found["findings"]) == (1, 1)
    (log,) = found["logs"]
    (finding,) = log["findings"]
    assert (log["origin"], log["pinned"], finding["id"]) == ("gw.example/main/w1", False, "GW102")
    first, last = finding["sequences"]
    assert first <= 43 <= last


def test_only_the_directories_that_are_named(state):
    """With directories, only the logs in them are verified, wherever they are."""
    code, out, _ = run("verify", ledger_directory(state, "main", "w0"), "--every-commit", "--json")
    assert code == 0
    (log,) = json.loads(out)["logs"]
    assert (log["origin"], log["events"], log["not_acknowledged"]) == ("gw.example/main/w0", 102, 0)
    assert log["segments"] == len(log["keys"]) > 1
    assert log["keys"][0] == {"from": 0, "vkey": log["first_vkey"]}
    assert log["last_time"] >= log["first_time"] > 1.7e12


def test_a_log_that_is_not_there(state):
    """A log whose key was given, and which is nowhere below the state directory, is a finding."""
    code, out, _ = run("verify", "--state-dir", state, "--key", forge.Key("gw.example/main/w7").vkey)
    assert code == 1
    assert "GW119" in out and "gw.example/main/w7" in out


def test_the_key_of_another_log(state):
    """A key under the log's name which is not its first key is a finding."""
    code, out, _ = run("verify", "--state-dir", state, "--key", forge.Key("gw.example/main/w0").vkey)
    assert code == 1
    assert "GW109" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state-dir", "/nowhere"], "/nowhere: no log there"),
        (["/nowhere"], "/nowhere: no log there"),
        (["--key", "nonsense"], "nonsense: neither a verifier key nor a file of them"),
        (["--anchor", "/nowhere"], "/nowhere: not a file of checkpoints"),
        (["--anchor", "/bin/sh"], "/bin/sh: not a file of checkpoints"),
    ],
)
def test_what_cannot_be_used(state, arguments, message):
    """A wrong argument is said, with exit code 2, and nothing is called fine."""
    where = [] if "--state-dir" in arguments else ["--state-dir", state]
    code, out, err = run("verify", *where, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_an_anchor_of_a_log_that_is_not_here(state, tmp_path):
    """An anchor of another log proves nothing here, and that is said."""
    other = Forger(tmp_path / "other", "gw.example/other/w0").segment([3])
    code, _, err = run("verify", "--state-dir", state, "--anchor", other.anchor(tmp_path / "anchor"))
    assert code == 0
    assert "warning: anchors of gw.example/other/w0" in err


def test_large_logs_are_verified_on_all_processors(tmp_path):
    """Many segments are shared out among processes; sealed ones are read, and a finding is found as before."""
    log = Forger(tmp_path / "state" / "audit" / "main" / "w0", "o")
    for _ in range(3):
        log.segment([300], make=lambda n: forge.event(n, "x" * 20_000))
    log.seal(0)
    arguments = ("--state-dir", tmp_path / "state", "--key", log.keys[0].vkey)
    code, out, err = run("verify", *arguments)
    assert (code, err) == (0, "")
    log.plain(1).write_bytes(log.plain(1).read_bytes().replace(b"xxx", b"xyx", 1))
    code, out, _ = run("verify", *arguments)
    assert code == 1
    assert "GW102" in out


def test_hostile_names_do_not_reach_the_terminal(tmp_path):
    """Whatever somebody has written into a log, the terminal gets printable text."""
    log = Forger(tmp_path / "state" / "audit" / "main" / "w0", "o\x1b[2J").segment([3])
    log.plain(0).write_bytes(log.plain(0).read_bytes().replace(b'"x"', b'"y"'))
    _, out, _ = run("verify", "--state-dir", tmp_path / "state")
    assert "\x1b" not in out


def test_the_first_key_and_the_current_one(state):
    """`key` prints the first key of each log; `--current` that of the running segment; `--json` both."""
    keys = first_keys(state).splitlines()
    assert [verifier.Key.parse(each).name for each in keys] == ["gw.example/main/w0", "gw.example/main/w1"]
    code, current, _ = run("key", "--current", ledger_directory(state, "main", "w0"))
    assert code == 0
    assert current.strip() != keys[0]
    rows = json.loads(run("key", "--json", "--state-dir", state)[1])["logs"]
    assert [(row["first"], row["current"] == row["first"]) for row in rows] == [(keys[0], False), (keys[1], True)]
    assert run("key", "--state-dir", "/nowhere")[0] == 2


def test_the_verifier_is_printed(state, tmp_path):
    """`verifier` prints the program, which runs where there is no gateway."""
    code, out, _ = run("verifier")
    assert code == 0
    assert out == Path(verifier.__file__).read_text()
    (tmp_path / "verifier.py").write_text(out)
    directory = ledger_directory(state, "main", "w0")
    done = subprocess.run([sys.executable, "-I", tmp_path / "verifier.py", "log", directory], capture_output=True)
    assert done.returncode == 0
    assert b"nothing found" in done.stdout


@pytest.mark.parametrize("verb", ["verify", "verifier", "key"])
def test_help_has_examples(verb):
    """`--help` shows how the command is used."""
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert "For example:" in out
