"""What an event says, checked against the published schema and against what a hostile client may send."""

import json
from dataclasses import replace

import pytest

from gateway.audit import admin_action, closed, lifecycle, opened, policy_change, script_error
from gateway.audit.activity import Happening, happened
from gateway.audit.events import HARD_CAP, Violation, csp_violation
from gateway.audit.exchanges import message, rejudged
from gateway.audit.files import Transfer, transferred
from gateway.model import Check, Client, Deny, PolicyRef, Principal, Provenance, Reason, RequestContext, Surface
from tests.audit.ocsf import problems
from tests.audit.samples import (
    ALLOW,
    CHALLENGE,
    DENY,
    POLICY,
    REDIRECT,
    STAFF,
    STAMP,
    end,
    exchange,
    line,
    socket,
)

UNKNOWN_CLIENT = Client(None, Provenance.UNKNOWN, Reason.CLIENT_ADDRESS_MALFORMED, ("forwarded-malformed",))

UPLOAD = exchange(
    method="PUT",
    path="/_stcore/upload_file/0b5c1d2e-1111-4222-8333-444455556666/9f2c41d0-7be3-4a86-9f2c-41d07be35a86",
    surface=Surface.UPLOAD,
    page=None,
)
DOWNLOAD = exchange(path=f"/media/{'9f' * 28}.mp4", surface=Surface.MEDIA, page=None)

KINDS = {
    "http allowed": opened(exchange(), STAMP),
    "http denied, with its trace": opened(exchange(DENY), STAMP),
    "http challenged": opened(exchange(CHALLENGE), STAMP),
    "http redirected": opened(exchange(REDIRECT, scheme="http"), STAMP),
    "http by a signed-in user through two proxies": opened(
        exchange(
            principal=STAFF,
            client=Client("2001:db8::7", Provenance.FORWARDED, None, ("forwarded",)),
            forwarded=("10.20.0.1", "10.20.0.2"),
        ),
        STAMP,
    ),
    "http from nobody knows where": opened(
        exchange(DENY, peer=None, client=UNKNOWN_CLIENT, host=None, host_problem=Reason.HOST_MALFORMED), STAMP
    ),
    "http with a method of its own": opened(exchange(DENY, method="BREW"), STAMP),
    "http answered": closed(end(exchange()), STAMP),
    "http answered with nothing": closed(end(exchange(), status=None, complete=False), STAMP),
    "http refused later": closed(end(exchange(), Reason.BODY_TOO_LARGE, 413), STAMP),
    "http broken": closed(end(exchange(), Reason.APPLICATION_ERROR, 500), STAMP),
    "socket opened": opened(socket(), STAMP),
    "socket refused": opened(socket(Deny(Reason.ORIGIN_NOT_ALLOWED, POLICY)), STAMP),
    "socket closed": closed(end(socket(), status=101, close_code=1001), STAMP),
    "socket revoked": closed(end(socket(), Reason.DENIED_BY_RULE, 101, close_code=4403), STAMP),
    "socket refused and closed": closed(end(socket(DENY), status=403), STAMP),
    "message refused": message(
        socket(Deny(Reason.MESSAGE_NOT_ALLOWED, POLICY), surface=Surface.MESSAGE, message="clear_cache"), STAMP
    ),
    "page refused in a socket": message(
        replace(socket(Deny(Reason.DENIED_BY_RULE, POLICY)), context=exchange(path="/vault", page="/vault").context),
        STAMP,
    ),
    "socket judged again": rejudged(socket(), STAMP),
    "socket judged again, and refused": rejudged(socket(DENY), STAMP),
    "page opened": happened(Happening(socket(), "page.open", "/vault", {}), STAMP),
    "what happened": happened(
        Happening(socket(), "socket.activity", None, {"runs": 3, "actions": ["button pay"]}), STAMP
    ),
    "somebody else's session": happened(Happening(socket(), "session.foreign", None, {}), STAMP),
    "gateway started": lifecycle("gateway.start", "the gateway runs", {"version": "0.1.0"}, STAMP),
    "log recovered": lifecycle("audit.recovered", "…", {"torn_bytes": 12, "sha256": "ab", "file": "torn"}, STAMP),
    "first policy": policy_change(None, POLICY, Principal(), {}, STAMP),
    "policy changed": policy_change(POLICY, PolicyRef("0008", "sha256:00"), STAFF, {"because": "SEC-1234"}, STAMP),
    "file came in": transferred(Transfer("upload", "Q3 zählung.csv", 12, "ab" * 32, "text/csv"), UPLOAD, STAMP),
    "file refused": transferred(
        Transfer("upload", "x.exe", 1024, None, "text/csv", refused=Reason.UPLOAD_TYPE_NOT_ALLOWED), UPLOAD, STAMP
    ),
    "part of a file went out": transferred(
        Transfer("download", "film.mp4", 100, "ab" * 32, "video/mp4", "bytes 0-99/1000"), DOWNLOAD, STAMP
    ),
    "script raised": script_error("ValueError", "9f2c", STAFF, STAMP, page="/ledger", request_id="req-1"),
    "violation reported": csp_violation(
        Violation("/ledger", "img-src", "https://images.example", "enforce", "/static/js/index.js", 7),
        STAFF,
        "aa",
        POLICY,
        STAMP,
    ),
    "violations counted": csp_violation(
        Violation("/", "script-src-elem", "inline", "report"), Principal(), None, POLICY, STAMP, count=249, since=1
    ),
    "administrator from the network": admin_action("session.revoke", STAFF, "10.0.0.1", {"session": "ab"}, STAMP),
    "administrator on the host": admin_action("policy.release", STAFF, "host-1", {}, STAMP, succeeded=False),
}


@pytest.mark.parametrize("event", KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_event_is_valid_ocsf(event):
    """Every line of the record is an event of OCSF 1.8.0, without an unknown attribute and without a missing one."""
    assert problems(json.loads(line(event))) == []


@pytest.mark.parametrize("event", KINDS.values(), ids=KINDS.keys())
def test_an_ordinary_event_takes_at_most_two_kilobytes(event):
    """An event of ordinary traffic takes at most 2 KB."""
    assert len(line(event, 10**12)) <= 2048


OUTCOMES = [  # event, activity, severity, status, action, disposition: numbers of OCSF 1.8.0
    ("http allowed", 3, 1, 1, 1, 1),
    ("http denied, with its trace", 3, 2, 2, 2, 2),
    ("http challenged", 3, 1, 2, 2, 23),
    ("http redirected", 3, 1, 1, 4, 7),
    ("http with a method of its own", 99, 2, 2, 2, 2),
    ("http answered", 3, 1, 1, 1, 1),
    ("http answered with nothing", 3, 1, 2, 1, 1),
    ("http refused later", 3, 2, 2, 2, 25),
    ("http broken", 3, 3, 2, 1, 27),
    ("socket opened", 1, 1, 1, 1, 1),
    ("socket refused", 5, 3, 2, 2, 2),
    ("socket closed", 2, 1, 1, 1, 1),
    ("socket revoked", 2, 2, 2, 2, 24),
    ("socket refused and closed", 5, 2, 2, 2, 2),
    ("message refused", 6, 3, 2, 2, 2),
    ("page refused in a socket", 6, 2, 2, 2, 2),
    ("socket judged again", 6, 1, 1, 1, 1),
    ("socket judged again, and refused", 6, 2, 2, 2, 2),
    ("page opened", 6, 1, 1, 1, 1),
    ("what happened", 6, 1, 1, 1, 1),
    ("somebody else's session", 6, 3, 2, 2, 2),
    ("file came in", 1, 1, 1, 1, 1),
    ("file refused", 1, 2, 2, 2, 2),
    ("part of a file went out", 2, 1, 1, 1, 1),
]


@pytest.mark.parametrize(("kind", "activity", "severity", "status", "action", "disposition"), OUTCOMES)
def test_an_outcome_has_its_numbers(kind, activity, severity, status, action, disposition):
    """The same outcome always has the same OCSF numbers."""
    event = json.loads(line(KINDS[kind]))
    found = [event[name] for name in ("activity_id", "severity_id", "status_id", "action_id", "disposition_id")]
    assert found == [activity, severity, status, action, disposition]


METHODS = [
    ("CONNECT", 1),
    ("DELETE", 2),
    ("GET", 3),
    ("HEAD", 4),
    ("OPTIONS", 5),
    ("POST", 6),
    ("PUT", 7),
    ("TRACE", 8),
    ("PATCH", 9),
    ("PROPFIND", 99),
]


@pytest.mark.parametrize(("method", "activity"), METHODS)
def test_every_method_has_an_activity(method, activity):
    """The activity of an HTTP event is its method; 99 stands for one that OCSF does not know."""
    assert json.loads(line(opened(exchange(method=method), STAMP)))["type_uid"] == 400200 + activity


REPLAYED = {
    "plain": exchange(),
    "signed in, proxied, with origin": exchange(
        principal=STAFF, client=Client("192.0.2.1", Provenance.FORWARDED), origin="https://a.example", port=8443
    ),
    "message": socket(message="rerun_script", page="/ledger"),
    "control characters in the path": exchange(path="/a\r\nb\x1b[31m\u2028\u202e"),
    "unknown client": exchange(DENY, client=UNKNOWN_CLIENT, peer=None),
}


@pytest.mark.parametrize("before", REPLAYED.values(), ids=REPLAYED.keys())
def test_a_decision_can_be_replayed_from_its_record(before):
    """The record of a decision holds everything that the engine looked at, exactly."""
    import msgspec

    inputs = json.loads(line(opened(before, STAMP)))["unmapped"]["gateway"]["inputs"]
    assert msgspec.convert(inputs, RequestContext) == before.context


HOSTILE = {  # what a client may put into a path, an origin or a user agent
    "line feed": 'x\n{"metadata":{"sequence":0}}',
    "carriage return": "x\r\nSet-Cookie: a=b",
    "ANSI colours": "\x1b[31mred\x1b[0m",
    "ANSI through C1": "\x9b31mred",
    "bell, backspace, delete": "\x07\x08\x7f",
    "line separators of Unicode": "a\u2028b\u2029c\x85d",
    "bidirectional override": "\u202egnp.exe\u2066",
    "byte order mark, zero width": "\ufeff\u200b\u200d",
    "quotes and backslashes": '","action_id":1,"x":"\\"',
    "NUL": "a\0b",
    "lone surrogates": "a\ud800b\udfffc",
    "tag characters": "\U000e0041\U000e0042",
    "64 KB": "A" * 65536,
    "64 KB of quotes": '"' * 65536,
    "64 KB of controls": "\x1b" * 65536,
    "64 KB of astral tags": "\U000e0041" * 65536,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("make", [exchange, socket])
def test_what_a_client_sends_cannot_forge_or_bloat_a_record(make, text):
    """Whatever a client sends, its event is one line of printable, valid UTF-8, of 8 KB at most, and still an event."""
    hostile = make(
        Deny(Reason.TARGET_MALFORMED, POLICY, None, (Check("target", False, text),) * 50),
        path="/" + text,
        origin=text,
        host=text,
        page=text,
        message=text if make is socket else None,
        method=text,
        session=text,
        user_agent=text,
        request_id=text,
        principal=Principal(text, groups=(text,) * 200),
        client=Client("192.0.2.1", Provenance.DIRECT, None, (text,) * 100),
    )
    for event in (opened(hostile, STAMP), closed(end(hostile, status=400), STAMP)):
        written = line(event, 10**12)
        assert len(written) < HARD_CAP
        assert written.decode().isprintable()
        assert len(written.decode().splitlines()) == 1
        assert problems(json.loads(written)) == []
        assert json.loads(written)["action_id"] == 2


def test_a_shortened_event_says_so():
    """A value that was cut is marked in the event, with the place of each."""
    event = json.loads(line(opened(exchange(path="/" + "a" * 5000), STAMP)))
    assert event["metadata"]["is_truncated"] is True
    assert event["unmapped"]["gateway"]["truncated"] == ["/http_request/url/path", "/unmapped/gateway/inputs/path"]
    assert len(event["http_request"]["url"]["path"]) == 1024


def test_details_of_rare_events_are_bounded_too():
    """The facts of an administrator's action cannot exceed the cap either."""
    event = admin_action("x" * 70000, STAFF, "h" * 70000, {f"k{n}" * 99: "\x1b" * 70000 for n in range(99)}, STAMP)
    assert len(line(event)) <= HARD_CAP
    assert json.loads(line(event))["metadata"]["is_truncated"] is True


def test_a_client_that_is_the_peer_has_a_port_and_another_has_none():
    """The port in the record belongs to the peer; it never stands beside an address that a proxy has named."""
    direct = json.loads(line(opened(exchange(), STAMP)))
    proxied = json.loads(line(opened(exchange(client=Client("192.0.2.1", Provenance.FORWARDED)), STAMP)))
    assert direct["src_endpoint"] == {"ip": "10.20.30.40", "port": 51234}
    assert proxied["src_endpoint"] == {"ip": "192.0.2.1"}


def test_every_decision_names_the_policy_it_was_made_under():
    """Revision, digest and rule of a decision are in its event and in the closing one."""
    for event in (opened(exchange(), STAMP), closed(end(exchange()), STAMP)):
        record = json.loads(line(event))
        assert record["policy"]["version"] == "0007"
        assert record["firewall_rule"] == {"uid": "staff", "name": "staff"}
        assert record["unmapped"]["gateway"]["policy_digest"] == POLICY.digest
        assert record["metadata"]["correlation_uid"] == "req-7f3a9c2e51d04b6a"
    assert ALLOW.policy is POLICY


def test_a_file_event_holds_no_session_and_no_content_address():
    """A file is known by its name and digest; the Streamlit session and the media id of its address are pseudonyms."""
    for kind in ("file came in", "part of a file went out"):
        text = line(KINDS[kind]).decode()
        assert "0b5c1d2e-1111-4222-8333-444455556666" not in text
        assert "9f" * 28 not in text
        assert "{sha256:" in text


def test_a_long_file_name_is_shortened_and_said_to_be():
    """A name beyond 256 characters is cut, and the event says so."""
    event = json.loads(line(transferred(Transfer("upload", "x" * 5000, 1, "ab" * 32, "text/csv"), UPLOAD, STAMP)))
    assert len(event["file"]["name"]) == 256
    assert event["metadata"]["is_truncated"]
    assert "/file/name" in event["unmapped"]["gateway"]["truncated"]
