"""`gateway policy` as people and pipelines use it: a real process, its exit code, what it prints where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.policy.sources import FULL, SMALL, VPN

RUN = "from gateway.cli.policy import app; app()"


def run(policies: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "GATEWAY_POLICIES": str(policies), "COLUMNS": "200"}
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "vpn.txt").write_bytes(VPN)
    # Without the entry that ends: these tests are run on any day.
    (tmp_path / "0001-initial.toml").write_text(FULL.replace(", expires = 2027-01-31", ""))
    assert run(tmp_path, "release").returncode == 0
    return tmp_path


def test_check_fine(policies):
    """Everything in order: exit code 0, one line a file, a note for what is not enforced."""
    done = run(policies, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0001-initial.toml: active, sha256:" in done.stdout
    assert "1 of 1 tests passed" in done.stdout
    assert "note: " in done.stdout
    assert "sessions.concurrent" in done.stdout


def test_check_finding(policies):
    """A test inside that fails: exit code 1, and what was expected and what came."""
    (policies / "0002-x.toml").write_text(
        FULL.replace('expect = "deny"', 'expect = "allow"').replace(", expires = 2027-01-31", "")
    )
    done = run(policies, "check")
    assert done.returncode == 1
    assert "tests[0] (a visitor from outside is refused): expected outcome allow, got deny" in done.stderr


def test_check_invalid(policies):
    """Invalid: exit code 2, and every problem as `error: place: message` with a `hint:` line."""
    (policies / "0002-x.toml").write_text(SMALL.replace("113.0/24", "113.1/24") + "network = []")
    done = run(policies, "check", "0002")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    place = f"error: {policies}/0002-x.toml: "
    assert [line for line in lines if line.startswith(place + "networks.office[0]: ")]
    assert [line for line in lines if line.startswith(place + "rules[0]: unknown key 'network'")]
    assert "hint: did you mean 'networks'?" in lines


def test_check_altered(policies):
    """A released file that was changed: exit code 2 and the way to a new revision."""
    with (policies / "networks" / "vpn.txt").open("a") as stream:
        stream.write("# more\n")
    done = run(policies, "check")
    assert done.returncode == 2
    assert "vpn.txt: belongs to revision 0001 and was changed after its release" in done.stderr
    assert "hint: a released file never changes" in done.stderr


def test_check_one_file(policies):
    """One file is checked by its path, wherever it lies, without a lock."""
    (policies / "drafts").mkdir()
    (policies / "drafts" / "0007-x.toml").write_text(SMALL)
    done = run(policies, "check", str(policies / "drafts" / "0007-x.toml"))
    assert done.returncode == 0
    assert "0007-x.toml: not released" in done.stdout


@pytest.mark.parametrize("file", ["nowhere/0001-x.toml", "0099", "x.toml"])
def test_check_missing(policies, file):
    """A file that is not there is invalid, not fine."""
    assert run(policies, "check", file).returncode == 2


def test_check_json(policies):
    """`--json` gives the same in one document on stdout, problems included."""
    (policies / "0002-x.toml").write_text("schema = 2")
    done = run(policies, "check", "--json")
    assert done.returncode == 2
    first, second = json.loads(done.stdout)["policies"]
    assert (first["revision"], first["problems"], first["tests"][0]["passed"]) == ("0001", [], True)
    assert {problem["place"].rpartition(": ")[2] for problem in second["problems"]} >= {"schema", "title"}


def test_list(policies):
    """The list says which revision is active, which are released and which are not."""
    (policies / "0002-small.toml").write_text(SMALL)
    (policies / "0003-wrong.toml").write_text("x")
    assert run(policies, "release", "0002").returncode == 0
    rows = {row["revision"]: row for row in json.loads(run(policies, "list", "--json").stdout)["revisions"]}
    assert [rows[number]["state"] for number in ("0001", "0002", "0003")] == ["released", "active", "not released"]
    assert (rows["0002"]["title"], rows["0003"]["title"]) == ("T", None)
    table = run(policies, "list").stdout
    assert "0002-small.toml" in table
    assert "not released" in table


def test_release_and_activate(policies):
    """A release prints what is active now; `activate` goes back; what is wrong changes nothing."""
    (policies / "0002-small.toml").write_text(SMALL)
    assert run(policies, "release").stdout.startswith("released 0002, sha256:")
    assert json.loads(run(policies, "activate", "0001", "--json").stdout)["activated"] == "0001"
    done = run(policies, "activate", "0009")
    assert done.returncode == 2
    assert "revision '0009' is not released" in done.stderr
    assert json.loads(run(policies, "list", "--json").stdout)["active"] == "0001"


def test_release_with_failing_tests(policies):
    """A release whose tests fail ends with exit code 1."""
    (policies / "0002-x.toml").write_text(
        FULL.replace('reason = "no-rule-matched"', 'reason = "host-not-allowed"').replace(", expires = 2027-01-31", "")
    )
    done = run(policies, "release")
    assert done.returncode == 1
    assert "expected reason host-not-allowed, got no-rule-matched" in done.stderr


def test_no_directory(tmp_path):
    """A directory that is not there: exit code 2, and how to name another one."""
    done = run(tmp_path / "none", "check")
    assert done.returncode == 2
    assert "--policies" in done.stderr + run(tmp_path / "none", "release").stderr


def test_escape_sequences_stay_out_of_the_terminal(policies):
    """What a file holds cannot write to the terminal of whoever checks it."""
    (policies / "0002-x.toml").write_bytes(SMALL.encode() + b'"\\u001b[2J" = 1\n')
    done = run(policies, "check")
    assert "\x1b" not in done.stdout + done.stderr
