"""What one visitor may see of the app: every message that goes out through their socket, held against their pages.

A script may switch pages itself, in a callback, a fragment, an automatic rerun or a thread, and no request tells of it.
But whatever it shows, Streamlit names the page first: `new_session` begins a run and `navigation` says which page the
script has come to. From there on, until another page is named, everything belongs to that page. When the visitor may
not have it, nothing but the run's own beginning and end leaves the process; the gateway's notice takes its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote, urlsplit

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import NewSession

from gateway.model import Reason
from gateway.reasons import OUTCOMES
from gateway.streamlit import notice
from gateway.streamlit.access import Access, Judged
from gateway.streamlit.pages import Pages, declared, page_hash

# What says how the run goes, and nothing of what it shows.
_LIFECYCLE: Final = frozenset({"session_status_changed", "script_finished", "heartbeat_ack", "stop_auto_rerun"})
_CONTENT: Final = frozenset({"delta", "ref_hash"})
_MAIN: Final = 0  # Streamlit's root container of the page itself
_NO_NAME: Final = OUTCOMES[Reason.DENIED_BY_RULE].title  # the browser's tab shows it
_ENTRY_LIMIT: Final = 1_000  # pages of one navigation that are looked at; what comes after them is not shown

Notice = Callable[[Reason, int], list[ForwardMsg]]


@dataclass(slots=True)
class Template:
    """What Streamlit last said at the beginning of a run, without the visitor: shared by all sockets of the process."""

    session: NewSession | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What leaves the process for one message of the app. `refused`: why it is not all that the app has said."""

    messages: tuple[ForwardMsg, ...]
    changed: bool = False
    refused: Judged | None = None


_NOTHING: Final = Passed(())


class View:
    """The state of one socket's page. Not a layer: `stream.py` asks it about each message, in both directions."""

    def __init__(self, access: Access, pages: Pages, template: Template, words: Notice) -> None:
        self.access = access
        self.pages = pages
        self.template = template
        self.words = words
        self.page: str | None = None  # what the visitor is shown, once the app has named it
        self.sealed = True  # until a run begins: the rest of one that an earlier socket saw begin is nobody's page
        self._noticed = False
        self._declared: dict[str, str] = {}  # hash -> path, as the app has declared them to this visitor
        self._claimed: dict[str, str] = {}  # hash -> path, as the visitor's browser has named and the hash confirmed
        self._navigation: ForwardMsg | None = None
        self._current: frozenset[str] = frozenset()  # hashes of what is shown: the common code, and the page
        self._place = 0

    # --- inwards ----------------------------------------------------------------------------------------------

    def asked(self, state: ClientState) -> frozenset[str]:
        """The pages that a rerun may come to, by what it names. All of them must be allowed.

        A hash that stands for no page is taken out of the message: Streamlit would run its default page for it, or a
        page that nobody has judged.
        """
        if not state.page_script_hash:
            return self._named(state.page_name)
        known = self._paths_of(state.page_script_hash) or self._claim(state)
        if known:
            return known
        state.page_script_hash = ""
        return self._named(state.page_name)

    def _named(self, name: str) -> frozenset[str]:
        page = f"/{name.strip('/')}"
        # Streamlit answers a name that it does not know with its default page.
        return frozenset({page} if self.pages.page(page) else {page, "/"})

    def _paths_of(self, script_hash: str) -> frozenset[str]:
        if (declared := self._declared.get(script_hash)) is not None:
            return frozenset({declared})
        if script_hash == self.pages.main_hash:
            return frozenset({"/"})
        known = self.pages.paths_of(script_hash)
        if not known and (claimed := self._claimed.get(script_hash)) is not None:
            return frozenset({claimed})
        return known

    def _claim(self, state: ClientState) -> frozenset[str]:
        """The page in the browser's address bar, if it is the one that the hash stands for.

        After a restart nobody has declared a computed page yet, and its visitors come back with its hash.
        """
        last = unquote(urlsplit(state.context_info.url).path).rstrip("/").rpartition("/")[2]
        if not last or page_hash(last) != state.page_script_hash:
            return frozenset()
        self._claimed = {state.page_script_hash: f"/{last}"}
        return frozenset({f"/{last}"})

    def refuse(self, judged: Judged, script_hash: str, *, seal: bool) -> list[ForwardMsg]:
        """The notice in place of a page that was asked for: a run of its own, which no script has made.

        `seal`: what a script still shows from before is held back, until it begins a run of its own.
        """
        self.sealed = self.sealed or seal
        begin = notice.opening(self.template.session, script_hash)
        menu = [self._menu_at(script_hash)] if self._navigation is not None else []
        return [begin, *menu, *self.words(judged.decision.reason, 0), notice.ending(begin)]

    def _menu_at(self, script_hash: str) -> ForwardMsg:
        message = ForwardMsg()
        message.CopyFrom(self._navigation)
        shown = {page.page_script_hash for page in message.navigation.app_pages}
        if script_hash in shown:
            message.navigation.page_script_hash = script_hash
        return message

    # --- outwards ---------------------------------------------------------------------------------------------

    def passes(self, message: ForwardMsg) -> bool:
        """Whether a delta may leave as it is. False: ask `shows`, which says what happens instead.

        Asked for nearly every message, so it only compares: that the page may still be had is asked when a run begins,
        and by whoever watches the open sockets (`sockets.py`).
        """
        return not self.sealed and message.metadata.active_script_hash in self._current

    def shows(self, message: ForwardMsg) -> Passed:
        """What leaves for this message of the app."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            return self._begins(message)
        if kind == "navigation":
            return self._navigates(message)
        if kind in _LIFECYCLE:
            return Passed((message,))
        if self.sealed:
            return _NOTHING
        if (judged := self._revoked()) is not None:
            return self._seal((), judged)
        if kind in _CONTENT and not self._belongs(message.metadata.active_script_hash):
            return _NOTHING
        return Passed((message,))

    def took(self, message: ForwardMsg) -> None:
        """A delta has left: note which places of the page are taken, so that a notice does not stand on one."""
        path = message.metadata.delta_path
        if len(path) > 1 and path[0] == _MAIN and path[1] >= self._place:
            self._place = path[1] + 1

    def rejudge(self) -> Passed:
        """To be called when the policy has changed: the notice, if the visitor may no longer have what they look at."""
        judged = None if self.sealed else self._revoked()
        return _NOTHING if judged is None else self._seal((), judged)

    def _revoked(self) -> Judged | None:
        if self.page is None or (judged := self.access.page(self.page)).allowed:
            return None
        return judged

    def _begins(self, message: ForwardMsg) -> Passed:
        session = message.new_session
        self._place = 0
        self.sealed = self._noticed = False
        self._current = frozenset({"", session.main_script_hash, session.page_script_hash})
        # Where the script lies, and on what it runs, is nobody's business in the browser.
        session.main_script_path = PurePath(session.main_script_path).name
        session.initialize.environment_info.python_version = ""
        session.initialize.environment_info.server_os = ""
        session.ClearField("app_pages")  # the front end takes them from `navigation`
        if self.template.session is None:
            self.template.session = notice.without_visitor(session)
        main = session.page_script_hash == session.main_script_hash
        pages = self._paths_of(session.page_script_hash)
        if not main and not pages:
            self.sealed = True  # a page that nobody has declared: nothing leaves until `navigation` says which it is
            return Passed((message,), changed=True)
        if (judged := None if main else self.access.pages(pages)) is not None:
            return self._seal((message,), judged)
        if not main:
            self.page = next(iter(pages))
        elif self.pages.complete and self.pages.known == {"/"}:
            self.page = "/"
        # Else this is the common code of an app with navigation: it belongs to the page that it will come to.
        return Passed((message,), changed=True)

    def _navigates(self, message: ForwardMsg) -> Passed:
        navigation = message.navigation
        entries = navigation.app_pages
        del entries[_ENTRY_LIMIT:]
        pages = declared(navigation)
        self.pages.learn(pages)
        self._declared = {page.hash: page.path for page in pages}
        self.page = self._declared.get(navigation.page_script_hash)
        self._hide(message)
        self._navigation = message
        if self.page is None:  # the menu does not say what it has come to: beyond our limit, or not a page
            self.sealed = True
            return Passed((message,), changed=True)
        if not (judged := self.access.page(self.page)).allowed:
            return self._seal((message,), judged)
        self.sealed = False
        self._current = frozenset({"", self.pages.main_hash, navigation.page_script_hash})
        return Passed((message,), changed=True)

    def _hide(self, message: ForwardMsg) -> None:
        """Take pages out of the menu that the visitor may not open.

        The current and the default page have to stay, since the front end looks them up: hidden and without names.
        """
        navigation = message.navigation
        kept = []
        for entry in navigation.app_pages:
            path = self._declared.get(entry.page_script_hash)
            if path is None or self.access.page(path).allowed:
                kept.append(entry)
            elif entry.is_default or entry.page_script_hash == navigation.page_script_hash:
                entry.is_hidden, entry.page_name, entry.icon, entry.help = True, _NO_NAME, "", ""
                kept.append(entry)
        if len(kept) != len(navigation.app_pages):
            kept = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
            del navigation.app_pages[:]
            navigation.app_pages.extend(kept)
        headers = {entry.section_header for entry in navigation.app_pages if not entry.is_hidden}
        navigation.sections[:] = [section for section in navigation.sections if section in headers]

    def _seal(self, before: tuple[ForwardMsg, ...], judged: Judged) -> Passed:
        self.sealed = True
        if self._noticed:  # `new_session` and `navigation` both name the page
            return Passed(before, changed=True)
        self._noticed = True
        return Passed((*before, *self.words(judged.decision.reason, self._place)), changed=True, refused=judged)

    def _belongs(self, active: str) -> bool:
        """Whether content that names this page's hash is of a page that the visitor may have."""
        if active in self._current:
            return True
        paths = self._paths_of(active)
        return bool(paths) and self.access.pages(paths) is None  # a page that nobody has declared is nobody's
