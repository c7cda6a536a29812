"""The two logs that structlog writes: the process log for operators, the record for reviewers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit import Ledger
from gateway.audit.log import audit_logger
from gateway.errors import AuditUnavailable
from tests.audit.ocsf import problems
from tests.audit.reading import codes, details, events
from tests.audit.samples import STAFF

ROOT = Path(__file__).parents[2]


def process_log(format_):
    program = ROOT / "tests" / "audit" / "programs" / "logs.py"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, program, format_], capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
    return done.stderr.decode()


def test_everything_goes_through_one_handler_as_json():
    """uvicorn's, Streamlit's and our own lines are one JSON object each, once, without secrets."""
    lines = [json.loads(line) for line in process_log("json").splitlines()]
    assert [line["event"].split()[0] for line in lines] == ["one", "two", "three", "five\\x1b[31m", "six", "broken"]
    assert lines[0]["logger"] == "streamlit.web.server"
    assert lines[0]["level"] == "warning"
    assert lines[4] | {"timestamp": ""} == {
        "event": "six", "password": "[erased]", "count": 3, "level": "info", "logger": "gateway.x", "timestamp": "",
    }  # fmt: skip
    assert "ValueError: eight" in lines[5]["exception"]
    assert "hunter2" not in json.dumps(lines)


def test_everything_goes_through_one_handler_for_people():
    """On the console each line is readable, once, without secrets and without anything that steers the terminal."""
    shown = process_log("console")
    for word in ("one", "two", "three", "five", "six", "broken"):
        assert shown.count(f" {word}") == 1
    assert "hunter2" not in shown and "four" not in shown and "seven" not in shown
    assert "\x1b" not in shown


def test_a_structlog_event_becomes_a_record(tmp_path):
    """An event's name is its code, what is bound and passed are its details, and the call returns the receipt."""
    with Ledger.open(tmp_path, origin="o") as ledger:
        log = audit_logger(ledger, STAFF).bind(report="Q3")
        log.info("report.approved", pages=4, token="hunter2").wait(5)
        before = {"previous_revision": "0007", "previous_digest": "sha256:a"}
        log.info("policy.change", revision="0008", digest="sha256:b", **before).wait(5)
        log.info("policy.change", revision="0008", digest="sha256:b").wait(5)
        log.error("script.error", exception="ValueError", frames="9f2c", page="/ledger").wait(5)
        log.warning("admin.action", operation="session.revoke", source="10.0.0.1", durability="async").wait(5)
    assert codes(tmp_path)[1:-1] == [
        "report.approved",
        "policy.change",
        "policy.change",
        "script.error",
        "admin.action",
    ]
    assert [problems(event) for event in events(tmp_path)] == [[]] * 7
    assert details(tmp_path, "report.approved") == [{"report": "Q3", "pages": 4}]
    change = events(tmp_path)[2]
    assert (change["entity"]["version"], change["entity_result"]["version"]) == ("0007", "0008")
    assert change["actor"]["user"]["uid"] == "j.doe@example.com"
    assert events(tmp_path)[5]["unmapped"]["gateway"]["durability"] == "async"
    with pytest.raises(AuditUnavailable):
        log.info("report.approved")


@pytest.mark.parametrize("code", ["approved", "Report.Approved", "report approved", "report.", "a.b\n", ""])
def test_an_event_without_a_proper_code_is_refused(tmp_path, code):
    """A code is words of a-z, 0-9 and _ joined by dots: other texts are a mistake in the program."""
    with Ledger.open(tmp_path, origin="o") as ledger, pytest.raises(ValueError, match="event's code"):
        audit_logger(ledger).info(code)
