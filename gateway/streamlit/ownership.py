"""Whose is what in this process: Streamlit sessions, the files that may be uploaded into them, and media.

Streamlit serves `/media/<id>` to everybody and takes uploads into any session whose id is named. What the socket of a
gateway session has been told is that session's, and nothing else is. Everything here is learned on the wire.

All of it on the event loop; nothing here waits, and every collection has a bound. What falls out at a bound is refused.
A Streamlit session id is a credential: only its SHA-256 is kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic
from typing import Final

AFTERLIFE: Final = 600.0
"""Seconds for which a session whose socket is gone is remembered; Streamlit itself keeps it for 120."""

SESSIONS: Final = 10_000
OFFERS: Final = 1_000  # a session's outstanding ones: the most that `limits.upload.files` can be
ALL_OFFERS: Final = 200_000
MEDIA: Final = 5_000  # of one gateway session
ALL_MEDIA: Final = 500_000


@dataclass(slots=True, eq=False, repr=False)
class Uploads:
    """What may be uploaded into one Streamlit session, and what has been.

    `wanted`: an element that takes files was sent to it; `folders`: one that takes whole directories. `offered`: ids
    that Streamlit has given out and that nobody has used. `arriving`, `stored`: bytes of each file so far, or kept.
    """

    wanted: bool = False
    folders: bool = False
    offered: OrderedDict[str, None] = field(default_factory=OrderedDict)
    arriving: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Files, those on their way included."""
        return len(self.arriving) + len(self.stored)

    @property
    def total(self) -> int:
        """Bytes of them."""
        return sum(self.arriving.values()) + sum(self.stored.values())


@dataclass(slots=True, eq=False, repr=False)
class _Session:
    owner: str | None
    uploads: Uploads = field(default_factory=Uploads)


class Ownership:
    """One per process.

    An `owner` is the fingerprint of a gateway session; None, a visitor without one, owns nothing.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()  # the one that ran last is last
        self._closed: OrderedDict[bytes, float] = OrderedDict()  # in the order of closing
        self._media: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._offers = 0
        self._granted = 0

    # --- Streamlit sessions ---

    def opened(self, streamlit_session: str, owner: str | None) -> None:
        """The id was seen going out on a socket of `owner`. Idempotent; who was first stays the owner."""
        self._forget_closed()
        key = _key(streamlit_session)
        self._closed.pop(key, None)
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return
        while len(self._sessions) >= SESSIONS:
            self._forget(next(iter(self._closed or self._sessions)))
        self._sessions[key] = _Session(owner)

    def closed(self, streamlit_session: str) -> None:
        """Its socket is gone. It is remembered for `AFTERLIFE`, or until it is opened again."""
        key = _key(streamlit_session)
        if key in self._sessions:
            self._closed.setdefault(key, self._clock())

    def owner_of(self, streamlit_session: str) -> str | None:
        """Whose it is; None when it is nobody's, or not known."""
        session = self._session(_key(streamlit_session))
        return session.owner if session else None

    def owns(self, owner: str | None, streamlit_session: str) -> bool:
        """Whether it is known and `owner`'s."""
        return owner is not None and self.owner_of(streamlit_session) == owner

    # --- uploads ---

    def takes_uploads(self, streamlit_session: str, *, folders: bool = False) -> None:
        """An element that takes files was sent to it; with `folders` one that takes whole directories."""
        if (uploads := self.uploads(streamlit_session)) is not None:
            uploads.wanted = True
            uploads.folders = uploads.folders or folders

    def offered(self, streamlit_session: str, file_id: str) -> None:
        """Streamlit has told it to upload a file under that id. The oldest unused offers give way to new ones."""
        if (uploads := self.uploads(streamlit_session)) is None or file_id in uploads.offered:
            return
        # Whoever asks for too many loses their own.
        while uploads.offered and (len(uploads.offered) >= OFFERS or self._offers >= ALL_OFFERS):
            uploads.offered.popitem(last=False)
            self._offers -= 1
        uploads.offered[file_id] = None
        self._offers += 1

    def claim(self, streamlit_session: str, file_id: str) -> bool:
        """Use up an offer. False: there is none, or no element of the session has asked for files."""
        uploads = self.uploads(streamlit_session)
        if uploads is None or not uploads.wanted or file_id not in uploads.offered:
            return False
        del uploads.offered[file_id]
        self._offers -= 1
        return True

    def uploads(self, streamlit_session: str) -> Uploads | None:
        """Its uploads; None when the session is not known."""
        session = self._session(_key(streamlit_session))
        return session.uploads if session else None

    # --- media ---

    def grant(self, owner: str | None, media_ids: Iterable[str]) -> None:
        """These ids were sent to that gateway session, on its own socket."""
        if owner is None:
            return
        granted = self._media.setdefault(owner, OrderedDict())
        self._media.move_to_end(owner)
        for media_id in media_ids:
            if media_id in granted:
                granted.move_to_end(media_id)
                continue
            while granted and (len(granted) >= MEDIA or self._granted >= ALL_MEDIA):
                granted.popitem(last=False)
                self._granted -= 1
            granted[media_id] = None
            self._granted += 1
        while len(self._media) > SESSIONS:
            self._granted -= len(self._media.popitem(last=False)[1])

    def may_read(self, owner: str | None, media_id: str) -> bool:
        """Whether that id was sent to that gateway session."""
        return owner is not None and media_id in self._media.get(owner, ())

    # --- forgetting ---

    def _session(self, key: bytes) -> _Session | None:
        self._forget_closed()
        return self._sessions.get(key)

    def _forget_closed(self) -> None:
        before = self._clock() - AFTERLIFE
        while self._closed and next(iter(self._closed.values())) < before:
            self._forget(next(iter(self._closed)))

    def _forget(self, key: bytes) -> None:
        self._closed.pop(key, None)
        self._offers -= len(self._sessions.pop(key).uploads.offered)


def _key(streamlit_session: str) -> bytes:
    return sha256(streamlit_session.encode("utf-8", "surrogatepass")).digest()
