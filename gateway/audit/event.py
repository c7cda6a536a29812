"""An event on its way into the log, and how one is made from an OCSF value: bounded, on one line, not yet numbered."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

from gateway.audit import ocsf
from gateway.audit.encode import encode
from gateway.audit.redact import NORMAL, TIGHT, Caps
from gateway.audit.stamp import Stamp
from gateway.model import Method, Principal

HARD_CAP: Final = 8 * 1024
"""Bytes of the longest line, sequence and newline included. Events of ordinary traffic stay below 2 KB."""

_MARGIN: Final = 512  # for what the ledger adds: sequence, log name (at most 255 bytes), durability
_HEAD: Final = len(b'{"metadata":{')
_SHORT: Final = 128
_TYPICAL: Final = 2048  # bytes of an ordinary event
T = TypeVar("T")


class Durability(StrEnum):
    """When an event must be on the disk, chosen by its kind.

    `before`: before the application runs. `hold`: before the first byte of the answer leaves. `async`: nobody waits.
    """

    BEFORE = "before"
    HOLD = "hold"
    ASYNC = "async"


class Event(Struct, frozen=True, gc=False):
    """One event, ready to be written but for its sequence, the log's name and its durability class.

    `body` is the JSON text after `{"metadata":{` and before the last three closing braces. `time` is in milliseconds.
    """

    code: str
    time: int
    body: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes in the queue."""
        return len(self.body)

    def built(self) -> "Event":
        """Itself: see `Unbuilt`."""
        return self

    def line(self, sequence: int, log_name: bytes, durability: bytes) -> bytes:
        """The line without its newline: a leaf. `log_name` and `durability` are JSON strings with their quotes."""
        return b'{"metadata":{"sequence":%d,"log_name":%b,%b,"durability":%b}}}' % (
            sequence,
            log_name,
            self.body,
            durability,
        )


class Unbuilt(Struct, Generic[T], frozen=True, gc=False):
    """An event that its writer builds, `make(value, stamp)`, from values that can no longer change.

    Building costs more than anything else of a record. Done for a whole batch, in the writer's thread, it costs half of
    what it does between two steps of a request. `weight` is about what the values take, in bytes.
    """

    make: Callable[[T, Stamp], Event]
    value: T
    stamp: Stamp
    weight: int = 0

    @property
    def time(self) -> int:
        """When it happened, in milliseconds."""
        return self.stamp.time

    @property
    def size(self) -> int:
        """Bytes that it takes in the queue, about."""
        return _TYPICAL + self.weight

    def built(self) -> Event:
        """The event. Raises whatever `make` raises."""
        return self.make(self.value, self.stamp)


def fit(build: Callable[[Caps], Event]) -> Event:
    """What `build` makes with the ordinary caps if that is short enough, else with the tight ones, and marked."""
    event = build(NORMAL)
    return event if fits(event) else truncated(build(TIGHT))


def fits(event: Event) -> bool:
    """Whether the event's line keeps to `HARD_CAP`."""
    return len(event.body) <= HARD_CAP - _MARGIN


def truncated(event: Event) -> Event:
    """The event with `metadata.is_truncated`."""
    marked = event.body if b'"is_truncated":true' in event.body[:512] else b'"is_truncated":true,' + event.body
    return Event(event.code, event.time, marked)


def event_of(value: ocsf.Base) -> Event:
    """The event that says this."""
    return Event(value.metadata.event_code, value.time, encode(value)[_HEAD:-3])


def metadata(
    stamp: Stamp,
    code: str,
    profiles: tuple[str, ...] | UnsetType = UNSET,
    request_id: str | None = None,
    cut: tuple[str, ...] = (),
) -> ocsf.Metadata:
    """What the event is; `cut` holds the places of truncated values."""
    return ocsf.Metadata(stamp.uid, code, request_id or UNSET, True if cut else UNSET, profiles)


def actor(principal: Principal, session: str | None = None) -> ocsf.Actor:
    """Who. Type 1 is a user; 0, unknown, is somebody who is known by network only."""
    user = ocsf.User(principal.id, 0 if principal.method is Method.NONE else 1)
    return ocsf.Actor(user, ocsf.Session(session) if session else UNSET)


def short(value: str) -> str:
    """At most 128 printable characters of a text that our own code has chosen."""
    value = value[:_SHORT]
    return value if value.isprintable() else "".join(char if char.isprintable() else "?" for char in value)
