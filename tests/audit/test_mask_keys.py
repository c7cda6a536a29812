"""The keys of pseudonyms: made, replaced, destroyed; and a gateway that notices while it runs."""

import asyncio
import json
import os
import stat
import time
from types import SimpleNamespace

import pytest

from gateway.audit import Durability, Ledger
from gateway.audit.events import Violation
from gateway.audit.log import audit_logger
from gateway.audit.mask_keys import DAY, CurrentKey, live_keys, lookup, masks_of
from gateway.audit.masks import CLEAR
from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable, StartupError
from gateway.model import Deny, Reason
from gateway.state.pseudonym_keys import PseudonymKeys
from gateway.web.reports import Reports
from tests.audit.reading import events
from tests.audit.samples import ALLOW, POLICY, STAFF, end, exchange, line
from tests.audit.test_masks import expected

NOW = 1_790_000_000_000


@pytest.fixture
def keys(tmp_path):
    return PseudonymKeys.below(tmp_path)


class Hand:
    """A clock that is moved by hand: milliseconds and seconds go together."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def ticks(self):
        return self.now / 1000


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def current(keys, clock):
    return CurrentKey(keys, 90 * DAY, clock, clock.ticks)


def test_the_first_start_makes_a_key_that_only_we_can_read(keys, current):
    """`<state>/keys/pseudonyms/k1`, mode 0600 in directories of mode 0700: 32 random bytes and when they were made."""
    assert current().kid == "k1"
    path = keys.directory / "k1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.directory.stat().st_mode) == stat.S_IMODE(keys.directory.parent.stat().st_mode) == 0o700
    [key] = keys.live()
    assert key.since == NOW
    assert len(key.secret.reveal()) == 32
    assert key.secret.reveal() not in path.read_bytes()  # base64, one line
    assert current().pseudonym("user", "a") == expected("user", "a", key.secret.reveal(), "k1")


def test_a_restart_goes_on_with_the_same_key(keys, clock, current):
    """The same person has the same pseudonym after a restart."""
    again = CurrentKey(keys, 90 * DAY, clock, clock.ticks)
    assert again().pseudonym("user", "a") == current().pseudonym("user", "a")


def test_a_key_is_replaced_when_it_is_old(keys, clock, current):
    """After 90 days a new key masks; the old one stays, to find what it has masked."""
    clock.now += 90 * DAY - 1
    assert current().kid == "k1"
    clock.now += 1001
    assert current().kid == "k2"
    assert [key.kid for key in keys.live()] == ["k1", "k2"]


def test_a_running_gateway_notices_within_a_second(keys, clock, current):
    """A key that a command has replaced or erased masks nothing a second later."""
    keys.add(clock.now)
    assert current().kid == "k1"
    clock.now += 1000
    assert current().kid == "k2"
    keys.erase("k2", clock.now)
    clock.now += 1000
    assert current().kid == "k1"
    keys.erase("k1", clock.now)
    clock.now += 1000
    assert current().kid == "k3"  # a number is never given twice


def test_an_erased_key_is_overwritten_and_gone(keys, current, tmp_path):
    """The bytes of the key are written over, the file is removed, and what it has masked is found no more."""
    os.link(keys.directory / "k1", tmp_path / "the same blocks")
    [key] = keys.live()
    pseudonym = lookup(tmp_path, "user", "alice")
    assert pseudonym == [expected("user", "alice", key.secret.reveal(), "k1")]
    before = (tmp_path / "the same blocks").read_bytes()
    keys.erase("k1", NOW + 5)
    after = (tmp_path / "the same blocks").read_bytes()
    assert len(after) >= len(before)
    assert not any(before[at : at + 8] in after for at in range(len(before) - 8))
    assert [path.name for path in keys.directory.iterdir()] == ["k1.erased"]
    assert [(each.kid, each.erased) for each in keys.erased()] == [("k1", NOW + 5)]
    assert lookup(tmp_path, "user", "alice") == []


def test_an_erasure_that_was_interrupted_counts(keys, current):
    """A key whose erasure has begun is used by nobody, and erasing it again completes it."""
    (keys.directory / "k1.erased").write_text(f"{NOW}\n")
    assert keys.live() == ()
    keys.erase("k1", NOW + 1)
    assert not (keys.directory / "k1").exists()


def test_a_value_is_found_under_every_key(keys, current, tmp_path):
    """Who looks somebody up gets the pseudonyms under all keys that are left, oldest first."""
    keys.add(NOW + 1)
    found = lookup(tmp_path, "client", "::ffff:192.0.2.7")
    secrets = {key.kid: key.secret.reveal() for key in keys.live()}
    assert found == [expected("client", "192.0.2.7", secrets[kid], kid) for kid in ("k1", "k2")]
    assert lookup(tmp_path, "client", "host-1") == []
    assert [key.kid for key in live_keys(tmp_path)] == ["k1", "k2"]


DAMAGE = {
    "not a key": lambda path: path.write_text("hello\n"),
    "too short": lambda path: path.write_text("1790000000000 c2hvcnQ=\n"),
    "empty": lambda path: path.write_text(""),
    "open to others": lambda path: path.chmod(0o640),
    "a symbolic link": lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_key_that_cannot_be_used_stops_the_start(keys, current, clock, damage):
    """A damaged key, or one that others can read, is told with its place; its content is not."""
    damage(keys.directory / "k1")
    with pytest.raises(StartupError) as refused:
        CurrentKey(keys, 90 * DAY, clock, clock.ticks)
    assert str(keys.directory / "k1") in str(refused.value)
    assert "hello" not in str(refused.value) and "c2hvcnQ" not in str(refused.value)
    assert refused.value.hint


def test_without_a_key_nothing_is_masked_and_nothing_is_shown(keys, current, clock):
    """While the keys cannot be read no event that needs one is made; afterwards it goes on by itself."""
    keys.directory.rename(keys.directory.with_name("away"))
    keys.directory.write_text("in the way")
    clock.now += 1000
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="no-pseudonym-key"):
            current()
    keys.directory.unlink()
    keys.directory.with_name("away").rename(keys.directory)
    clock.now += 1000
    assert current().kid == "k1"


def test_when_nothing_is_masked_no_key_is_made(tmp_path):
    """With `none` to be masked there are no keys."""
    assert masks_of(tmp_path, ("none",), 90) is CLEAR
    assert list(tmp_path.iterdir()) == []


# --- in the record --------------------------------------------------------------------------------------------


class Known:
    """An exchange as the recorder wants it."""

    def __init__(self, given):
        self.given = given
        self.policy = None
        self.decision = given.decision
        self.recorded = False
        self.reason = None

    def opened(self, _):
        return self.given

    def closed(self, opened):
        return end(opened)


def test_a_record_goes_on_under_another_key(tmp_path):
    """Events after an erasure carry a new key's pseudonyms, without a restart; and what was erased is found no more."""
    recorder_keys = PseudonymKeys.below(tmp_path)
    with Ledger.open(tmp_path / "log", origin="o") as ledger:
        recorder = Recorder(ledger, masks=masks_of(tmp_path, ("session", "user"), 90))
        recorder.submit(Known(exchange(ALLOW, principal=STAFF))).wait(5)
        recorder_keys.erase("k1", NOW)
        time.sleep(1.1)
        recorder.submit(Known(exchange(ALLOW, principal=STAFF))).wait(5)
        recorder.script_error("ValueError", "9f", STAFF, "req-1")
        recorder.happened(Known(exchange(ALLOW, principal=STAFF)), "page.open", "/ledger", {})
        recorder.closed(Known(exchange(Deny(Reason.NO_RULE_MATCHED, POLICY), principal=STAFF)))
    shown = [event["actor"]["user"]["uid"] for event in events(tmp_path / "log") if "actor" in event]
    assert [each.split(":")[1] for each in shown] == ["k1", "k2", "k2", "k2", "k2", "k2"]
    assert STAFF.id not in json.dumps(events(tmp_path / "log"))
    assert lookup(tmp_path, "user", STAFF.id) == [shown[1]]


def test_an_exchange_whose_mask_has_no_key_is_refused(tmp_path):
    """Fail closed: what cannot be masked is not recorded in clear, and so does not happen; others are not concerned."""
    with Ledger.open(tmp_path / "log", origin="o") as ledger:
        recorder = Recorder(ledger, masks=masks_of(tmp_path, ("session",), 90))
        (tmp_path / "keys" / "pseudonyms" / "k1").write_text("damaged")
        (tmp_path / "keys" / "pseudonyms" / "k2").write_text("damaged")
        time.sleep(1.1)
        with pytest.raises(AuditUnavailable, match="event-error"):
            recorder.submit(Known(exchange())).wait(5)
        recorder.submit(Known(exchange(session=None)), Durability.BEFORE).wait(5)
    assert [e["unmapped"]["gateway"]["inputs"].get("session") for e in events(tmp_path / "log") if "actor" in e] == [
        None
    ]


def test_what_is_said_through_a_logger_is_masked_too(tmp_path):
    """The actor of an audit logger, and facts that name somebody, go through the same masks."""
    with Ledger.open(tmp_path / "log", origin="o") as ledger:
        log = audit_logger(ledger, STAFF, masks_of(tmp_path, ("user", "client", "session"), 90))
        log.info("report.approved", user=STAFF.id, note=f"for {STAFF.id}").wait(5)
        log.info("admin.action", operation="session.revoke", source="192.0.2.7", session="5b0e77a1c2d94f30").wait(5)
        log.info("policy.change", revision="0008", digest="sha256:00", because="SEC-1").wait(5)
        log.info("script.error", exception="ValueError", page=f"/{STAFF.id}").wait(5)
    written = json.dumps(events(tmp_path / "log"))
    for clear in (STAFF.id, "192.0.2.7", "5b0e77a1c2d94f30"):
        assert clear not in written
    [user] = lookup(tmp_path, "user", STAFF.id)
    assert [each["actor"]["user"]["uid"] for each in events(tmp_path / "log") if "actor" in each] == [user] * 3


def test_what_browsers_report_is_masked_too(tmp_path):
    """A finding names its visitor as every other event of theirs does, at once and when it is counted."""
    built = []
    masks = masks_of(tmp_path, ("user", "session"), 90)
    visit = SimpleNamespace(context=exchange(principal=STAFF).context, policy=SimpleNamespace(ref=POLICY))

    async def report():
        reports = Reports(lambda entry, _: built.append(json.loads(line(entry.built()))), masks=masks)
        for _ in range(3):
            reports.note(Violation("/ledger", "img-src", "https://images.example"), visit)
        reports.flush()

    asyncio.run(report())
    assert [each["count"] for each in built] == [1, 2]
    [user], [session] = lookup(tmp_path, "user", STAFF.id), lookup(tmp_path, "session", visit.context.session)
    assert all(each["actor"]["user"]["uid"] == user for each in built)
    assert all(each["actor"]["session"]["uid"] == session for each in built)
    assert all(each["unmapped"]["gateway"]["masked"] == ["/actor/user/uid", "/actor/session/uid"] for each in built)
