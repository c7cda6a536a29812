"""Old events are removed by whole segments, never without a record of it, and never what is held."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.audit import Ledger
from gateway.audit.holds import Hold, HoldsUnreadableError, add_hold, read_holds, release_hold
from gateway.audit.reader import last
from gateway.audit.retention import DAY, prune
from gateway.audit.sealing.keeper import Keeper, appender
from gateway.audit.store import Store
from gateway.errors import AuditUnavailable
from gateway.resources import Resources
from gateway.settings import Settings
from gateway.state.directory import StateDirectory
from tests.audit.logs import OPTIONS, plain, seal, write
from tests.audit.reading import details

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from gateway.cli import main; main()", "audit"]
BEGIN = 1_700_000_000_000
COUNT = 2000
STEP = DAY // 100  # a segment spans about four days
FUTURE = BEGIN + 1000 * DAY


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A state directory with a log of some 20 days in sealed segments, long ago."""
    state = tmp_path_factory.mktemp("original") / "state"
    directory = StateDirectory.prepare(state).audit_directory()
    write(directory, COUNT, begin=BEGIN, step=STEP, origin=f"{directory.parent.name}/w0")
    seal(directory)
    assert len(seals(directory)) > 3
    return state


@pytest.fixture
def state(original, tmp_path):
    return shutil.copytree(original, tmp_path / "state")


@pytest.fixture
def log(state):
    return StateDirectory.prepare(state).audit_directory()


@pytest.fixture
def ledger(log):
    with Ledger.open(log, origin=f"{log.parent.name}/w0", options=OPTIONS) as opened:
        yield opened


def seals(directory):
    return [json.loads(path.read_bytes()) for path in sorted(directory.glob("seg-*.seal"))]


def events_left(directory):
    return sorted(int(path.name[4:16]) for path in directory.glob("*.jsonl.zst"))


def hold(name="case-1", since=None, until=None):
    return Hold(name, "Inquiry", since, until, BEGIN, "os:test")


def gateway(state, *arguments):
    done = subprocess.run(
        [*COMMAND, *arguments, "--state-dir", str(state)],
        capture_output=True,
        text=True,
        timeout=90,
        env=os.environ | {"NO_COLOR": "1"},
    )
    return done.returncode, done.stdout, done.stderr


# --- pruning ---


def test_events_older_than_asked_for_are_removed_oldest_first(log, ledger):
    """What goes are segments whose last event is older; seal and tree stay, and the seal says by which event."""
    before = seals(log)
    limit = before[2]["last_time"]  # its last event is not older than itself
    removed = prune(log, limit, "a test", appender(ledger))
    assert [each.start for each in removed] == [each["start"] for each in before[:2]]
    assert events_left(log) == [each["start"] for each in before[2:]]
    for was, now in zip(before, seals(log), strict=False):
        assert {**now, "pruned": None} == was
        start = was["start"]
        assert (log / f"seg-{start:012d}.tree").exists()
        assert (log / f"seg-{start:012d}.parquet").exists() is (now["pruned"] is None)
    told = details(log, "audit.pruned")
    assert told == [
        {
            "segment": each["start"],
            "end": each["end"],
            "events": each["end"] - each["start"],
            "root": json.loads(each["commit"])["root"],
            "sha256": each["zst"]["sha256"],
            "because": "a test",
        }
        for each in before[:2]
    ]
    for each in seals(log)[:2]:
        with Store(log) as store:
            event = json.loads(store.event(each["pruned"]["sequence"]))
        assert event["metadata"]["event_code"] == "audit.pruned"
        assert event["unmapped"]["gateway"]["details"]["segment"] == each["start"]
        assert each["pruned"]["because"] == "a test"
        assert each["pruned"]["time"] == event["time"]


def test_the_event_is_durable_before_anything_is_removed(log, ledger):
    """When it cannot be recorded, nothing is removed and nothing is marked."""
    before = events_left(log)

    def refuse(event):
        assert event.code == "audit.pruned"
        assert events_left(log) == before
        raise AuditUnavailable("disk-full")

    with pytest.raises(AuditUnavailable):
        prune(log, FUTURE, "a test", refuse)
    assert events_left(log) == before
    assert all(each["pruned"] is None for each in seals(log))


def test_the_live_segment_and_those_that_are_not_sealed_stay(tmp_path):
    """However old it is: what is being written, and what waits to be sealed, is never removed."""
    log = tmp_path / "audit" / "i" / "w0"
    write(log, COUNT, begin=BEGIN)
    before = list(plain(log))
    with Ledger.open(log, origin="test/w0", options=OPTIONS) as ledger:
        assert prune(log, FUTURE, "a test", appender(ledger)) == []
    assert list(plain(log)) == before


def test_a_pruned_log_is_continued_and_verified(state, log):
    """The gateway starts on a log with pruned segments, and the verifier finds nothing wrong with what is left."""
    with Ledger.open(log, origin=f"{log.parent.name}/w0", options=OPTIONS) as ledger:
        prune(log, seals(log)[2]["last_time"], "a test", appender(ledger))
    with Ledger.open(log, origin=f"{log.parent.name}/w0", options=OPTIONS) as ledger:
        assert ledger.health.sequence == COUNT + 1
    left = [line.event["metadata"]["sequence"] for line in last(log)]
    first = seals(log)[2]["start"]
    sequences = sorted(sequence for sequence in left if sequence < COUNT)
    assert sequences == list(range(first, COUNT))
    code, out, err = gateway(state, "verify")
    assert code == 0, out + err


# --- crashes ---


class Crash(BaseException):
    """Stands for the end of the process."""


def in_the_middle_of(log, monkeypatch, name, times=1):
    """Prune, and crash when this function of the retention is called for the given time."""
    import gateway.audit.retention as module

    real, calls = getattr(module, name), iter(range(100))

    def crash(*arguments):
        if next(calls) == times - 1:
            raise Crash
        return real(*arguments)

    with monkeypatch.context() as patch, Ledger.open(log, origin=f"{log.parent.name}/w0", options=OPTIONS) as ledger:
        patch.setattr(module, name, crash)
        with suppress(Crash):
            prune(log, FUTURE, "a test", appender(ledger))


CRASHES = [
    ("before the event", "lifecycle", 1),
    ("after the event", "_sequence_of", 1),
    ("before the seal is marked", "write_seal", 1),
    ("before the events are removed", "remove", 1),
    ("before the next one", "remove", 2),
    ("in the second segment", "write_seal", 2),
]


@pytest.mark.parametrize(("name", "times"), [row[1:] for row in CRASHES], ids=[row[0] for row in CRASHES])
def test_a_crash_between_two_steps_is_completed(log, monkeypatch, name, times):
    """Wherever it stopped, the gateway starts on the log, and the next run completes it and tells of it once."""
    in_the_middle_of(log, monkeypatch, name, times)
    with Ledger.open(log, origin=f"{log.parent.name}/w0", options=OPTIONS) as ledger:
        prune(log, FUTURE, "a test", appender(ledger))
    assert events_left(log) == []
    assert list(log.glob("*.parquet")) == []
    assert sorted(each["segment"] for each in details(log, "audit.pruned")) == [each["start"] for each in seals(log)]
    assert not (log / "pruning.json").exists()


# --- holds ---


def test_what_a_hold_covers_stays(log, ledger):
    """A segment with an event of the held days is kept; the ones before and behind it go."""
    held = seals(log)[1]
    add_hold(log, hold(since=held["first_time"] + 1, until=held["last_time"] - 1))
    removed = [each.start for each in prune(log, FUTURE, "a test", appender(ledger))]
    assert events_left(log) == [held["start"]]
    assert held["start"] not in removed


HOLDS = [
    ("everything", None, None, True),
    ("until long before", None, BEGIN - 1, False),
    ("until its first event", None, BEGIN, True),
    ("from its last event on", BEGIN + (COUNT - 1) * STEP, None, True),
    ("from long after", FUTURE, None, False),
]


@pytest.mark.parametrize(("since", "until", "kept"), [row[1:] for row in HOLDS], ids=[row[0] for row in HOLDS])
def test_a_hold_holds_to_the_millisecond(since, until, kept):
    """Both ends belong to it; without an end it goes on for ever, without a beginning it began long ago."""
    assert hold(since=since, until=until).covers(BEGIN, BEGIN + (COUNT - 1) * STEP) is kept


def test_a_hold_of_one_log_holds_all_of_them(log, ledger):
    """A log that was begun after the hold, and has no file of its own, is held as well."""
    sibling = log.with_name("cli")
    sibling.mkdir()
    add_hold(sibling, hold())
    assert prune(log, FUTURE, "a test", appender(ledger)) == []
    release_hold(sibling, "case-1")
    assert len(prune(log, FUTURE, "a test", appender(ledger))) > 0


UNREADABLE = [
    b"",
    b"{}",
    b"no json",
    b'{"format":"gateway-audit-holds/2","holds":[]}',
    b'{"format":"gateway-audit-holds/1","holds":[],"more":1}',
    b'{"format":"gateway-audit-holds/1","holds":[{"name":"x"}]}',
    b'{"format":"gateway-audit-holds/1","holds":[{"name":"x","because":"","from":"1","to":1,"created":1,"by":""}]}',
]


@pytest.mark.parametrize("data", UNREADABLE)
def test_a_hold_file_that_cannot_be_read_holds_everything(log, ledger, data):
    """Nothing is removed while it is not known what is held."""
    before = events_left(log)
    (log / "hold.json").write_bytes(data)
    with pytest.raises(HoldsUnreadableError, match=r"hold\.json"):
        prune(log, FUTURE, "a test", appender(ledger))
    assert events_left(log) == before


def test_a_hold_that_comes_in_the_middle_holds_what_is_left(log, ledger):
    """Holds are read again before each segment: from when `hold add` has returned nothing more is removed."""
    write_event = appender(ledger)

    def append(event):
        write_event(event)
        if not read_holds(log):
            from gateway.audit.sealing.whole import replace

            # Not through add_hold: that waits until this segment is done, which is what it is for.
            replace(
                log / "hold.json",
                json.dumps(
                    {
                        "format": "gateway-audit-holds/1",
                        "holds": [
                            {"name": "x", "because": "y", "from": None, "to": None, "created": 1, "by": "z"},
                        ],
                    }
                ).encode(),
            )

    before = events_left(log)
    assert len(prune(log, FUTURE, "a test", append)) == 1
    assert events_left(log) == before[1:]


# --- the keeper ---


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_gateway_applies_the_retention_at_its_start(log, ledger):
    """With GATEWAY_AUDIT__RETENTION_DAYS, what is older goes at the start and once an hour; without, nothing goes."""
    keeper = Keeper(ledger, log, poll=0.02)
    keeper.start()
    time.sleep(0.3)
    keeper.close()
    assert len(events_left(log)) > 3
    keeper = Keeper(ledger, log, retention_days=30, poll=0.02)
    keeper.start()
    wait_until(lambda: not events_left(log))
    keeper.close()
    assert {each["because"] for each in details(log, "audit.pruned")} == {
        "older than 30 days (GATEWAY_AUDIT__RETENTION_DAYS)"
    }


def test_the_setting_reaches_the_record(state, log):
    """A gateway that is started with GATEWAY_AUDIT__RETENTION_DAYS removes what is older, and one without does not."""
    environment = {"GATEWAY_STATE_DIR": str(state), "GATEWAY_POLICIES": str(ROOT / "policies")}
    for more, left in (({}, True), ({"GATEWAY_AUDIT__RETENTION_DAYS": "400"}, False)):
        resources = Resources.open(Settings.load(environment | more))
        try:
            resources.announce()
            if not left:
                wait_until(lambda: not events_left(log))
        finally:
            resources.close()
        assert bool(events_left(log)) is left
    assert len(details(log, "audit.pruned")) == len(seals(log))


# --- the commands ---


def test_prune_shows_first_and_then_removes(state, log):
    """`--dry-run` changes nothing; without it the events go, and who has asked for it is in the commands' log."""
    code, out, _ = gateway(state, "prune", "--older-than", "400d", "--dry-run")
    assert code == 0
    assert out.count("would be removed") == len(seals(log))
    assert not (log.with_name("cli")).exists()
    code, out, err = gateway(state, "prune", "--older-than", "400d", "--because", "Schedule 7", "--json")
    assert (code, err) == (0, "")
    assert {json.loads(line)["outcome"] for line in out.splitlines()} == {"removed"}
    assert events_left(log) == []
    (asked,) = details(log.with_name("cli"), "audit.prune")
    assert asked["because"] == "older than 400 days: Schedule 7"
    told = details(log, "audit.pruned")
    assert len(told) == len(seals(log))
    assert told[0]["because"] == "older than 400 days: Schedule 7 (gateway audit prune)"
    assert gateway(state, "verify")[0] == 0


def test_a_gateway_that_runs_prunes_by_itself_when_it_is_asked(state, log, ledger):
    """The command leaves a request, the gateway records and removes, and the command shows what came of it."""
    keeper = Keeper(ledger, log, poll=0.05)
    keeper.start()
    try:
        code, out, err = gateway(state, "prune", "--older-than", "400d")
    finally:
        keeper.close()
    assert code == 0, err
    assert out.count("removed") == len(seals(log))
    assert events_left(log) == []
    assert len(details(log, "audit.pruned")) == len(seals(log))


def test_a_request_that_cannot_be_read_is_dropped(log, ledger, caplog):
    """The gateway does nothing that it does not understand, and says so in its process log."""
    (log / "prune-request.json").write_text('{"before": "all"}')
    keeper = Keeper(ledger, log, poll=0.02)
    keeper.start()
    wait_until(lambda: not (log / "prune-request.json").exists())
    keeper.close()
    assert "cannot be read was dropped" in caplog.text
    assert len(events_left(log)) > 3


AGES = ["0d", "400", "d", "-1d", "1.5y", "101y", "400 days", ""]


@pytest.mark.parametrize("text", AGES)
def test_an_age_is_a_number_of_days_weeks_or_years(state, text):
    """Anything else is refused before anything is looked at."""
    code, _, err = gateway(state, "prune", "--older-than", text, "--dry-run")
    assert code == 2
    assert "400d" in err


def test_holds_are_added_listed_and_released(state, log):
    """A hold stops `prune`, is shown by `segments`, and who has made and released it is recorded."""
    middle = time.strftime("%Y-%m-%d", time.gmtime(seals(log)[1]["first_time"] / 1000 + 86400))
    code, out, err = gateway(state, "hold", "add", "case-1", "--because", "Inquiry", "--from", middle, "--to", middle)
    assert (code, err) == (0, "")
    assert f"{middle} 00:00:00Z to {middle} 23:59:59Z" in out
    assert gateway(state, "hold", "add", "case-1", "--because", "again")[0] == 2
    code, out, _ = gateway(state, "hold", "list", "--json")
    (shown,) = [json.loads(line) for line in out.splitlines()]
    assert (shown["name"], shown["because"], len(shown["logs"])) == ("case-1", "Inquiry", 2)
    assert shown["to"] - shown["from"] == DAY - 1
    assert "case-1" in gateway(state, "hold", "list")[1]

    code, out, _ = gateway(state, "prune", "--older-than", "400d", "--json")
    assert code == 0
    held = [row for row in map(json.loads, out.splitlines()) if row["outcome"] == "held"]
    assert events_left(log) == [row["start"] for row in held] != []
    code, out, _ = gateway(state, "segments", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["start"] for row in rows if row["held"] == ["case-1"]] == events_left(log)
    assert {row["form"] for row in rows} == {"pruned", "sealed", "live"}

    assert gateway(state, "hold", "release", "case-2", "--because", "x")[0] == 1
    assert gateway(state, "hold", "release", "case-1", "--because", "Closed")[0] == 0
    assert gateway(state, "hold", "list")[1] == "no holds\n"
    assert gateway(state, "prune", "--older-than", "400d")[0] == 0
    assert events_left(log) == []
    told = details(log.with_name("cli"), "audit.hold")
    assert [(each["action"], each["name"]) for each in told] == [("add", "case-1"), ("release", "case-1")]


REFUSED = [
    (["hold", "add", "a b", "--because", "x"], "letters"),
    (["hold", "add", "a", "--because", " "], "reason"),
    (["hold", "add", "a", "--because", "x", "--from", "yesterday"], "2026-03-31"),
    (["hold", "add", "a", "--because", "x", "--from", "2026-02-02", "--to", "2026-02-01"], "before --from"),
    (["hold", "add", "a"], "--because"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_a_hold_without_a_name_a_reason_or_sensible_days_is_refused(state, log, arguments, said):
    """With exit code 2, and nothing is held or recorded."""
    code, _, err = gateway(state, *arguments)
    assert code == 2
    assert said in err
    assert not (log / "hold.json").exists()


def test_a_hold_that_cannot_be_recorded_is_not_made(state, log):
    """Without a record of who has made it there is no hold."""
    (state / "instance").unlink()
    code, _, err = gateway(state, "hold", "add", "a", "--because", "x")
    assert code == 2
    assert "cannot be recorded" in err
    assert not (log / "hold.json").exists()


def test_seal_seals_by_hand_what_waits(tmp_path):
    """When the gateway does not run: finished segments are sealed, with `--now` the live one, and it is recorded."""
    log = StateDirectory.prepare(tmp_path / "state").audit_directory()
    write(log, 1000, origin=f"{log.parent.name}/w0")
    finished = len(plain(log)) - 1
    code, out, err = gateway(tmp_path / "state", "seal")
    assert (code, err) == (0, "")
    assert out.count("sealed") == finished == len(seals(log))
    assert len(details(log, "audit.sealed")) == finished
    code, out, err = gateway(tmp_path / "state", "seal", "--now", "--json")
    assert (code, err) == (0, "")
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert row["end"] > 1000 and seals(log)[-1]["end"] == row["end"]
    assert gateway(tmp_path / "state", "verify")[0] == 0


def test_seal_leaves_a_gateway_that_runs_alone(state, log, ledger):
    """It says that the gateway does it by itself, with exit code 2."""
    code, _, err = gateway(state, "seal", "--now")
    assert code == 2
    assert "seals its record by itself" in err


def test_segments_is_a_table_for_people(state):
    """Each segment with its bounds, times, form and size."""
    code, out, _ = gateway(state, "segments")
    assert code == 0
    assert "held by" in out.splitlines()[0]
    assert "sealed" in out and "live" in out and "2023-11-14 22:13:20Z" in out


def test_a_directory_without_a_record_is_a_mistake(tmp_path):
    """Each of the commands says so, with exit code 2."""
    for arguments in (["segments"], ["seal"], ["prune", "--older-than", "1d"], ["hold", "list"]):
        code, out, err = gateway(tmp_path, *arguments)
        assert (code, out) == (2, "")
        assert "no record there" in err
