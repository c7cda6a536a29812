"""`gateway audit export`, run as a command over logs that were written by the gateway's own writer."""

import csv
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway import __version__
from gateway.audit import Durability, Ledger, LedgerOptions, Stamp, closed, lifecycle, opened
from gateway.audit.export import in_order, ranges
from gateway.audit.mask_keys import masks_of
from gateway.audit.reader import Line
from gateway.cli import app
from gateway.state.directory import StateDirectory
from tests.audit import cef, ecs
from tests.audit.logs import seal
from tests.audit.samples import DENY, STAFF, end, exchange, socket

COMMAND = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "audit", "export"]
SMALL = LedgerOptions(segment_size=64 * 1024, reserve=4096, announce=False)
NOON = int(datetime(2026, 9, 21, 12, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000


def export(state, *arguments):
    states = state if isinstance(state, list) else [state]
    chosen = [word for each in states for word in ("--state-dir", str(each))]
    done = subprocess.run(
        [*COMMAND, *chosen, *arguments], capture_output=True, timeout=60, env=os.environ | {"NO_COLOR": "1"}
    )
    return done.returncode, done.stdout, done.stderr.decode()


def invoke(state, *arguments):
    """The same within this process, for tables of many rows."""
    done = CliRunner().invoke(app, ["audit", "export", "--state-dir", str(state), *arguments])
    return done.exit_code, done.stdout_bytes, done.stderr


def stamped(number, minutes):
    return Stamp(NOON + minutes * MINUTE, f"{number:026d}")


def write(state, worker, events, options=SMALL):
    log = f"{state.instance}/{worker}"
    with Ledger.open(state.audit_directory(worker), origin=log, options=options) as ledger:
        for event in events:
            ledger.append(event, Durability.BEFORE).wait(5)


def requests(first, last, minutes=lambda number: number):
    for number in range(first, last):
        made = exchange(DENY if number % 3 == 0 else exchange().decision, request_id=f"req-{number}", principal=STAFF)
        yield opened(made, stamped(2 * number, minutes(number)))
        yield closed(end(made, status=403 if number % 3 == 0 else 200), stamped(2 * number + 1, minutes(number)))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A state directory: one log of 60 exchanges, one a minute, in segments, and a log of sockets between them."""
    path = tmp_path_factory.mktemp("original") / "state"
    state = StateDirectory.prepare(path)
    write(state, "w0", requests(0, 60))
    write(state, "w1", (opened(socket(request_id=f"ws-{n}"), stamped(500 + n, 10 * n)) for n in range(6)))
    return path


@pytest.fixture
def state(original, tmp_path):
    return shutil.copytree(original, tmp_path / "state")


@pytest.fixture(scope="module")
def half_sealed(original, tmp_path_factory):
    """The same, with the finished segments sealed. Nobody writes to it."""
    state = shutil.copytree(original, tmp_path_factory.mktemp("sealed") / "state")
    seal(state / "audit" / instance(state) / "w0")
    assert len(list(state.glob("audit/*/w0/seg-*.seal"))) == 3
    assert len(segments(state)) == 1
    return state


def instance(state):
    return (state / "instance").read_text().strip()


def raw_events(state):
    """Every event below the state directory, as a stranger reads it: by time, then log, then sequence."""
    lines = [
        line
        for path in sorted(state.glob("audit/*/w*/seg-*.jsonl"))
        for line in path.read_bytes().splitlines()
        if line.startswith(b'{"metadata"')
    ]
    return sorted(lines, key=lambda line: place(json.loads(line)))


def segments(state):
    return sorted(state.glob("audit/*/w0/seg-*.jsonl"))


def place(event):
    return event["time"], event["metadata"]["log_name"], event["metadata"]["sequence"]


def own(state):
    """The events of the commands' own log."""
    paths = sorted(state.glob("audit/*/cli/seg-*.jsonl"))
    found = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    return [event for event in found if "metadata" in event]


def details(event):
    return event["unmapped"]["gateway"]["details"]


# --- what is exported -----------------------------------------------------------------------------------------


def test_the_record_is_exported_as_it_stands_in_one_order(state):
    """OCSF is the lines of all logs, byte for byte, in the order of time, log and sequence."""
    expected = raw_events(state)
    assert len(expected) == 126
    code, out, err = export(state)
    assert (code, err) == (0, "")
    assert out.splitlines() == expected


def test_every_format_can_be_exported(state):
    """Each schema has one line an event; CSV has a header before them."""
    events = [json.loads(line) for line in raw_events(state)]
    _, out, _ = export(state, "--format", "ecs", "--unrecorded")
    documents = [json.loads(line) for line in out.splitlines()]
    assert [problem for document in documents for problem in ecs.problems(document)] == []
    assert [each["event"]["id"] for each in documents] == [each["metadata"]["uid"] for each in events]
    _, out, _ = export(state, "--format", "cef", "--unrecorded")
    lines = out.decode().splitlines()
    assert [problem for line in lines for problem in cef.problems(line)] == []
    assert [cef.parse(line)[1]["externalId"] for line in lines] == [each["metadata"]["uid"] for each in events]
    _, out, _ = export(state, "--format", "csv", "--unrecorded")
    rows = list(csv.DictReader(io.StringIO(out.decode(), newline=""), strict=True))
    assert [row["id"] for row in rows] == [each["metadata"]["uid"] for each in events]


def late_sockets(event):
    return event["class_uid"] == 4001 and event["time"] >= NOON + 30 * MINUTE


FILTERS = [
    (["--denied"], lambda event: event["action_id"] == 2, 40),
    (["--event", "ws.*"], lambda event: event["metadata"]["event_code"] == "ws.open", 6),
    (["--event", "ws.open", "--event", "http.request"], lambda event: True, 126),
    (["--request-id", "req-7"], lambda event: event["metadata"]["correlation_uid"] == "req-7", 2),
    (["--since", "2026-09-21T12:50"], lambda event: event["time"] >= NOON + 50 * MINUTE, 21),
    (["--until", "2026-09-21T12:10"], lambda event: event["time"] < NOON + 10 * MINUTE, 21),
    (
        ["--since", "2026-09-21T14:20:00+02:00", "--until", "2026-09-21T12:21"],
        lambda event: NOON + 20 * MINUTE <= event["time"] < NOON + 21 * MINUTE,
        3,
    ),
    (["--until", "2026-09-21"], lambda event: True, 126),
    (["--since", "2026-09-22"], lambda event: False, 0),
    (["request:req-7"], lambda event: event["metadata"]["correlation_uid"] == "req-7", 2),
    (["decision:denied", "status:403"], lambda event: event.get("http_response", {}).get("code") == 403, 20),
    (
        ["code:http.request", "since:2026-09-21T12:30", "--until", "2026-09-21T12:40"],
        lambda event: "http_request" in event and NOON + 30 * MINUTE <= event["time"] < NOON + 40 * MINUTE,
        20,
    ),
    (["decision:allowed code:ws.open", "--since", "2026-09-21T12:30"], late_sockets, 3),
    (["user:nobody"], lambda event: False, 0),
]


@pytest.mark.parametrize(("arguments", "kept", "count"), FILTERS, ids=[" ".join(row[0]) for row in FILTERS])
def test_a_part_of_the_record_is_exported(original, half_sealed, arguments, kept, count):
    """By the options of `audit tail`, by time, or by the qualifiers of `audit query`; sealed segments read the same."""
    expected = [line for line in raw_events(original) if kept(json.loads(line))]
    assert len(expected) == count
    code, out, err = invoke(half_sealed, "--unrecorded", *arguments)
    assert code == 0, err
    assert out.splitlines() == expected


def test_a_person_is_found_behind_a_pseudonym(tmp_path):
    """Qualifiers name people as they are called; what is masked is found by its pseudonym, and stays masked."""
    state = StateDirectory.prepare(tmp_path / "state")
    masks = masks_of(tmp_path / "state", ["user", "client"], 90)
    other = exchange(principal=replace(STAFF, id="somebody@example.com"))
    write(state, "w0", [opened(exchange(principal=STAFF), stamped(1, 0), masks), opened(other, stamped(2, 1), masks)])
    code, out, err = invoke(tmp_path / "state", "--unrecorded", "--format", "csv", f"user:{STAFF.id}")
    assert code == 0, err
    (row,) = csv.DictReader(io.StringIO(out.decode(), newline=""))
    assert row["id"] == f"{1:026d}"
    assert row["user"].startswith("hmac:") and row["client_name"].startswith("hmac:") and row["client_ip"] == ""


def test_a_name_does_not_come_back_through_the_question(tmp_path):
    """In a record that masks people, what is recorded about an export has pseudonyms in the place of names."""
    state = StateDirectory.prepare(tmp_path / "state")
    masks = masks_of(tmp_path / "state", ["user"], 90)
    write(state, "w0", [opened(exchange(principal=STAFF), stamped(1, 0), masks)])
    code, _, err = invoke(tmp_path / "state", f"user:{STAFF.id}")
    assert code == 0, err
    told = own(tmp_path / "state")
    assert {each["metadata"]["event_code"] for each in told} == {"audit.export"}
    assert STAFF.id not in json.dumps(told)
    assert all("user:hmac:k1:" in each["unmapped"]["gateway"]["details"]["query"].replace('"', "") for each in told)


def test_many_segments_that_are_not_sealed_yet_can_be_asked(tmp_path):
    """Qualifiers are answered within the memory that is allowed, however many segments wait to be sealed."""
    state = StateDirectory.prepare(tmp_path / "state")
    write(state, "w0", requests(0, 80), replace(SMALL, segment_size=16 * 1024))
    assert len(segments(tmp_path / "state")) >= 16
    code, out, err = export(tmp_path / "state", "--unrecorded", "--memory", "128", "code:http.request")
    assert code == 0, err
    assert len(out.splitlines()) == 160


def test_replicas_are_exported_together(state, tmp_path):
    """--state-dir may be repeated: events of several replicas come in one order, and each record tells of it."""
    other = StateDirectory.prepare(tmp_path / "other")
    write(other, "w0", requests(100, 110, lambda number: number - 100))
    code, out, _ = export([state, tmp_path / "other"])
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) == 146
    assert [place(event) for event in events] == sorted(place(event) for event in events)
    assert [[event["metadata"]["event_code"] for event in own(each)] for each in (state, tmp_path / "other")] == [
        ["audit.export", "audit.export"],
        ["audit.export", "audit.export"],
    ]


def test_only_what_is_signed_for_is_exported(state):
    """An event behind the last commit, as a crash or another hand leaves it, is not exported."""
    expected = raw_events(state)
    with segments(state)[-1].open("ab") as file:
        file.write(b'{"metadata":{"sequence":120,"event_code":"forged","log_name":"x"},"time":1}\n')
    assert export(state)[1].splitlines() == expected


def test_a_damaged_record_ends_the_export(state, tmp_path):
    """What is not where it should be is a finding: exit code 1, and no file."""
    path = segments(state)[0]
    path.write_bytes(path.read_bytes().replace(b'"sequence":1,', b'"sequence":9,'))
    code, _, err = export(state, "--output", str(tmp_path / "export"))
    assert code == 1
    assert "event 1 is not where it should be" in err and "hint: ask `gateway audit verify`" in err
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_a_record_whose_end_was_cut_off_is_not_exported_as_if_it_were_whole(state, tmp_path):
    """A log that is shorter than its own checkpoint is a finding, also where nothing else is wrong with it."""
    path = segments(state)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    code, _, err = invoke(state, "--unrecorded", "--output", str(tmp_path / "export"))
    assert code == 1
    assert "ends before sequence 119, and its checkpoint stands for 120 events" in err
    assert not (tmp_path / "export").exists()


# --- the export is an event -----------------------------------------------------------------------------------


def test_an_export_is_in_the_record_before_and_after(state, tmp_path):
    """Who exported what is recorded before anything leaves, and the SHA-256 before the file has its name."""
    target = tmp_path / "denied.csv"
    arguments = ["--format", "csv", "--denied", "--since", "2026-09-21", "--output", str(target)]
    assert export(state, *arguments)[0] == 0
    begin, finished = own(state)
    assert begin["metadata"]["event_code"] == finished["metadata"]["event_code"] == "audit.export"
    asked = {"format": "csv", "output": str(target), "since": "2026-09-21", "denied": True}
    assert details(begin) == {"stage": "begin", **asked}
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    assert details(finished) == {"stage": "end", **asked, "events": 40, "sha256": digest}


def test_what_leaves_through_stdout_is_in_the_record_too(state):
    """The record tells the SHA-256 of what was written to stdout."""
    _, out, _ = export(state, "user:j.doe@example.com", "--format", "ecs")
    begin, finished = own(state)
    assert details(begin) == {"stage": "begin", "format": "ecs", "query": "user:j.doe@example.com"}
    assert details(finished)["sha256"] == hashlib.sha256(out).hexdigest()


def test_an_export_that_cannot_be_recorded_is_refused(state, tmp_path):
    """Of a directory that is not a gateway's own, such as a copy, nothing leaves without --unrecorded."""
    (state / "instance").unlink()
    code, out, err = export(state, "--output", str(tmp_path / "export"))
    assert (code, out) == (2, b"")
    assert "cannot be recorded" in err and "--unrecorded" in err
    assert not (tmp_path / "export").exists()
    code, out, err = export(state, "--unrecorded")
    assert (code, len(out.splitlines())) == (0, 126)
    assert "warning: this is not recorded" in err
    assert own(state) == []


# --- the file -------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_the_file_is(state, tmp_path):
    """Query, number, SHA-256, and for each log which events were taken and the signed checkpoint that covers them."""
    target = tmp_path / "export.jsonl"
    code, out, _ = export(state, "--output", str(target), "--event", "http.request", "--until", "2026-09-21T12:30")
    assert code == 0
    data = target.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert out.decode() == f"{target}: 60 events, sha256 {digest}\n"
    manifest = json.loads((tmp_path / "export.jsonl.manifest.json").read_text())
    logs = manifest.pop("logs")
    made = datetime.fromisoformat(manifest.pop("time"))
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=5)
    assert manifest == {
        "manifest": "gateway-export/1",
        "file": "export.jsonl",
        "format": "ocsf",
        "media_type": "application/x-ndjson",
        "bytes": len(data),
        "sha256": digest,
        "events": 60,
        "first_time": NOON,
        "last_time": NOON + 29 * MINUTE,
        "query": {"until": "2026-09-21T12:30", "event": ["http.request"]},
        "gateway": __version__,
        "recorded": True,
    }
    directory = state / "audit" / instance(state)
    assert logs == [
        {
            "origin": f"{instance(state)}/w0",
            "end": 120,
            "first": 0,
            "last": 59,
            "events": 60,
            "checkpoint": (directory / "w0" / "checkpoint").read_text(),
        },
        {
            "origin": f"{instance(state)}/w1",
            "end": 6,
            "first": None,
            "last": None,
            "events": 0,
            "checkpoint": (directory / "w1" / "checkpoint").read_text(),
        },
    ]
    assert logs[0]["checkpoint"].splitlines()[:2] == [f"{instance(state)}/w0", "120"]


def test_the_checkpoint_in_a_manifest_is_the_log_s_own(state, tmp_path):
    """The note in the manifest is signed by the key that the log's last header names: C2SP signed note, Ed25519."""
    assert export(state, "--output", str(tmp_path / "export"))[0] == 0
    note = json.loads((tmp_path / "export.manifest.json").read_text())["logs"][0]["checkpoint"]
    text, _, signature = note.partition("\n\n")
    _, name, signed = signature.rstrip("\n").split(" ")
    vkey = json.loads(segments(state)[-1].read_bytes().partition(b"\n")[0])["vkey"]
    key = b64decode(vkey.split("+", 2)[2])[1:]
    assert vkey.startswith(f"{name}+{b64decode(signed)[:4].hex()}+")
    Ed25519PublicKey.from_public_bytes(key).verify(b64decode(signed)[4:], f"{text}\n".encode())


def test_the_files_are_for_their_owner_only(state, tmp_path):
    """File and manifest have mode 0600, and nothing else is left."""
    export(state, "--output", str(tmp_path / "export"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir() if each.is_file()}
    assert modes == {"export": 0o600, "export.manifest.json": 0o600}


@pytest.mark.parametrize("there", ["export", "export.manifest.json"])
def test_a_file_is_not_overwritten_unless_forced(state, tmp_path, there):
    """A file of that name, or its manifest, is kept; --force replaces it. A refusal leaves no trace in the record."""
    (tmp_path / there).write_text("mine")
    code, _, err = export(state, "--output", str(tmp_path / "export"))
    assert code == 2
    assert "is there already" in err and "--force" in err
    assert (tmp_path / there).read_text() == "mine"
    assert own(state) == []
    assert export(state, "--output", str(tmp_path / "export"), "--force")[0] == 0
    assert len((tmp_path / "export").read_bytes().splitlines()) == 126


def test_a_reader_that_has_seen_enough_is_no_error(state):
    """`gateway audit export | head` ends without a complaint."""
    with subprocess.Popen(
        [*COMMAND, "--state-dir", str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as done:
        done.stdout.close()
        err = done.stderr.read()
        assert (done.wait(30), err) == (0, b"")


MISTAKES = [
    (["--format", "leef"], "--format: 'leef' is no format", "choose one of ocsf, ecs, cef, csv"),
    (["--since", "noon"], "--since: 'noon' is no point in time", "write a day"),
    (["--until", "2026-02-30"], "--until: '2026-02-30' is no point in time", "write a day"),
    (["colour:red"], "unknown qualifier 'colour'", "color"),
    (["--output", "."], ".: is a directory", "name a file"),
    (["--output", "/nonexistent/export"], "No such file or directory", ""),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), MISTAKES, ids=[row[0][-1] for row in MISTAKES])
def test_a_mistake_is_told_with_what_to_do(state, arguments, message, hint):
    """A wrong option is an error with its place, exit code 2, and no export."""
    code, out, err = invoke(state, *arguments)
    assert (code, out) == (2, b"")
    assert err.startswith("error: ") and message in err
    assert hint in err or hint == "color"


def test_a_directory_without_a_record_is_a_mistake(tmp_path):
    """A wrong state directory is told, with exit code 2."""
    code, out, err = export(tmp_path)
    assert (code, out) == (2, b"")
    assert "no record there" in err


# --- order and memory -----------------------------------------------------------------------------------------


def line(time, sequence):
    return Line(b"", {"time": time, "metadata": {"sequence": sequence, "log_name": "o"}})


@given(st.lists(st.integers(0, 7)), st.integers(8, 20))
def test_events_out_of_place_come_in_the_order_of_time(delays, window):
    """The order of time is exact as long as no event is further from its place than the window."""
    lines = [line(sequence + delay, sequence) for sequence, delay in enumerate(delays)]
    found = [each.place for each in in_order(lines, window)]
    assert found == sorted(each.place for each in lines)


def test_only_a_window_of_events_is_kept():
    """However long the log is, the export has read no more than a window ahead of what it has written."""
    read = 0

    def lines():
        nonlocal read
        for read in range(10_000):
            yield line(read, read)

    for written, _ in enumerate(in_order(lines(), 64)):
        assert read - written <= 64


def test_a_clock_that_was_set_back_loses_no_event():
    """Beyond the window the order is the log's own; every event is there once."""
    lines = [line(1000 + n, n) for n in range(50)] + [line(n, 50 + n) for n in range(50)]
    assert sorted(each.place[2] for each in in_order(lines, 8)) == list(range(100))


@given(st.sets(st.integers(0, 60)))
def test_sequences_are_read_in_ranges(sequences):
    """Sequences next to each other are read together, and no other is."""
    found = list(ranges(sorted(sequences)))
    assert [number for first, stop in found for number in range(first, stop)] == sorted(sequences)
    assert all(before[1] < after[0] for before, after in pairwise(found))


def test_a_lifecycle_event_has_no_request_to_filter_by(state):
    """Events without a request id, or without a decision, are not of any request and not denied."""
    live = StateDirectory.prepare(state)
    write(live, "w2", [lifecycle("gateway.start", "the gateway runs", {}, stamped(900, 5))])
    assert export(state, "--unrecorded", "--event", "gateway.start")[1].count(b"\n") == 1
    assert export(state, "--unrecorded", "--denied")[1].count(b"\n") == 40
