"""What browsers report about Content-Security-Policy: bounded, cleaned, counted."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.events import Violation
from gateway.middleware.exchange import Exchange
from gateway.model import Client, Provenance, RequestContext, Surface, Target
from gateway.web.reports import AT_ONCE, IN_ALL, LARGEST, PER_SESSION, Reports, parse
from tests.audit.ocsf import problems
from tests.e2e.conftest import COLLEAGUE, OUTSIDER, POLICY, gateway_served
from tests.policy.sources import SMALL, TODAY
from tests.policy.sources import parse as policy_of

OLD, NEW = "application/csp-report", "application/reports+json"
NONCE = "7wiXskIAmTxlFJBFHUSzKpbP"


def old(**changes) -> dict:
    """A report as Chromium 156 writes it for `report-uri` (CSP Level 2 §5.3)."""
    return {
        "csp-report": {
            "document-uri": "https://tools.corp.example/ledger?client=4711",
            "referrer": "",
            "violated-directive": "img-src",
            "effective-directive": "img-src",
            "original-policy": f"default-src 'none'; script-src 'nonce-{NONCE}'",
            "disposition": "enforce",
            "blocked-uri": "https://images.example/a.png?token=geheim",
            "line-number": 7,
            "source-file": "https://tools.corp.example/static/js/index.a1b2.js",
            "status-code": 200,
            "script-sample": "const password = 'geheim'",
        }
        | changes
    }


def new(**changes) -> dict:
    """The same report in the Reporting API's form (CSP Level 3 §5.3)."""
    body = {
        "documentURL": "https://tools.corp.example/ledger?client=4711",
        "effectiveDirective": "img-src",
        "blockedURL": "https://images.example/a.png?token=geheim",
        "originalPolicy": f"script-src 'nonce-{NONCE}'",
        "disposition": "enforce",
        "sourceFile": "https://tools.corp.example/static/js/index.a1b2.js",
        "lineNumber": 7,
        "sample": "geheim",
    }
    return {"type": "csp-violation", "age": 5, "url": body["documentURL"], "user_agent": "x", "body": body | changes}


def exchange(session: str | None = "aa") -> Exchange:
    context = RequestContext(
        received_at=None,
        kind="http",
        peer="203.0.113.7",
        client=Client("203.0.113.7", Provenance.DIRECT),
        scheme="https",
        method="POST",
        path="/.gateway/csp-report",
        surface=Surface.GATEWAY,
        host="tools.corp.example",
        session=session,
    )
    return Exchange("r1", context, policy_of(SMALL, today=TODAY), Target(Surface.GATEWAY))


EXPECTED = Violation("/ledger", "img-src", "https://images.example", "enforce", "/static/js/index.a1b2.js", 7)


@pytest.mark.parametrize(("report", "kind"), [(old(), OLD), ([new()], NEW)], ids=["report-uri", "Reporting API"])
def test_both_forms_say_the_same(report, kind):
    """A report is read in both forms in which browsers send it; queries, samples and the nonce are not kept."""
    found = parse(json.dumps(report).encode(), kind, exchange())
    assert found == [EXPECTED]
    assert not any(secret in repr(found) for secret in ("geheim", "4711", NONCE))


PLACES = [  # what the browser says was blocked, what is kept
    ("inline", "inline"),
    ("eval", "eval"),
    ("trusted-types-sink", "trusted-types-sink"),
    ("", "inline"),  # older browsers say nothing for inline code
    ("data", "data"),
    ("blob:https://tools.corp.example/3f2b", "blob"),
    ("https://basemaps.cartocdn.com/gl/style.json", "https://basemaps.cartocdn.com"),
    ("https://x.example:8443/a", "https://x.example:8443"),
    ("https://tools.corp.example/media/0123abcd.svg", "/media/…"),
    ("https://tools.corp.example/_stcore/upload_file/SESSION/FILE", "/_stcore/upload_file/…"),
    ("https://tools.corp.example/static/js/a.js?x=1", "/static/js/a.js"),
    ("https://tools.corp.example/", "/"),
]


@pytest.mark.parametrize(("blocked", "kept"), PLACES)
def test_of_an_address_only_the_place_is_kept(blocked, kept):
    """Outside it is the origin; with us the first names of the path: what follows may be an upload or a session."""
    [found] = parse(json.dumps(old(**{"blocked-uri": blocked})).encode(), OLD, exchange())
    assert found.blocked == kept


NOT_REPORTS = [
    ("not JSON", b"{", OLD),
    ("not an object", b"[]", OLD),
    ("another object", b'{"a": 1}', OLD),
    ("deep", b"[" * 100_000, NEW),
    ("an unknown directive", json.dumps(old(**{"effective-directive": "drop table"})).encode(), OLD),
    ("an unknown disposition", json.dumps(old(disposition="maybe")).encode(), OLD),
    ("a page elsewhere", json.dumps(old(**{"document-uri": "https://evil.example/"})).encode(), OLD),
    ("a strange address", json.dumps(old(**{"blocked-uri": "\u202egeheim"})).encode(), OLD),
    ("a port that is none", json.dumps(old(**{"blocked-uri": "https://x.example:99999999/"})).encode(), OLD),
    ("an object where a list belongs", json.dumps(new()).encode(), NEW),
]


@pytest.mark.parametrize(("name", "body", "kind"), NOT_REPORTS, ids=[row[0] for row in NOT_REPORTS])
def test_what_is_no_report_is_not_kept(name, body, kind):
    """What a browser would not send is not written down."""
    assert parse(body, kind, exchange()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
PLACE = st.text(max_size=60) | st.builds(
    "{}://{}/{}".format, st.text(max_size=8), st.text(max_size=20), st.text(max_size=20)
)


@given(
    values=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys((*old()["csp-report"], *new()["body"]), PLACE | JSON),
    ),
    kind=st.sampled_from([OLD, NEW]),
    whole=st.none() | JSON,
)
def test_whatever_is_sent_what_is_kept_is_short_and_printable(values, kind, whole):
    """No report breaks the collector, and no text of it reaches the record that is not one of few short forms."""
    report = old(**values) if kind == OLD else [new(**values)]
    for violation in parse(json.dumps(report if whole is None else whole).encode(), kind, exchange()) or ():
        for text in (violation.page, violation.directive, violation.blocked, violation.source or ""):
            assert len(text) <= 300
            assert re.fullmatch(r"[A-Za-z0-9._~:/\[\]+…-]*", text)


def test_other_reports_are_passed_over():
    """Of a list only what is about CSP counts, and only so many."""
    others = [{"type": "deprecation", "body": {}}, {"type": "csp-violation"}, 7, None]
    many = [new(lineNumber=line) for line in range(AT_ONCE * 2)]
    assert parse(json.dumps(others).encode(), NEW, exchange()) == []
    assert len(parse(json.dumps(many).encode(), NEW, exchange())) == AT_ONCE


def record(event):
    return json.loads(event.line(1, b'"t/w0"', b'"async"'))


def noted(sessions, window=60.0):
    """The events that come of findings: (session, violation) in their order, then the end of the window."""
    written = []

    async def run():
        def append(event, _):
            built = event.built()
            written.append((built.code, record(built)))

        reports = Reports(append, window)
        for session, violation in sessions:
            reports.note(violation, exchange(session))
        if window < 1:
            await asyncio.sleep(window * 3)
        else:
            reports.flush()

    asyncio.run(run())
    return written


def test_the_same_finding_is_written_once_and_then_counted():
    """250 reports of one page are two events: the first at once, the others as a count when the window ends."""
    for window in (60.0, 0.05):
        written = noted([("aa", EXPECTED)] * 250, window)
        assert [event["count"] for _, event in written] == [1, 249]
        assert [event["activity_id"] for _, event in written] == [1, 2]  # OCSF 2004: create, update
        assert len({event["finding_info"]["uid"] for _, event in written}) == 1
        assert [problems(event) for _, event in written] == [[], []]


def test_a_flood_is_bounded():
    """However many different findings come, a session writes 20 in a window and all together 200; then one count."""
    one = [("aa", Violation("/", "img-src", f"https://h{n}.example")) for n in range(100)]
    written = noted(one)
    assert [code for code, _ in written] == ["csp.violation"] * PER_SESSION + ["csp.suppressed"]
    assert written[-1][1]["unmapped"]["gateway"]["details"] == {"reports": 100 - PER_SESSION}

    many = [(f"s{n}", Violation("/", "img-src", "https://h.example")) for n in range(IN_ALL + 50)]
    assert [code for code, _ in noted(many)].count("csp.violation") == IN_ALL


# --- over the wire --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    policy = POLICY.replace('body = "64KB"', 'body = "1MB"')
    with gateway_served(tmp_path_factory.mktemp("reports"), policy=policy) as served:
        yield served


def post(gateway, body, kind, source=COLLEAGUE, **headers):
    with gateway.http(source) as client:
        return client.post("/.gateway/csp-report", content=body, headers={"content-type": kind, **headers})


ANSWERS = [
    ("a report", json.dumps(old(**{"document-uri": "http://127.0.0.1/"})).encode(), OLD, 204),
    ("reports", json.dumps([new(documentURL="http://127.0.0.1/")]).encode(), NEW + "; charset=utf-8", 204),
    ("plain JSON", json.dumps(old()).encode(), "application/json", 415),
    ("no type", b"{}", "", 415),
    ("no report", b"{}", OLD, 400),
    ("too large", b" " * 60_000 + b"{}" + b" " * (LARGEST - 60_000), OLD, 413),
]


@pytest.mark.parametrize(("name", "body", "kind", "status"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_answers(gateway, name, body, kind, status):
    """A report is answered 204; what is none 400, 413 or 415. Like every answer it has its headers and its record."""
    answer = post(gateway, body, kind)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    _, outcome = gateway.exchange(answer.headers["x-request-id"])
    assert outcome["unmapped"]["gateway"]["surface"] == "gateway"


def test_reports_are_judged_like_everything_else(gateway):
    """Who may not use the tool cannot report either, nor can a page of another site, and there is nothing to read."""
    report = json.dumps(old()).encode()
    assert post(gateway, report, OLD, OUTSIDER).status_code == 403
    assert post(gateway, report, OLD, origin="https://evil.example").status_code == 403
    assert gateway.get("/.gateway/csp-report", COLLEAGUE).status_code == 405


def test_counts_are_written_when_the_gateway_ends(tmp_path):
    """What was only counted so far is in the record when the gateway has stopped."""
    report = json.dumps(old(**{"document-uri": "http://127.0.0.1/ledger?q=1"})).encode()
    with gateway_served(tmp_path) as served:
        for _ in range(3):
            assert post(served, report, OLD).status_code == 204
        served.process.stop()
        found = [event for event in served.records() if event["metadata"]["event_code"] == "csp.violation"]
    assert [event["count"] for event in found] == [1, 2]
    assert found[0]["unmapped"]["gateway"]["page"] == "/ledger"
