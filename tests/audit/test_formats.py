"""The record in other schemas: each event code in each of them, held to what the schemas themselves say."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from gateway.audit import admin_action, closed, lifecycle, opened
from gateway.audit.events import Violation, csp_violation
from gateway.audit.files import Transfer, transferred
from gateway.audit.formats import FORMATS
from gateway.audit.formats.csv import COLUMNS
from gateway.audit.formats.otlp import log_record
from gateway.model import Client, Deny, Principal, Provenance, Reason
from tests.audit import cef, ecs, ocsf
from tests.audit.every_event import EVERY, OPERATOR, UPLOAD, VARIANTS, record_line
from tests.audit.samples import DENY, POLICY, STAFF, STAMP, end, exchange, socket

MANUAL = (Path(__file__).parents[2] / "docs" / "audit-record.md").read_text()
ALL = {**EVERY, **VARIANTS}
MOMENT = "2026-09-21T14:13:20.123Z"


def formatted(name, event):
    raw = record_line(event)
    return FORMATS[name].line(msgspec.json.decode(raw), raw)


def as_ecs(event):
    return json.loads(formatted("ecs", event))


def as_cef(event):
    return cef.parse(formatted("cef", event).decode())


def as_csv(event):
    text = (FORMATS["csv"].header + formatted("csv", event) + b"\n").decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return row


def as_otlp(event):
    raw = record_line(event)
    record = LogRecord.FromString(log_record(msgspec.json.decode(raw), raw).SerializeToString())
    return record, {each.key: _value(each.value) for each in record.attributes}


def _value(value):
    found = getattr(value, value.WhichOneof("value"))
    return [_value(each) for each in found.values] if value.WhichOneof("value") == "array_value" else found


def every(function):
    return pytest.mark.parametrize("event", ALL.values(), ids=ALL.keys())(function)


# --- every event code in every schema -------------------------------------------------------------------------


def test_every_code_of_the_manual_has_a_sample():
    """Whatever event code the manual lists is checked in every schema: tests/audit/every_event.py has one of each."""
    section = MANUAL.split("\n## Events\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `") and "metadata." not in line]
    codes = {code for row in rows for code in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", row)}
    assert len(codes) > 20
    assert codes - set(EVERY) == set()
    assert all(
        msgspec.json.decode(record_line(event))["metadata"]["event_code"] == code for code, event in EVERY.items()
    )


@pytest.mark.parametrize("code", EVERY)
def test_every_code_has_a_name_for_people(code):
    """Where a schema asks for a name, a code of ours has one that says what happened."""
    header = as_cef(EVERY[code])[0]
    assert header["signature"] == code
    assert " " in header["name"]


@every
def test_every_event_is_valid_ecs(event):
    """A document has only fields of ECS 9.4.0, of their types, with allowed values, but for `labels` and `gateway`."""
    assert ecs.problems(as_ecs(event)) == []


@every
def test_every_event_is_valid_cef(event):
    """A line is CEF:0 with keys of its dictionary only, within their types and lengths."""
    assert cef.problems(formatted("cef", event).decode()) == []


@every
def test_ocsf_is_the_line_of_the_record(event):
    """OCSF is exported as it is recorded, byte for byte."""
    assert formatted("ocsf", event) == record_line(event)
    assert ocsf.problems(json.loads(formatted("ocsf", event))) == []


@every
def test_every_event_is_one_row_of_the_header_s_columns(event):
    """A row of CSV has as many cells as the header, and ends with CRLF (RFC 4180 §2)."""
    written = FORMATS["csv"].header + formatted("csv", event) + b"\n"
    assert written.count(b"\r\n") == written.count(b"\n") == written.count(b"\r") == 2
    header, row = csv.reader(io.StringIO(written.decode(), newline=""), strict=True)
    assert tuple(header) == COLUMNS
    assert len(row) == len(header)
    assert row[0] == MOMENT


@every
def test_every_event_is_a_log_record(event):
    """A log record survives the official protobuf classes; its body is the line of the record."""
    record, attributes = as_otlp(event)
    metadata = json.loads(record_line(event))["metadata"]
    assert record.body.string_value.encode() == record_line(event)
    assert record.event_name == f"gateway.{metadata['event_code']}"
    assert record.time_unix_nano == 1790000000123 * 10**6
    assert SeverityNumber.Name(record.severity_number) != "SEVERITY_NUMBER_UNSPECIFIED"
    assert attributes["log.record.uid"] == metadata["uid"]
    assert (attributes["gateway.log.origin"], attributes["gateway.log.seq"]) == ("gw.example/audit/a1/0", 7)
    assert len(attributes) == len(record.attributes)


@every
def test_every_document_says_where_in_the_record_it_stands(event):
    """Log and sequence are in every schema: whoever doubts a document finds the signed line."""
    document, (_, extension), row = as_ecs(event), as_cef(event), as_csv(event)
    assert (document["gateway"]["log"], document["event"]["sequence"]) == ("gw.example/audit/a1/0", 7)
    assert (extension["deviceExternalId"], extension["cn1"]) == ("gw.example/audit/a1/0", "7")
    assert (row["log"], row["sequence"]) == ("gw.example/audit/a1/0", "7")


def test_the_whole_table_is_read_by_a_database(tmp_path):
    """DuckDB reads an export as CSV as it stands, with the types of its columns."""
    file = tmp_path / "export.csv"
    rows = b"".join(formatted("csv", event) + b"\n" for event in ALL.values())
    file.write_bytes(FORMATS["csv"].header + rows)
    found = duckdb.sql(f"select code, sequence, time, file, status from read_csv('{file}', strict_mode=true)")
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == {
        "code": "VARCHAR",
        "sequence": "BIGINT",
        "time": "TIMESTAMP WITH TIME ZONE",
        "file": "VARCHAR",
        "status": "BIGINT",
    }
    assert [row[0] for row in found.fetchall()] == [name.split()[0] for name in ALL]


# --- what is said ---------------------------------------------------------------------------------------------

KINDS = [  # event, kind, categories, types, outcome: words of ECS
    ("http.request", "event", "network web", "access allowed", "success"),
    ("http.request denied", "event", "network web", "access denied", "failure"),
    ("http.request answered", "event", "network web", "access end", "success"),
    ("http.request broken", "event", "network web", "access end error", "failure"),
    ("ws.open", "event", "network session", "connection start allowed", "success"),
    ("ws.open refused", "event", "network session", "connection denied", "failure"),
    ("ws.message", "event", "network web", "access denied", "failure"),
    ("ws.close", "event", "network session", "connection end", "failure"),
    ("ws.close in order", "event", "network session", "connection end", "success"),
    ("page.open", "event", "session web", "access", "success"),
    ("socket.activity", "event", "session web", "info", None),
    ("session.foreign", "alert", "intrusion_detection session", "info denied", "failure"),
    ("file.upload", "event", "file network", "creation allowed", "success"),
    ("file.upload refused", "event", "file network", "creation denied", "failure"),
    ("file.download", "event", "file network", "access allowed", "success"),
    ("script.error", "event", "web", "error", "failure"),
    ("csp.violation", "alert", "intrusion_detection web", "info denied", None),
    ("csp.violation only reported", "alert", "intrusion_detection web", "info allowed", None),
    ("policy.change", "event", "configuration", "change", "success"),
    ("gateway.start", "event", "process", "start", "success"),
    ("gateway.stop", "event", "process", "end", "success"),
    ("admin.action", "event", "api", "admin", "success"),
    ("admin.action failed", "event", "api", "admin", "failure"),
    ("audit.export", "event", "api database", "access admin", "success"),
    ("audit.failed", "event", "database", "error", "failure"),
    ("audit.clock_step", "event", "host", "change", "success"),
]


@pytest.mark.parametrize(("name", "kind", "categories", "types", "outcome"), KINDS, ids=[row[0] for row in KINDS])
def test_an_event_has_its_place_in_the_categories_of_ecs(name, kind, categories, types, outcome):
    """`allowed` and `denied` stand where it was decided and not where it ended: to count them is to count decisions."""
    event = as_ecs(ALL[name])["event"]
    assert (event["kind"], event["category"], event["type"]) == (kind, categories.split(), types.split())
    assert event.get("outcome") == outcome


def test_a_request_in_ecs():
    """Who asked, from where, for what, under which rule and revision, and what came of it: by the names of ECS."""
    document = as_ecs(closed(end(exchange(principal=STAFF, port=8443), status=200, bytes_in=17), STAMP))
    assert dict(ecs.flat(document)) | {"event.start": "2026-09-21T13:33:20.100Z"} == dict(ecs.flat(document))
    for name, value in {
        "@timestamp": MOMENT,
        "ecs.version": "9.4.0",
        "event.id": "01JD3N6Q8Z5W4V7T2R9K1M0XBC",
        "event.code": "http.request",
        "event.reason": "allowed-by-rule",
        "event.severity": 1,
        "event.end": MOMENT,
        "event.duration": 12_000_000,
        "http.request.id": "req-7f3a9c2e51d04b6a",
        "http.request.method": "GET",
        "http.request.body.bytes": 17,
        "http.response.status_code": 200,
        "http.response.body.bytes": 4123,
        "http.version": "1.1",
        "url.domain": "tools.example.internal",
        "url.path": "/ledger",
        "url.scheme": "https",
        "source.ip": "10.20.30.40",
        "source.port": 51234,
        "destination.domain": "tools.example.internal",
        "destination.port": 8443,
        "user.id": "j.doe@example.com",
        "rule.id": "staff",
        "rule.ruleset": "gateway",
        "rule.version": "0007",
        "related.ip": ["10.20.30.40"],
        "related.user": ["j.doe@example.com"],
        "observer.type": "proxy",
        "labels.policy_digest": POLICY.digest,
        "gateway.phase": "outcome",
        "gateway.session": "5b0e77a1c2d94f30",
    }.items():
        assert dict(ecs.flat(document))[name] == value, name
    assert as_ecs(opened(exchange(principal=STAFF), STAMP))["user"]["roles"] == ["finance", "staff"]


def test_a_proxy_is_related_and_not_the_source():
    """The source is the client; the proxies it came through are related addresses."""
    proxied = exchange(client=Client("2001:db8::7", Provenance.FORWARDED), forwarded=("10.20.0.1", "10.20.0.2"))
    document = as_ecs(opened(proxied, STAMP))
    assert document["source"] == {"address": "2001:db8::7", "ip": "2001:db8::7"}
    assert document["related"]["ip"] == ["2001:db8::7", "10.20.0.1", "10.20.0.2"]


def test_a_masked_client_is_no_address():
    """Where the record holds a pseudonym, no schema takes it for an IP address."""
    masked = "hmac:k1:9f2c41d07be35a869f2c41d07be35a86"
    record = json.loads(record_line(opened(exchange(), STAMP))) | {"src_endpoint": {"uid": masked}}
    raw = json.dumps(record).encode()
    document = json.loads(FORMATS["ecs"].line(record, raw))
    assert ecs.problems(document) == []
    assert document["source"] == {"address": masked}
    assert "ip" not in document["related"]
    line = FORMATS["cef"].line(record, raw).decode()
    assert cef.problems(line) == []
    assert cef.parse(line)[1]["shost"] == masked
    row = dict(zip(COLUMNS, next(csv.reader([FORMATS["csv"].line(record, raw).decode()])), strict=True))
    assert (row["client_ip"], row["client_name"]) == ("", masked)
    assert {each.key: each.value.string_value for each in log_record(record, raw).attributes}[
        "client.address"
    ] == masked


def test_a_request_in_cef():
    """The header names product, code and severity; the keys are those of the CEF dictionary."""
    header, extension = as_cef(closed(end(exchange(principal=STAFF), status=200, bytes_in=17), STAMP))
    assert header == {
        "version": "CEF:0",
        "vendor": "streamlit-gateway",
        "product": "streamlit-gateway",
        "product_version": "0.1.0",
        "signature": "http.request",
        "name": "HTTP request ended",
        "severity": "1",
    }
    agent = extension.pop("requestClientApplication")
    assert agent.startswith("Mozilla/5.0 (X11; Linux x86_64)")
    assert extension == dict(
        pair.split("=", 1)
        for pair in (
            *("deviceExternalId=gw.example/audit/a1/0", "externalId=01JD3N6Q8Z5W4V7T2R9K1M0XBC"),
            *("rt=1790000000123", "start=1789997600100", "end=1790000000123", "cat=page", "app=https"),
            *("act=allowed", "outcome=success", "reason=allowed-by-rule", "src=10.20.30.40", "spt=51234"),
            *("suser=j.doe@example.com", "dhost=tools.example.internal", "destinationServiceName=streamlit"),
            *("request=https://tools.example.internal/ledger", "requestMethod=GET", "in=17", "out=4123"),
            *("flexString2Label=Phase", "flexString2=outcome", "cn1Label=Sequence", "cn1=7"),
            *("cn2Label=HttpStatus", "cn2=200", "cn3Label=DurationMilliseconds", "cn3=12"),
            *("cs1Label=Rule", "cs1=staff", "cs2Label=PolicyRevision", "cs2=0007"),
            *("cs3Label=PolicyDigest", f"cs3={POLICY.digest}", "cs4Label=RequestId", "cs4=req-7f3a9c2e51d04b6a"),
            *("cs5Label=Session", "cs5=5b0e77a1c2d94f30", "cs6Label=Page", "cs6=/ledger"),
        )
    )


SEVERITIES = [("http.request", "1"), ("http.request denied", "3"), ("script.error", "6"), ("audit.failed", "8")]


@pytest.mark.parametrize(("name", "severity"), SEVERITIES)
def test_a_severity_of_ocsf_becomes_one_of_cef(name, severity):
    """Informational and low are Low (0-3) in CEF, medium is Medium (4-6), high is High (7-8)."""
    assert as_cef(ALL[name])[0]["severity"] == severity


OTLP_SEVERITIES = [("http.request", 9), ("http.request denied", 10), ("script.error", 13), ("audit.failed", 17)]


@pytest.mark.parametrize(("name", "number"), OTLP_SEVERITIES)
def test_a_severity_of_ocsf_becomes_one_of_opentelemetry(name, number):
    """INFO begins at 9, WARN at 13, ERROR at 17; a refusal is a notice, INFO2."""
    assert as_otlp(ALL[name])[0].severity_number == number


def test_an_ipv6_address_has_a_key_of_its_own_in_cef():
    """`src` of CEF:0 takes IPv4 only."""
    _, extension = as_cef(opened(exchange(client=Client("2001:db8::7", Provenance.FORWARDED)), STAMP))
    assert (extension["c6a2"], extension["c6a2Label"]) == ("2001:db8::7", "Source IPv6 Address")
    assert "src" not in extension


def test_a_url_is_shortened_to_what_cef_takes():
    """`request` has at most 1023 characters in CEF; the record holds the whole path."""
    line = formatted("cef", opened(exchange(path="/" + "a" * 1023), STAMP)).decode()
    assert cef.problems(line) == []
    assert len(cef.parse(line)[1]["request"]) == 1023


def test_a_request_as_attributes_of_opentelemetry():
    """Attributes have the names of the semantic conventions, and their types."""
    _, attributes = as_otlp(closed(end(exchange(principal=STAFF), status=200, bytes_in=17), STAMP))
    assert (
        attributes.items()
        >= {
            "http.request.method": "GET",
            "http.request.body.size": 17,
            "http.response.status_code": 200,
            "http.response.body.size": 4123,
            "url.path": "/ledger",
            "url.scheme": "https",
            "server.address": "tools.example.internal",
            "client.address": "10.20.30.40",
            "client.port": 51234,
            "user.id": "j.doe@example.com",
            "session.id": "5b0e77a1c2d94f30",
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
            "security_rule.uuid": "staff",
            "security_rule.ruleset.name": "gateway",
            "security_rule.version": "0007",
            "gateway.decision": "allowed",
            "gateway.policy.version": "0007",
            "gateway.policy.digest": POLICY.digest,
            "gateway.request.id": "req-7f3a9c2e51d04b6a",
        }.items()
    )
    assert as_otlp(opened(exchange(principal=STAFF), STAMP))[1]["user.roles"] == ["finance", "staff"]
    assert as_otlp(ALL["script.error"])[1]["error.type"] == "ValueError"


def test_a_file_is_known_by_name_size_and_digest_in_every_schema():
    """What was uploaded can be found by its SHA-256 wherever the event is shipped to."""
    event, digest = ALL["file.upload"], "ab" * 32
    document = as_ecs(event)
    name = "Q3 zählung.csv"
    assert document["file"] == {
        "name": name,
        "size": 12,
        "mime_type": "text/csv",
        "type": "file",
        "hash": {"sha256": digest},
    }
    assert document["related"]["hash"] == [digest]
    assert [as_cef(event)[1][key] for key in ("fname", "fsize", "fileHash")] == [name, "12", digest]
    assert [as_csv(event)[key] for key in ("file", "file_size", "file_sha256")] == [name, "12", digest]
    assert as_otlp(event)[1].items() >= {"file.name": name, "file.size": 12, "gateway.file.sha256": digest}.items()


def test_the_facts_of_a_rare_event_are_in_every_schema():
    """Details are JSON in CEF and CSV, an object in ECS, and in the body of OTLP."""
    event, details = ALL["audit.failed"], {"cause": "disk-full", "errno": 28}
    assert as_ecs(event)["gateway"]["details"] == details
    assert json.loads(as_cef(event)[1]["flexString1"]) == details
    assert json.loads(as_csv(event)["details"]) == details
    assert json.loads(as_otlp(event)[0].body.string_value)["unmapped"]["gateway"]["details"] == details


def test_an_event_of_the_tools_own_code_has_a_place_too():
    """A code that only the tool's owner knows is an event of the process, under its own name."""
    event = lifecycle("report.approved", "the report was approved", {"by": "j.doe"}, STAMP)
    assert ecs.problems(as_ecs(event)) == []
    assert as_ecs(event)["event"]["category"] == ["process"]
    assert as_cef(event)[0]["name"] == as_cef(event)[0]["signature"] == "report.approved"


def test_the_moment_is_that_of_the_record():
    """Times are in UTC, to the millisecond."""
    row = as_csv(opened(exchange(), STAMP))
    assert datetime.fromisoformat(row["time"]) == datetime.fromtimestamp(1790000000.123, UTC)


# --- what a hostile client sends ------------------------------------------------------------------------------

FRAGMENTS = [
    *("\n", "\r\n", "\r", "\0", "\x1b[31m", "\x9b31m", "\x7f", "\u2028", "\u2029", "\x85", "\ufeff", "\u200b"),
    *("\u202e", "\u2066", "|", "\\", "\\|", "=", "\\=", "\\\\=", " act=allowed", " suser=admin ", "\ncn1=0", '"', '""'),
    *(
        "'",
        "'=",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\uff1d1",
        ",",
        ";",
        '","',
        '"\r\n',
        "\\n",
        "\\",
    ),
    *("CEF:0|a|b|c|d|e|0|", '"},"action_id":1,"x":{"', "ä", "日本", "\ud800", "\U000e0041", "é", " ", "  ", "a"),
]
HOSTILE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), min_size=1, max_size=8).map("".join)


def events_with(text):
    refused = Deny(Reason.DENIED_BY_RULE, POLICY, "staff")
    who = Principal(text)
    hostile = exchange(
        refused, path=f"/{text}", page=text, user_agent=text, request_id=text, principal=who, session=text
    )
    host = replace(hostile, context=replace(hostile.context, host=text, method=text))
    reported = text.encode("utf-8", "replace").decode()
    violation = Violation(reported, reported, reported, "enforce", reported, 1)
    return {
        "request": opened(host, STAMP),
        "answer": closed(end(host, status=403), STAMP),
        "socket": opened(socket(refused, path=f"/{text}", user_agent=text, message=text), STAMP),
        "file": transferred(Transfer("upload", text, 1, "ab" * 32, text), UPLOAD, STAMP),
        "finding": csp_violation(violation, who, text, POLICY, STAMP),
        "admin": admin_action(text, who, text, {"said": text, "all": [text]}, STAMP),
    }


PLAIN = events_with("plain")


@given(HOSTILE)
@settings(max_examples=150, deadline=None)
def test_what_a_client_sends_cannot_break_a_line_or_forge_a_field(text):
    """Whatever stands in a path, a user agent or a file's name: a line stays one, and every field is the gateway's."""
    for kind, event in events_with(text).items():
        record, plain = json.loads(record_line(event)), PLAIN[kind]
        for name in ("ecs", "cef"):
            assert formatted(name, event).decode().isprintable()
        row = formatted("csv", event)
        assert row.endswith(b"\r") and row[:-1].decode().isprintable()
        _same_in_ecs(as_ecs(event), as_ecs(plain), record)
        _same_in_cef(as_cef(event), as_cef(plain), record)
        _same_in_csv(as_csv(event), as_csv(plain), record)
        attributes, expected = as_otlp(event)[1], as_otlp(plain)[1]
        assert attributes.keys() - expected.keys() == set()
        assert (
            attributes["gateway.outcome" if kind != "finding" else "gateway.log.seq"]
            == (expected["gateway.outcome" if kind != "finding" else "gateway.log.seq"])
        )


def _same_in_ecs(document, plain, record):
    assert ecs.problems(document) == []
    assert {name for name, _ in ecs.flat(document)} - {name for name, _ in ecs.flat(plain)} <= {"gateway.truncated"}
    assert document["event"] | {"severity": 0} == plain["event"] | {"severity": 0}
    if "http_request" in record:
        assert document["url"]["path"] == record["http_request"]["url"]["path"]


def _same_in_cef(found, plain, record):
    (header, extension), (plain_header, plain_extension) = found, plain
    assert header == plain_header
    assert extension.keys() - plain_extension.keys() == set()
    for key in ("act", "outcome", "cn1", "externalId", "deviceExternalId", "rt", "flexString2"):
        assert extension.get(key) == plain_extension.get(key)
    if (agent := record.get("http_request", {}).get("user_agent")) and agent.isprintable():
        assert extension["requestClientApplication"] == agent


def _same_in_csv(row, plain, record):
    assert row.keys() == plain.keys()
    assert None not in row and None not in row.values()
    for key in ("time", "log", "sequence", "id", "code", "phase", "action", "outcome"):
        assert row[key] == plain[key]
    for value in row.values():
        assert value[:1] not in tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
    if (agent := record.get("http_request", {}).get("user_agent")) and agent.isprintable():
        assert row["user_agent"].removeprefix("'" if agent[0] in "'=+-@\uff1d\uff0b\uff0d\uff20" else "") == agent


FORMULAS = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_is_never_a_formula(text):
    """A spreadsheet reads what a client has sent as text: an apostrophe stands before what would begin a formula."""
    cell = as_csv(opened(exchange(DENY, user_agent=text), STAMP))["user_agent"]
    assert cell.startswith("'")
    assert cell[1:] == text.replace("\t", "\\u0009").replace("\r", "\\u000d").replace("\n", "\\u000a")


ESCAPES = [  # what was sent; how it stands in an extension of CEF
    ("a=b", r"a\=b"),
    ("a\\b", r"a\\b"),
    ("a|b", "a|b"),
    ("a\nb", r"a\nb"),
    ("a\r\nb", r"a\r\nb"),
    ("a\\=b", r"a\\\=b"),
    ("a\\nb", r"a\\nb"),
    ("a\x1bb", r"a\\u001bb"),
    ("a\u202eb", r"a\\u202eb"),
]


@pytest.mark.parametrize(("text", "written"), ESCAPES)
def test_a_value_is_escaped_as_cef_says(text, written):
    """Backslash, equals sign and line breaks are escaped in an extension; pipes are not."""
    line = formatted("cef", opened(exchange(user_agent=text), STAMP)).decode()
    assert f" requestClientApplication={written} app=https" in line


def test_a_header_of_cef_is_escaped():
    """Pipes and backslashes are escaped in the header, also in a line that somebody else has put into a file."""
    raw = b'{"metadata":{"sequence":1,"event_code":"a|b\\\\c\\nd"},"time":1}'
    line = FORMATS["cef"].line(json.loads(raw), raw).decode()
    assert r"|a\|b\\c\\u000ad|" in line
    assert cef.parse(line)[0]["signature"] == r"a|b\c\u000ad"


STRANGERS = [
    {"metadata": {"sequence": 10}, "time": 1, "actor": 7, "unmapped": [], "http_request": "x"},
    {"metadata": {"sequence": 10, "event_code": 7, "log_name": ["x"]}, "time": 99999999999999999},
    {"metadata": {"sequence": 10, "uid": {"a": 1}}, "time": -1, "severity_id": "high"},
    {"metadata": {"sequence": 10}, "time": 1, "src_endpoint": {"ip": ["1.2.3.4"]}, "file": {"hashes": 5}},
    {"metadata": {"sequence": 10, "event_code": "a\x9b31m\u202e"}, "time": 1, "action_id": 77, "status_id": 99},
]


@pytest.mark.parametrize("event", STRANGERS)
def test_a_line_of_another_hand_is_still_one_line(event):
    """What somebody has put into a file by hand ends no export and forges nothing: place and code are taken over."""
    for each in FORMATS.values():
        if each.name != "ocsf":
            assert each.line(event, b"{}").decode().rstrip("\r").isprintable()
    assert cef.parse(FORMATS["cef"].line(event, b"{}").decode())[1]["cn1"] == "10"
    assert log_record(event, b"{}").SerializeToString()


def test_an_operator_is_named_in_every_schema():
    """Who exported the record, and from which host, is in the event wherever it goes."""
    event = admin_action("audit.export", OPERATOR, "host-1", {"format": "csv"}, STAMP, code="audit.export")
    assert (as_ecs(event)["user"]["name"], as_ecs(event)["source"]["domain"]) == ("operator", "host-1")
    assert (as_cef(event)[1]["suser"], as_cef(event)[1]["shost"]) == ("operator", "host-1")
    assert (as_csv(event)["user"], as_csv(event)["client_name"]) == ("operator", "host-1")
    assert as_otlp(event)[1].items() >= {"user.id": "operator", "client.address": "host-1"}.items()
