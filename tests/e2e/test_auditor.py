"""An auditor's day: an incident, the question that finds it, its explanation, the proof, and the check elsewhere.

From start to end on the command line, as somebody types it. The other machine has Python, `cryptography`, the one file
of the verifier, the evidence, and the key that was noted when the gateway was installed; nothing of the gateway.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cryptography
import pytest

from tests.e2e.conftest import COLLEAGUE, GATEWAY, OUTSIDER, POLICY, gateway_served, wait_for
from tests.support.processes import clean_environment

ATTEMPTS = 3


def gateway(*arguments, state, code=0):
    """What a command prints. `code`: the exit code that it must have."""
    environment = clean_environment({"GATEWAY_STATE_DIR": str(state), "COLUMNS": "200"})
    done = subprocess.run(
        [*GATEWAY, "audit", *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    """A gateway's state directory after an ordinary morning in which one colleague tried what they may not."""
    directory = tmp_path_factory.mktemp("incident")
    with gateway_served(directory) as served:
        first_key = gateway("key", state=served.state)
        for _ in range(5):
            assert served.get("/").status_code == 200
        with served.http(COLLEAGUE) as colleague:
            assert colleague.get("/").status_code == 200
            refused = [colleague.get("/ledger") for _ in range(ATTEMPTS)]
            session = colleague.get("/.gateway/whoami").json()["session"]
        assert {answer.status_code for answer in refused} == {403}
        assert served.get("/", source=OUTSIDER).status_code == 403
        reference = refused[-1].headers["x-request-id"]
        assert reference in refused[-1].text  # the page quotes it, so a visitor can
        wait_for(lambda: sum("/ledger" in json.dumps(each) for each in served.records()), lambda n: n >= 2 * ATTEMPTS)
        state = served.state
    return {"state": state, "reference": reference, "keys": first_key, "directory": directory, "session": session}


@pytest.fixture
def elsewhere(tmp_path):
    """Another machine: an interpreter that knows `cryptography` and the verifier, and no gateway."""
    packages = Path(cryptography.__file__).parents[1]
    library = tmp_path / "elsewhere" / "packages"
    library.mkdir(parents=True)
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        for path in packages.glob(f"{name}*"):
            (library / path.name).symlink_to(path)

    def run(*arguments):
        command = [sys._base_executable, "-S", *map(str, arguments)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(library)}
        return subprocess.run(command, cwd=library.parent, capture_output=True, text=True, env=environment, timeout=60)

    assert "No module named 'gateway'" in run("-c", "import gateway").stderr
    return run


def test_the_question_that_finds_it(incident):
    """Who was refused, by client: the colleague stands out; then each attempt, with its time, page, rule and reason."""
    counted = json.loads(
        gateway("query", "--question", "denied-by-client", "--format", "json", state=incident["state"]).splitlines()[0]
    )
    assert counted["client"] == COLLEAGUE
    found = [
        json.loads(line)
        for line in gateway(
            "query", f"decision:denied client:{COLLEAGUE} path:/ledger since:1h", "--format", "json",
            "--columns", "request,rule,reason,page,phase", state=incident["state"],
        ).splitlines()
    ]  # fmt: skip
    attempts = {each["request"] for each in found}
    assert (len(attempts), incident["reference"] in attempts) == (ATTEMPTS, True)
    assert {(each["rule"], each["page"]) for each in found} == {("no-ledger", "/ledger")}


def test_the_explanation(incident):
    """The reference on the visitor's page leads to the rule, its reason, the file that made it, and today's answer."""
    policies = incident["directory"] / "policies"
    told = gateway("explain", incident["reference"], "--policies", policies, state=incident["state"])
    because = "The ledger is closed."
    assert because in POLICY
    for expected in ("no-ledger", because, "0001-test.toml", COLLEAGUE, "deny"):
        assert expected in told
    explained = json.loads(
        gateway("explain", incident["reference"], "--policies", policies, "--json", state=incident["state"])
    )
    assert "no-ledger" in json.dumps(explained)


def test_what_else_happened_in_that_session(incident):
    """The session's timeline has the page that was open to them, and each attempt."""
    entry = json.loads(
        gateway(
            "query", f"request:{incident['reference']}", "--columns", "session", "--format", "json", "--limit", 1,
            state=incident["state"],
        )
    )  # fmt: skip
    told = gateway("timeline", entry["session"], state=incident["state"])
    assert told.count("/ledger") >= ATTEMPTS


def test_the_proof_and_the_check_elsewhere(incident, elsewhere, tmp_path):
    """The refusal is proven on a machine without the gateway, by the key that was noted at the installation."""
    evidence = tmp_path / "evidence"
    proven = json.loads(gateway("prove", incident["reference"], "-o", evidence, "--json", state=incident["state"]))
    (tmp_path / "noted-keys.txt").write_text(incident["keys"])
    verifier = tmp_path / "verifier.py"
    verifier.write_text(gateway("verifier", state=incident["state"]))
    assert len(proven["proven"]) == 2  # the decision, and how it ended
    for each in proven["proven"]:
        command = [
            verifier, "proof", each["event"], each["proof"],
            "--chain", each["chain"], "--key", tmp_path / "noted-keys.txt",
        ]  # fmt: skip
        done = elsewhere(*command)
        assert (done.returncode, done.stdout.startswith("proven: event ")) == (0, True), done.stdout + done.stderr
        event = Path(each["event"])
        event.write_bytes(event.read_bytes().replace(b"127.0.0.2", b"127.0.0.3"))
        done = elsewhere(*command)
        assert (done.returncode, "not proven" in done.stdout) == (1, True)


def test_the_whole_record_elsewhere(incident, elsewhere, tmp_path):
    """A copy of the log verifies with the same file and key; with one letter changed it does not, and says where."""
    verifier = tmp_path / "verifier.py"
    verifier.write_text(gateway("verifier", state=incident["state"]))
    (tmp_path / "noted-keys.txt").write_text(incident["keys"])
    [log] = incident["state"].glob("audit/*/w0")
    copy = tmp_path / "copy"
    shutil.copytree(log, copy, ignore=shutil.ignore_patterns("keys", "LOCK"))
    command = [verifier, "log", copy, "--key", tmp_path / "noted-keys.txt"]
    done = elsewhere(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    [segment] = copy.glob("seg-*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"127.0.0.2", b"127.0.0.3", 1))
    done = elsewhere(*command)
    assert (done.returncode, "GW102" in done.stdout) == (1, True), done.stdout + done.stderr


def test_the_auditor_is_recorded_too(incident):
    """What the auditor has asked and taken away stands in the record, with who they are: the log of the commands."""
    gateway("query", "reason:no-rule-matched", state=incident["state"])
    told = gateway("query", "code:audit.query", "--format", "json", state=incident["state"]).splitlines()
    assert told
    assert "audit.query" in told[0]
    verified = json.loads(gateway("verify", "--json", state=incident["state"]))
    assert {log["origin"].split("/")[1] for log in verified["logs"]} == {"w0", "cli"}
    assert [log["findings"] for log in verified["logs"]] == [[], []]
