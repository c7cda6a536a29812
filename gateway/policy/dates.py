"""Days, times of day and time zones as a policy writes them. Today is an argument: nothing here reads a clock."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from gateway.policy.language import DAYS
from gateway.policy.values import InvalidValueError, shown, text


def last_day(today: date) -> Callable[[object], date]:
    """A reader of the last day on which something holds, in UTC; a day that is over is refused."""

    def read(value: object) -> date:
        # A datetime is a date for isinstance; here it would hide a time of day that nobody honours.
        if type(value) is not date:
            raise InvalidValueError(f"must be a date, not {shown(value)}", "write it without quotes, like 2027-01-31")
        if value < today:
            raise InvalidValueError(f"expired on {value}", "remove it, or have it approved anew with a later date")
        if value.year > 2999:
            raise InvalidValueError(f"{value} is no end", "leave `expires` out for what has no end")
        return value

    return read


def instant(value: object) -> datetime:
    """A moment with its offset from UTC, returned in UTC."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidValueError(
            f"must be a date and time with an offset, not {shown(value)}", "write it like 2026-03-02T09:30:00Z"
        )
    if not 1970 <= value.year <= 2999:
        raise InvalidValueError("must lie between the years 1970 and 2999")
    return value.astimezone(UTC)


def clock(value: object) -> time:
    """A time of day to the minute, as in `08:30`."""
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text(value)) if isinstance(value, str) else None
    if found is None:
        raise InvalidValueError(f"{shown(value)} is not a time of day", 'write it in quotes from "00:00" to "23:59"')
    return time(int(found[1]), int(found[2]))


def zone(value: object) -> str:
    """The name of an IANA time zone that this machine knows."""
    word = text(value)
    hint = "use a name of the IANA list, such as Europe/Berlin or UTC"
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}", word) or len(word) > 64:
        raise InvalidValueError(f"{shown(word)} is not a time zone", hint)
    try:
        ZoneInfo(word)
    except (KeyError, ValueError, OSError) as error:  # a directory of zones, such as `Europe`, is an OSError
        raise InvalidValueError(f"there is no time zone {shown(word)}", hint) from error
    return word


def days(value: object) -> tuple[int, ...]:
    """The days of one entry, 0 for Monday: `mon` to `sun`, or a range that may pass Sunday (`fri-mon`)."""
    first, dash, last = text(value).partition("-")
    for word in (first, last) if dash else (first,):
        if word not in DAYS:
            raise InvalidValueError(
                f"{shown(value)} is not a day", "write mon, tue, wed, thu, fri, sat, sun, or a range like mon-fri"
            )
    start = DAYS.index(first)
    count = (DAYS.index(last) - start) % 7 + 1 if dash else 1
    return tuple((start + step) % 7 for step in range(count))
