"""Points in time as people write them: a day, a moment of it, so long ago, yesterday."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from gateway.audit.questions.qualifiers import InvalidValueError

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HINT: Final = "write a day (2026-09-21), a moment (2026-09-21T13:00, UTC), how long ago (24h, 7d), today or yesterday"


def moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """The instant that the text means, in UTC. `end`: of a whole day its end, so that it is included.

    Raises:
        InvalidValueError: it means none, or one that no calendar has.
    """
    word = text.lower()
    days = {"today": 0, "yesterday": 1}
    try:
        if word == "now":
            return now
        if (ago := _AGO.fullmatch(word)) is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if word in days or _DAY.fullmatch(text):
            day = now.date() - timedelta(days=days[word]) if word in days else date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1 if end else 0)
        return _instant(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValueError(f"{text!r} is no point in time", _HINT) from error


def _instant(text: str) -> datetime:
    if not text.isascii() or "T" not in text.upper():
        raise ValueError(text)
    found = datetime.fromisoformat(text.upper())
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
