"""The qualifiers of a query: one for each column that can be asked for, and which values each one takes."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from gateway.audit.questions.columns import COLUMNS
from gateway.audit.questions.terms import Is, Nothing, Number, Operator, Test, Within
from gateway.model import Reason, Surface
from gateway.policy.networks import parse_address, parse_cidr

DECISIONS: Final = ("allowed", "denied", "modified", "observed")
PHASES: Final = ("decision", "outcome", "file", "activity", "finding", "error", "change", "admin", "lifecycle")
SEVERITIES: Final = {"informational": 1, "low": 2, "medium": 3, "high": 4}
PSEUDONYMOUS: Final = ("user", "session", "client")
"""Columns whose values may stand in the record as pseudonyms."""

_BYTES: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MILLISECONDS: Final = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_PLAIN: Final = {"": 1}
_LARGEST: Final = 2**62
# What others call it: for the hint only, since each thing has one word here.
_ELSEWHERE: Final = {
    "ip": "client",
    "addr": "client",
    "address": "client",
    "source": "client",
    "actor": "user",
    "principal": "user",
    "who": "user",
    "event": "code",
    "action": "code",
    "type": "code",
    "rev": "revision",
    "policy": "revision",
    "origin": "log",
    "id": "request",
    "request_id": "request",
    "outcome": "decision",
    "result": "decision",
    "from": "since",
    "after": "since",
    "created": "since",
    "to": "until",
    "before": "until",
    "latency": "duration",
    "size": "file_size",
    "url": "path",
    "time": "since",
    "kind": "message",
}


class InvalidValueError(ValueError):
    """A value that a qualifier does not take, and what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Qualifier:
    """`name:`, and how one bare value of it is read. `compares`: it takes `>=` and its like.

    `choices` are its values, when they are few.
    """

    name: str
    meaning: str
    read: Callable[[str], Test]
    compares: bool = False
    choices: tuple[str, ...] = ()

    def compare(self, operator: Operator, text: str) -> Number:
        """The comparison with this number.

        Raises:
            InvalidValueError: the qualifier is not about numbers, or the text is none.
        """
        if not self.compares:
            raise InvalidValueError(f"{self.name}: is not about numbers", f"compare {', '.join(COMPARED)}")
        test = self.read(text)
        if not isinstance(test, Number):
            raise InvalidValueError(f"{text!r} is not a number", f"write {self.name}:{operator}100")
        return Number(operator, test.number)


def nearest(name: str) -> str:
    """A hint for a qualifier that there is not."""
    near = [_ELSEWHERE[name]] if name in _ELSEWHERE else get_close_matches(name, NAMES, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(f'{each}:' for each in near)}? " if near else f"known are {', '.join(NAMES)}. "
    return f'{meant}To look for a text with a colon, write it in quotes: "{name}:…"'


def _text(text: str) -> Test:
    return Is(text)


def _one_of(name: str, choices: tuple[str, ...]) -> Callable[[str], Test]:
    def read(text: str) -> Test:
        if text.lower() in choices:
            return Is(text.lower())
        near = get_close_matches(text.lower(), choices, n=3, cutoff=0.5)
        raise InvalidValueError(f"{text!r} is no {name}", f"write one of {', '.join(near or choices[:40])}")

    return read


def _path(text: str) -> Test:
    if text.startswith("/"):
        return Is(text)
    hint = f'write /{text}, or *{text}* for anything with it inside, or "{text}" for exactly this'
    raise InvalidValueError(f"{text!r} is no path: a path begins with /", hint)


def _method(text: str) -> Test:
    return Is(text.upper())


def _client(text: str) -> Test:
    """An address as the record spells it, a network, or any other word: of a command it is the host's name."""
    try:
        if "/" in text:
            return Within(parse_cidr(text))
        return Is(str(parse_address(text)))
    except ValueError as error:
        if "/" in text:
            raise InvalidValueError(str(error), "a network is written like 10.20.0.0/16 or 2001:db8::/32") from error
        return Is(text)


def _flag(text: str) -> Test:
    if text.lower() in ("yes", "true", "no", "false"):
        return Number("=", int(text.lower() in ("yes", "true")))
    raise InvalidValueError(f"{text!r} is neither yes nor no", "write yes or no")


def _severity(text: str) -> Test:
    if text.lower() in SEVERITIES:
        return Number("=", SEVERITIES[text.lower()])
    if text in ("1", "2", "3", "4"):
        return Number("=", int(text))
    raise InvalidValueError(f"{text!r} is no severity", f"write 1 to 4, or {', '.join(SEVERITIES)}")


def _number(units: dict[str, int]) -> Callable[[str], Test]:
    def read(text: str) -> Test:
        digits = len(text) - len(text.lstrip("0123456789"))
        unit = text[digits:].lower()
        if not 0 < digits < 19 or unit not in units or (number := int(text[:digits]) * units[unit]) > _LARGEST:
            shown = ", ".join(f"500{each}" for each in ("", *(unit for unit in units if len(unit) > 1))[:4])
            raise InvalidValueError(f"{text!r} is not a number", f"write {shown}")
        return Number("=", number)

    return read


_READERS: Final[dict[str, tuple[Callable[[str], Test], bool, tuple[str, ...]]]] = {
    "decision": (_one_of("decision", DECISIONS), False, DECISIONS),
    "phase": (_one_of("phase", PHASES), False, PHASES),
    "surface": (_one_of("surface", tuple(Surface)), False, tuple(Surface)),
    "reason": (_one_of("reason", tuple(Reason)), False, tuple(Reason)),
    "severity": (_severity, True, tuple(SEVERITIES)),
    "failed": (_flag, False, ("yes", "no")),
    "path": (_path, False, ()),
    "page": (_path, False, ()),
    "method": (_method, False, ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")),
    "client": (_client, False, ()),
    "sequence": (_number(_PLAIN), True, ()),
    "status": (_number(_PLAIN), True, ()),
    "close_code": (_number(_PLAIN), True, ()),
    "reports": (_number(_PLAIN), True, ()),
    "duration": (_number(_MILLISECONDS), True, ()),
    "runs": (_number(_PLAIN), True, ()),
    "run_ms": (_number(_MILLISECONDS), True, ()),
    "longest_run_ms": (_number(_MILLISECONDS), True, ()),
    "bytes_in": (_number(_BYTES), True, ()),
    "bytes_out": (_number(_BYTES), True, ()),
    "file_size": (_number(_BYTES), True, ()),
}

QUALIFIERS: Final = {
    column.name: Qualifier(column.name, column.meaning, *_READERS.get(column.name, (_text, False, ())))
    for column in COLUMNS
    if column.name != "time"
}
COMPARED: Final = tuple(each.name for each in QUALIFIERS.values() if each.compares)
TIMES: Final = {
    "since": "from then on: 2026-09-21, 2026-09-21T13:00, 24h, 7d, today, yesterday",
    "until": "up to then; a day is included: 2026-09-21, yesterday, 1h",
}
NAMES: Final = (*QUALIFIERS, *TIMES)
EMPTY: Final = Nothing()
