"""The gateway's session as it travels in a cookie: sealed, so that nobody can make or change one (ASVS 7.2.1).

The seal is an HMAC-SHA-256 by itsdangerous under a key derived for this purpose alone: what the same secret signs
elsewhere (CSRF tokens, download links) is no session. The value is readable, and holds nothing that needs hiding
from its owner: a random id and two instants.

Time and randomness are arguments. Ending one session before its time is not done here: the caller keeps the ids that
were ended (ASVS 7.4.1), under their fingerprints.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from itsdangerous import BadSignature, Signer

MAX_COOKIE = 4096  # bytes a browser must keep of a cookie, attributes included (RFC 6265 §6.1); ours has about 100
MIN_KEY = 32  # bytes: no key weaker than the hash that it keys (RFC 2104 §3)
MIN_ENTROPY = 16  # bytes: 128 bits (ASVS 7.2.3)
CLOCK_SKEW = timedelta(seconds=60)  # by how much the clocks of two replicas may disagree

_SALT = b"streamlit-gateway/session/1"
_REMEMBERED = 256  # characters: ours are about 90; what is longer is not remembered, so that nobody fills the memory
_ALPHABET = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9_-]{22,86})\.([0-9]{1,11})\.([0-9]{1,11})", re.ASCII)


class SessionFlaw(StrEnum):
    """Why a cookie is no session now. For the record; the visitor is told nothing but to begin a new one."""

    TOO_LARGE = "session-too-large"
    NOT_OURS = "session-not-ours"  # no signature, a wrong one, or one made for another purpose
    MALFORMED = "session-malformed"  # signed by us, yet not what we seal: a key is used elsewhere
    FROM_THE_FUTURE = "session-from-the-future"
    IDLE = "session-idle"
    OVER = "session-over"


@dataclass(frozen=True, slots=True)
class Invalid:
    """The cookie is no session now."""

    reason: SessionFlaw


@dataclass(frozen=True, slots=True, repr=False)
class SessionToken:
    """One session: its id, the instant it began, and the instant of its latest request, in whole seconds of UTC.

    `id` is the credential, base64url text of at least 128 random bits: it belongs in the cookie and nowhere else.
    """

    id: str = field(repr=False)
    started: datetime
    seen: datetime

    @classmethod
    def begin(cls, entropy: bytes, now: datetime) -> "SessionToken":
        """A new session, from fresh bytes of the system's random generator (ASVS 7.2.2, 7.2.3).

        Raises:
            ValueError: fewer than 16 or more than 64 bytes, or an instant without time zone.
        """
        if not MIN_ENTROPY <= len(entropy) <= 64:
            raise ValueError(f"a session id takes {MIN_ENTROPY} to 64 random bytes, not {len(entropy)}")
        instant = _whole_second(now)
        return cls(urlsafe_b64encode(entropy).rstrip(b"=").decode(), instant, instant)

    def touch(self, now: datetime) -> "SessionToken":
        """The same session, seen now. It never goes back in time, whichever replica's clock is behind."""
        return replace(self, seen=max(self.seen, _whole_second(now)))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for the session in records, and cannot be turned back into it."""
        return sha256(self.id.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"SessionToken({self.fingerprint}, started={self.started:%FT%TZ}, seen={self.seen:%FT%TZ})"


class SessionSealer:
    """Seals sessions with the newest of its keys and opens what any of them sealed.

    To rotate: append a new key everywhere; after the longest lifetime, drop the first. Nobody is logged out.
    """

    __slots__ = ("_sealed", "_signer")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """A sealer under these keys, OLDEST FIRST; the last one seals.

        Raises:
            ValueError: no key, or one of fewer than 32 bytes.
        """
        if not keys or any(len(key) < MIN_KEY for key in keys):
            raise ValueError(f"sessions need at least one key, each of at least {MIN_KEY} bytes")
        # The defaults of itsdangerous are SHA-1 and a key derived by plain concatenation.
        self._signer = Signer(list(keys), salt=_SALT, key_derivation="hmac", digest_method=sha256)
        # A page load sends the same cookie about seventy times; checking a signature costs as much as a decision.
        self._sealed = lru_cache(maxsize=4096)(self._unsealed)

    def seal(self, session: SessionToken) -> str:
        """The cookie's value: about 90 characters from the base64url alphabet and dots."""
        value = f"{session.id}.{_seconds(session.started)}.{_seconds(session.seen)}"
        return self._signer.sign(value).decode("ascii")

    def open(self, cookie: str, *, now: datetime, idle: timedelta, lifetime: timedelta) -> SessionToken | Invalid:
        """The session in the cookie, if it may still be used at `now`.

        It has ended when `idle` has passed since its latest request (ASVS 7.3.1), or `lifetime` since it began
        (ASVS 7.3.2), to the second. Never raises for anything that a client can send.
        """
        if len(cookie) > MAX_COOKIE:
            return Invalid(SessionFlaw.TOO_LARGE)
        sealed = self._sealed(cookie) if len(cookie) <= _REMEMBERED else self._unsealed(cookie)
        if isinstance(sealed, SessionFlaw):
            return Invalid(sealed)
        flaw = _flaw(sealed, now, idle, lifetime)
        return sealed if flaw is None else Invalid(flaw)

    def _unsealed(self, cookie: str) -> SessionToken | SessionFlaw:
        """What was sealed, whenever that was: depends on the cookie and the keys alone, so it can be remembered."""
        # itsdangerous skips what is not base64 in a signature: without this, one session had many spellings.
        if _ALPHABET.fullmatch(cookie) is None:
            return SessionFlaw.NOT_OURS
        try:
            value = self._signer.unsign(cookie).decode("ascii")
        except BadSignature:
            return SessionFlaw.NOT_OURS
        return _parse(value) or SessionFlaw.MALFORMED


def _parse(value: str) -> SessionToken | None:
    match = _VALUE.fullmatch(value)
    if match is None:
        return None
    started, seen = (datetime.fromtimestamp(int(seconds), UTC) for seconds in match.groups()[1:])
    return SessionToken(match[1], started, seen) if started <= seen else None


def _flaw(session: SessionToken, now: datetime, idle: timedelta, lifetime: timedelta) -> SessionFlaw | None:
    if session.seen > now + CLOCK_SKEW:
        return SessionFlaw.FROM_THE_FUTURE
    if now - session.started >= lifetime:
        return SessionFlaw.OVER
    return SessionFlaw.IDLE if now - session.seen >= idle else None


def _whole_second(instant: datetime) -> datetime:
    return datetime.fromtimestamp(_seconds(instant), UTC)


def _seconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    return int(instant.timestamp())
