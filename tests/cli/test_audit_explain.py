"""`gateway audit explain` and `timeline`, over decisions that real policies have made and a real ledger has written."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from gateway.audit import Durability, Ledger, Stamp, opened, stamp
from gateway.audit.questions.timeline import steps
from gateway.audit.reader import last
from gateway.audit.stamp import ulid
from gateway.cli.audit import app
from gateway.model import Allow, Deny, ExchangeOpened, Method, Principal, Reason
from gateway.policy.decide import decide
from tests.audit.asked_record import BOB, FIRST, context, of_revision, write


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write(tmp_path_factory.mktemp("explained"))


def run(record, verb, *arguments):
    options = ["--policies", str(record.policies)] if verb == "explain" else []
    done = CliRunner().invoke(app, [verb, "--state-dir", str(record.state), *options, *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def explained(record, event, exit_code=0):
    done = run(record, "explain", event, "--json")
    assert done.exit_code == exit_code, done.stderr
    return json.loads(done.stdout)


def add(record, *exchanges, at=None):
    with Ledger.open(record.directory, origin=record.log) as ledger:
        for each in exchanges:
            ledger.append(opened(each, at or stamp()), Durability.BEFORE).wait(5)


# --- explain --------------------------------------------------------------------------------------------------


def test_a_refusal_is_explained_with_the_revision_that_made_it(record):
    """The rule with its words, the checks, the file with its digest, and the same decision made again."""
    found = explained(record, "req-ledger")
    (decision,) = found["decisions"]
    assert [event["unmapped"]["gateway"]["phase"] for event in found["events"]] == ["decision", "outcome"]
    assert decision["revision"]["file"].endswith("0001-first.toml") and decision["revision"]["same"]
    assert decision["revision"]["digest_of_the_file"] == decision["revision"]["digest"]
    again = decision["again"]
    assert (again["outcome"], again["reason"], again["rule"]) == ("deny", "denied-by-rule", "no-ledger")
    assert again["because"] == "Ledger pages are for the finance group."
    assert (decision["differences"], again["inexact"]) == ([], [])
    assert [check["name"] for check in again["trace"]] == [check["name"] for check in decision["recorded"]["trace"]]


def test_what_was_allowed_has_its_checks_made_again(record):
    """An allowed request stores no trace: it is made again from the stored inputs with the file that judged."""
    done = run(record, "explain", "req-allowed")
    assert done.exit_code == 0
    assert "✓ rules  allowed by staff" in done.stdout
    assert "Staff in the office use the tools." in done.stdout
    assert "the file is the one that judged" in done.stdout


def test_what_would_be_decided_today(record):
    """The same inputs under the active revision: here a network that has been added since."""
    today = explained(record, "req-outside")["decisions"][0]["today"]
    assert (today["revision"], today["outcome"], today["rule"]) == ("0002", "allow", "staff")
    assert "today       under revision 0002: allow" in run(record, "explain", "req-outside").stdout


NAMES = [
    ("a request id", lambda event: event["metadata"]["correlation_uid"], 2),
    ("a place in a log", lambda event: f"{event['metadata']['log_name']}:{event['metadata']['sequence']}", 2),
    ("a uid", lambda event: event["metadata"]["uid"], 2),
    ("a uid in lower case", lambda event: event["metadata"]["uid"].lower(), 2),
]


@pytest.mark.parametrize(("name", "of", "count"), NAMES, ids=[row[0] for row in NAMES])
def test_an_event_is_found_by_whatever_is_quoted(record, name, of, count):
    """A request id, a place in a log, a uid: each leads to the whole exchange."""
    event = explained(record, "req-outside")["events"][1]
    assert len(explained(record, of(event))["events"]) == count


def test_an_event_outside_an_exchange_is_found_too(record):
    """An event of the log's own life has no decision; it is shown."""
    event = next(each.event for each in last(record.directory) if each.event["metadata"]["event_code"] == "audit.start")
    done = run(record, "explain", event["metadata"]["uid"])
    assert (done.exit_code, "audit.start" in done.stdout, "none among these events" in done.stdout) == (0, True, True)


def test_a_uid_is_found_when_the_clock_was_set_back(tmp_path):
    """A uid begins with a later time than the event's, when the clock was set back: then every line is looked at."""
    record = write(tmp_path)
    uid = ulid(1_890_000_000_000, 7)
    policy = of_revision(record.policies, "0001")
    made = ExchangeOpened("req-back", context(), decide(policy, context()), "1.1", 1)
    add(record, made, at=Stamp(1_790_000_000_000, uid))
    assert explained(record, uid)["events"][0]["metadata"]["correlation_uid"] == "req-back"


def test_decisions_inside_a_socket_are_explained_each(record):
    """The handshake, and every message that was refused."""
    done = explained(record, "req-socket")
    assert [each["again"]["reason"] for each in done["decisions"]] == ["allowed-by-rule", "message-not-allowed"]
    assert len(done["events"]) == 8


def test_a_limit_is_not_taken_for_a_rule(record):
    """What a limit of the gateway has refused was not decided by the policy: that is said, and is no contradiction."""
    decision = explained(record, "req-limited")["decisions"][0]
    assert (decision["by_the_engine"], decision["differences"]) == (False, [])
    assert "a limit or a check of the gateway itself" in run(record, "explain", "req-limited").stdout


def test_a_changed_file_is_noticed(tmp_path):
    """The digest of the revision's file is compared with the event's: one that was edited since is not what judged."""
    record = write(tmp_path)
    file = record.policies / "0001-first.toml"
    file.write_text(FIRST.replace("203.0.113.0/24", "192.0.2.0/24"))
    decision = explained(record, "req-allowed")["decisions"][0]
    assert decision["revision"]["same"] is False
    assert decision["again"]["outcome"] == "deny" and decision["differences"] == []
    assert "THE FILE DIFFERS" in run(record, "explain", "req-allowed").stdout
    file.unlink()
    decision = explained(record, "req-allowed")["decisions"][0]
    assert decision["again"] is None and "no file of revision 0001" in decision["revision"]["problem"]


def test_a_decision_that_the_policy_does_not_give_is_a_finding(tmp_path):
    """The same inputs and the same revision, and another decision: exit code 1, and in what they differ."""
    record = write(tmp_path)
    policy = of_revision(record.policies, "0001")
    add(record, ExchangeOpened("req-lie", context(), Deny(Reason.DENIED_BY_RULE, policy.ref, "no-ledger"), "1.1", 1))
    found = explained(record, "req-lie", exit_code=1)["decisions"][0]
    assert found["differences"] == [
        "outcome deny then, allow made again",
        "reason denied-by-rule then, allowed-by-rule made again",
        "rule no-ledger then, staff made again",
    ]


def test_shortened_inputs_cannot_be_judged_exactly(tmp_path):
    """What was shortened or erased in the inputs is named, and nothing is called a contradiction because of it."""
    record = write(tmp_path)
    policy = of_revision(record.policies, "0001")
    long = context(path="/x" + "y" * 3000, page="/x", host="tools.corp.example")
    secret = context(path="/x/123e4567-e89b-12d3-a456-426614174000", page=None)
    lying = Deny(Reason.DENIED_BY_RULE, policy.ref, "no-ledger")
    add(record, *(ExchangeOpened(f"req-{at}", asked, lying, "1.1", 1) for at, asked in enumerate((long, secret))))
    for request, said in (("req-0", "path was shortened"), ("req-1", "path was erased in part")):
        decision = explained(record, request)["decisions"][0]
        assert said in decision["again"]["inexact"]
        assert decision["differences"] == []
        assert f"not exactly: {said}" in run(record, "explain", request).stdout


def test_what_is_not_there_is_said(record):
    """An unknown reference ends with exit code 2."""
    for event in ("req-nothing", f"{record.log}:999999", "01JD3N6Q8Z5W4V7T2R9K1M0XBC"):
        done = run(record, "explain", event)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "no such event" in done.stderr


def test_explaining_is_recorded(record):
    """Who has looked at what is an event of the commands' own log."""
    run(record, "explain", "req-ledger")
    (log,) = (record.state / "audit").glob("*/cli")
    newest = next(last(log)).event
    assert newest["metadata"]["event_code"] == "audit.query"
    assert newest["unmapped"]["gateway"]["details"] == {"explain": "req-ledger"}


# --- timeline -------------------------------------------------------------------------------------------------

VISIT = [
    ("page", "asked for /"),
    ("refusal", "refused /ledger: denied-by-rule"),
    ("refusal", "refused /.env: not-found"),
    ("refusal", "refused /: rate-limited"),
    ("socket", "socket opened"),
    ("page", "page /"),
    ("activity", "button pay x3; 4 runs, the longest 400 ms"),
    ("file", "uploaded figures.csv (1.2 kB)"),
    ("file", "downloaded report.xlsx (5.0 MB)"),
    ("refusal", "refused clear_cache on /: message-not-allowed"),
    ("error", "script raised ValueError (at 0badc0de)"),
    ("socket", "socket closed, code 1001, 80.0 kB out, 900 B in"),
]


def test_a_session_is_told_in_steps(record):
    """Pages, sockets, widgets, files, refusals, errors, in the order of time, by the beginning of the session."""
    found = json.loads(run(record, "timeline", "5b0e77a1", "--json").stdout)
    assert [(step["kind"], step["what"]) for step in found["steps"]] == VISIT
    assert found["sessions"] == ["5b0e77a1c2d94f30"]
    assert found["users"] == ["alice@corp.example", BOB.id]
    assert found["from"] <= found["to"]


def test_a_user_is_told_in_the_same_way(record):
    """`--user` tells everything that one user did, whatever the session."""
    found = json.loads(run(record, "timeline", "--user", BOB.id, "--json").stdout)
    assert [step["what"] for step in found["steps"]] == [
        "refused /ledger: denied-by-rule",
        *(what for _, what in VISIT[4:]),
    ]


def test_a_timeline_is_read_on_a_terminal(record):
    """The table has the time of each step and what happened; nothing else is needed to follow a visit."""
    shown = run(record, "timeline", "5b0e77a1c2d94f30").stdout
    assert "time (UTC)" in shown
    assert all(what in shown for _, what in VISIT)


TIMELINE_MISTAKES = [
    ([], "name a session or a user"),
    (["5b0e77a1", "--user", "x"], "name a session or a user"),
    (["5b0e"], "nothing in the record"),
    (["0000000000"], "nothing in the record"),
    (["--user", "nobody"], "nothing in the record"),
]


@pytest.mark.parametrize(("arguments", "message"), TIMELINE_MISTAKES, ids=[str(row[0]) for row in TIMELINE_MISTAKES])
def test_a_timeline_of_nobody(record, arguments, message):
    """Exit code 2, and what is wrong."""
    done = run(record, "timeline", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_beginning_of_several_sessions_is_not_one(tmp_path):
    """A beginning that several sessions share is refused, and they are named."""
    record = write(tmp_path)
    policy = of_revision(record.policies, "0001")
    twin = context(session="5b0e77a1c2d90000", principal=Principal("eve", Method.OIDC))
    add(record, ExchangeOpened("req-twin", twin, decide(policy, twin), "1.1", 1))
    done = run(record, "timeline", "5b0e77a1")
    assert done.exit_code == 2
    assert "5b0e77a1c2d90000, 5b0e77a1c2d94f30" in done.stderr
    assert run(record, "timeline", "5b0e77a1c2d90000").exit_code == 0


def test_parts_of_a_page_are_counted_and_gaps_are_told():
    """Requests for scripts and pictures become one step with their number; each says how long after the last it was."""
    begin = datetime(2026, 9, 21, 13, tzinfo=UTC)
    empty = dict.fromkeys(
        ("request", "user", "client", "message", "file", "file_size", "status", "reason", "text", "details", "page")
    )

    def row(number, seconds, **more):
        basis = {"time": begin + timedelta(seconds=seconds), "log": "l", "sequence": number, "code": "http.request"}
        return empty | basis | {"phase": "decision", "decision": "allowed", "method": "GET", "path": "/x"} | more

    rows = [
        row(0, 0, surface="page", page="/x"),
        *(row(number, 0.01 * number, surface="static") for number in range(1, 5)),
        row(5, 300, surface="page", page="/y", method="POST"),
        row(6, 300.5, surface="page", phase="outcome", status=500, reason="application-error"),
    ]
    found = [(step.what, step.count, step.gap) for step in steps(rows)]
    assert found == [
        ("asked for /x", 1, 0),
        ("4 requests for parts of pages and files", 4, 10),
        ("asked for POST /y", 1, 299_990),
        ("/x ended with 500: application-error", 1, 500),
    ]


def test_replay_is_exact(record):
    """Every decision of the record that the policy made comes out the same when it is made again."""
    policy = of_revision(record.policies, "0001")
    requests = ("req-allowed", "req-ledger", "req-outside", "req-probe", "req-socket")
    for request in requests:
        for decision in explained(record, request)["decisions"]:
            assert decision["revision"]["digest"] == policy.ref.digest
            assert decision["differences"] == [] and decision["by_the_engine"]
    assert isinstance(decide(policy, replace(context(), principal=BOB)), Allow)
