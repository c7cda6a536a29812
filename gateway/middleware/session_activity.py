"""When each session was last used, besides what its cookie says: a socket is in use without a request.

A visitor who works in an open page for an hour sends no request in that hour, so their cookie ages. Kept in this
process and lost with it, as is everything that they had open.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

KEPT: Final = 100_000
"""Sessions remembered at once; those that were used longest ago are forgotten first, and their cookie alone counts."""


class SessionActivity:
    """One per process, by fingerprint."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, datetime] = OrderedDict()

    def touch(self, fingerprint: str, now: datetime) -> None:
        """The session is in use."""
        self._seen[fingerprint] = now
        self._seen.move_to_end(fingerprint)
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)

    def last(self, fingerprint: str, cookie: datetime) -> datetime:
        """The latest use that is known, by the cookie or by a socket."""
        return max(self._seen.get(fingerprint, cookie), cookie)

    def ends(
        self, fingerprint: str, started: datetime, seen: datetime, idle: timedelta, lifetime: timedelta
    ) -> datetime:
        """When the session ends if it is not used again (ASVS 7.3.1, 7.3.2)."""
        return min(self.last(fingerprint, seen) + idle, started + lifetime)
