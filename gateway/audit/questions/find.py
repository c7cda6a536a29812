"""Events by what people quote: a request id from an error page, a place in a log, a uid.

The columns tell where an event is; what is given is the line itself.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.audit.questions.engine import DEFAULTS, Engine, Limits
from gateway.audit.reader import Line, merge, parse
from gateway.audit.store import PrunedError, Store

MOST: Final = 1000
"""The most events of one exchange that are looked up."""

_PLACE: Final = re.compile(r"(.+):(\d{1,18})", re.ASCII)
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII | re.IGNORECASE)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LATEST: Final = 253_402_300_799_999  # the last millisecond of the year 9999


class Finder:
    """Looks events up in several logs."""

    def __init__(self, directories: Sequence[Path], limits: Limits = DEFAULTS) -> None:
        self._directories = tuple(directories)
        self._limits = limits

    def named(self, name: str) -> list[Line]:
        """The events that the name means, in order: of a request all, of a uid or a place the one. Empty: none.

        Raises:
            QuestionError: the record cannot be read.
            DamagedLogError, OSError: a segment cannot be read.
        """
        return self.of_request(name) or self._at(name) or self._with_uid(name)

    def of_request(self, request: str) -> list[Line]:
        """Everything that belongs to this request, at most `MOST` events of each log."""
        return self._lines("request = $request ORDER BY sequence", {"request": request})

    def exchange(self, line: Line) -> list[Line]:
        """The event, with the others of its exchange if it belongs to one."""
        request = line.event["metadata"].get("correlation_uid")
        return self.of_request(request) if isinstance(request, str) else [line]

    def _at(self, name: str) -> list[Line]:
        found = _PLACE.fullmatch(name)
        if found is None:
            return []
        return self._lines("log = $log AND sequence = $sequence", {"log": found[1], "sequence": int(found[2])})

    def _with_uid(self, uid: str) -> list[Line]:
        if not _ULID.fullmatch(uid):
            return []
        at = _milliseconds(uid)
        same = {"at": datetime.fromtimestamp(min(at, _LATEST) / 1000, UTC).replace(tzinfo=None)}
        near = self._lines("time = $at", same)
        return _only(near, uid) or _only(self._all(), uid)

    def _lines(self, where: str, parameters: dict[str, Any]) -> list[Line]:
        sql = f"SELECT sequence FROM events WHERE {where} LIMIT {MOST}"  # noqa: S608 - our own words
        return merge(line for each in self._directories for line in self._of_log(each, sql, parameters))

    def _of_log(self, directory: Path, sql: str, parameters: dict[str, Any]) -> Iterator[Line]:
        with Engine.of([directory], self._limits) as engine:
            sequences = [int(row[0]) for row in engine.ask(sql, parameters).rows]
        with Store(directory) as store:
            for sequence in sequences:
                try:
                    line = parse(store.event(sequence))
                except PrunedError:
                    continue
                if line is not None:
                    yield line

    def _all(self) -> Iterator[Line]:
        """Every event: the clock was set back when this one was stamped, or nobody has stamped it."""
        for directory in self._directories:
            with Store(directory) as store:
                for _, raw in store.newest_first():
                    if (line := parse(raw)) is not None:
                        yield line


def _only(lines: Iterator[Line] | list[Line], uid: str) -> list[Line]:
    return next(([line] for line in lines if line.event["metadata"].get("uid") == uid.upper()), [])


def _milliseconds(ulid: str) -> int:
    """The time that a ULID begins with: its first ten characters, in base 32."""
    number = 0
    for char in ulid[:10].upper():
        number = number * 32 + _ALPHABET.index(char)
    return number
