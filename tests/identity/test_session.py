"""The sealed session cookie (ASVS 5.0: 7.2.1 to 7.2.3, 7.3.1, 7.3.2)."""

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta, timezone

import itsdangerous
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.session import CLOCK_SKEW, Invalid, SessionFlaw, SessionSealer, SessionToken

OLD, NEW, OTHER = b"old key, 32 bytes or more......." + b"!", b"new key, 32 bytes or more.......!", b"o" * 32
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
IDLE, LIFETIME = timedelta(minutes=30), timedelta(hours=12)
SALT = b"streamlit-gateway/session/1"  # written into every cookie in use: to change it ends all sessions

SEALER = SessionSealer([OLD, NEW])
SESSION = SessionToken.begin(bytes(range(16)), NOON)


def opened(cookie, now=NOON, sealer=SEALER):
    return sealer.open(cookie, now=now, idle=IDLE, lifetime=LIFETIME)


def signed(value, **how):
    kind = {"salt": SALT, "key_derivation": "hmac", "digest_method": hashlib.sha256} | how
    return itsdangerous.Signer(NEW, **kind).sign(value).decode()


def test_what_is_sealed_opens():
    """A cookie opens to the session that was sealed, as long as it is used."""
    assert opened(SEALER.seal(SESSION)) == SESSION
    later = NOON + timedelta(minutes=5)
    assert opened(SEALER.seal(SESSION.touch(later)), later) == SESSION.touch(later)


def test_seal_is_hmac_sha256():
    """Another implementation of HMAC-SHA-256 (RFC 2104), with a key derived by HMAC from key and purpose, agrees."""
    value, _, signature = SEALER.seal(SESSION).rpartition(".")
    key = hmac.digest(NEW, SALT, "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == hmac.digest(key, value.encode(), "sha256")


def test_cookie_is_small_and_plain():
    """The value needs no quoting in a cookie (RFC 6265 §4.1.1) and takes a fraction of its 4 KB."""
    cookie = SEALER.seal(SESSION)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", cookie)
    assert len(cookie) < 120


def test_rotation_logs_nobody_out():
    """A session from before a key was appended opens, and its next seal is under the new key."""
    before, after, later = SessionSealer([OLD]), SessionSealer([OLD, NEW]), SessionSealer([NEW])
    assert opened(before.seal(SESSION), sealer=after) == SESSION
    assert opened(after.seal(SESSION), sealer=later) == SESSION
    assert opened(before.seal(SESSION), sealer=later) == Invalid(SessionFlaw.NOT_OURS)
    assert opened(after.seal(SESSION), sealer=before) == Invalid(SessionFlaw.NOT_OURS)


GOOD = f"{SESSION.id}.{int(NOON.timestamp())}.{int(NOON.timestamp())}"
FORGERIES = [
    ("empty", "", SessionFlaw.NOT_OURS),
    ("no signature", GOOD, SessionFlaw.NOT_OURS),
    ("an empty signature", f"{GOOD}.", SessionFlaw.NOT_OURS),
    ("the none algorithm of JWT", "eyJhbGciOiJub25lIn0.e30.", SessionFlaw.NOT_OURS),
    ("truncated", signed(GOOD)[:-2], SessionFlaw.NOT_OURS),
    ("half", signed(GOOD)[:44], SessionFlaw.NOT_OURS),
    (
        "another key",
        itsdangerous.Signer(OTHER, SALT, key_derivation="hmac", digest_method=hashlib.sha256).sign(GOOD).decode(),
        SessionFlaw.NOT_OURS,
    ),
    ("another purpose", signed(GOOD, salt=b"csrf"), SessionFlaw.NOT_OURS),
    ("no purpose", signed(GOOD, salt=b""), SessionFlaw.NOT_OURS),
    ("SHA-1", signed(GOOD, digest_method=hashlib.sha1), SessionFlaw.NOT_OURS),
    ("SHA-512", signed(GOOD, digest_method=hashlib.sha512), SessionFlaw.NOT_OURS),
    ("another key derivation", signed(GOOD, key_derivation="django-concat"), SessionFlaw.NOT_OURS),
    ("no key derivation", signed(GOOD, key_derivation="none"), SessionFlaw.NOT_OURS),
    ("not ASCII", signed(GOOD) + "\u00e9\u2028\ud800", SessionFlaw.NOT_OURS),
    ("more than 4 KB", signed(GOOD) + "A" * 4096, SessionFlaw.TOO_LARGE),
    ("4 KB", "A" * 4096, SessionFlaw.NOT_OURS),
    ("signed, not a session", signed("hello"), SessionFlaw.MALFORMED),
    ("signed, a short id", signed(GOOD[1:]), SessionFlaw.MALFORMED),
    ("signed, seen before it began", signed(f"{SESSION.id}.1772452800.1772452799"), SessionFlaw.MALFORMED),
    ("signed, a time that is none", signed(f"{SESSION.id}.1772452800.-1"), SessionFlaw.MALFORMED),
    ("signed, a time beyond time", signed(f"{SESSION.id}.1772452800.999999999999"), SessionFlaw.MALFORMED),
    ("signed, a line break in the value", signed(f"{GOOD}\n"), SessionFlaw.NOT_OURS),
    ("a line break at the end", signed(GOOD) + "\n", SessionFlaw.NOT_OURS),
    ("padding at the end", signed(GOOD) + "=", SessionFlaw.NOT_OURS),
    ("a blank in the signature", signed(GOOD)[:-3] + " " + signed(GOOD)[-3:], SessionFlaw.NOT_OURS),
    ("signed, not ASCII", signed(GOOD + "\u0661"), SessionFlaw.NOT_OURS),
]


@pytest.mark.parametrize(("name", "cookie", "expected"), FORGERIES, ids=[row[0] for row in FORGERIES])
def test_forgeries(name, cookie, expected):
    """A cookie that we did not seal, for this purpose and whole, is no session."""
    assert opened(cookie) == Invalid(expected)


def test_every_changed_character_is_noticed():
    """No single character of value or signature can be changed. (The last one also carries unused bits.)"""
    cookie = SEALER.seal(SESSION)
    for place in range(len(cookie) - 1):
        other = "B" if cookie[place] == "A" else "A"
        assert opened(cookie[:place] + other + cookie[place + 1 :]) == Invalid(SessionFlaw.NOT_OURS)


SECOND = timedelta(seconds=1)
TIMES = [
    ("at once", 0 * SECOND, NOON, None),
    ("a second before idle ends", 0 * SECOND, NOON + IDLE - SECOND, None),
    ("when idle ends", 0 * SECOND, NOON + IDLE, SessionFlaw.IDLE),
    ("long after", 0 * SECOND, NOON + timedelta(days=400), SessionFlaw.OVER),
    ("a second before the lifetime ends, in use", LIFETIME - SECOND, NOON + LIFETIME - SECOND, None),
    ("when the lifetime ends, in use", LIFETIME - SECOND, NOON + LIFETIME, SessionFlaw.OVER),
    ("seen just now by a clock that is ahead", 0 * SECOND, NOON - CLOCK_SKEW, None),
    ("seen in the future", 0 * SECOND, NOON - CLOCK_SKEW - SECOND, SessionFlaw.FROM_THE_FUTURE),
    ("seen far in the future", timedelta(days=3650), NOON, SessionFlaw.FROM_THE_FUTURE),
    ("the same instant in another zone", 0 * SECOND, NOON.astimezone(timezone(timedelta(hours=9))), None),
]


@pytest.mark.parametrize(("name", "used", "now", "expected"), TIMES, ids=[row[0] for row in TIMES])
def test_times(name, used, now, expected):
    """A session ends when it was idle for its time, and at its lifetime however busy it is, to the second."""
    session = SESSION.touch(NOON + used)
    assert opened(SEALER.seal(session), now) == (session if expected is None else Invalid(expected))


def test_touch_never_goes_back():
    """A replica whose clock is behind cannot make a session older."""
    later = SESSION.touch(NOON + timedelta(minutes=5))
    assert later.touch(NOON) == later


def test_id_is_nowhere_but_in_the_cookie():
    """Neither a token's representation nor its fingerprint tells the id; the fingerprint is SHA-256, cut to 64 bits."""
    assert SESSION.id not in repr(SESSION)
    assert SESSION.id not in f"{SESSION} {[SESSION]!r} {opened('junk')!r} {SEALER!r}"
    assert SESSION.fingerprint == hashlib.sha256(SESSION.id.encode()).hexdigest()[:16]
    assert SESSION.fingerprint in repr(SESSION)


def test_id_carries_all_the_randomness():
    """The id is the random bytes in base64url (RFC 4648 §5): 128 bits are 22 characters."""
    assert base64.urlsafe_b64decode(SESSION.id + "==") == bytes(range(16))
    assert len(SESSION.id) == 22


@pytest.mark.parametrize("size", [0, 15, 65])
def test_too_little_randomness(size):
    """Fewer than 128 bits make no session; more than 64 bytes are a mistake."""
    with pytest.raises(ValueError, match="random bytes"):
        SessionToken.begin(b"x" * size, NOON)


@pytest.mark.parametrize("keys", [[], [b""], [b"x" * 31], [NEW, b"short"]])
def test_weak_keys(keys):
    """There is no sealing without a key, nor with a short one."""
    with pytest.raises(ValueError, match="at least one key"):
        SessionSealer(keys)


def test_instants_need_a_zone():
    """An instant without time zone is a bug, and not a guess."""
    with pytest.raises(ValueError, match="time zone"):
        SessionToken.begin(b"x" * 16, datetime(2026, 3, 2, 12))  # noqa: DTZ001


@given(
    st.binary(min_size=16, max_size=64),
    st.integers(0, 10**16).map(
        lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    ),
)
def test_round_trip(entropy, now):
    """Every session opens to itself; the clock's fractions of a second are cut off."""
    session = SessionToken.begin(entropy, now)
    assert session.started == now.replace(microsecond=0)
    assert opened(SEALER.seal(session), now) == session


@given(st.text(max_size=5000))
def test_any_cookie(cookie):
    """No cookie is an error."""
    assert isinstance(opened(cookie), Invalid)
