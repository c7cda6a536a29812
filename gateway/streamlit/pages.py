"""Which pages a tool has, so that every other path is a real 404 (Streamlit answers all of them with its page).

Pages are known from the source (`navigation.py`), from the policy (`[streamlit] pages`), and from the wire: what the
running app declares to anybody is a page from then on. Navigation may differ by person, so what it declares to one says
nothing about what another may get: where the source computes its pages, any path that could be one is taken for one,
unless the policy names them.

Nothing of this is kept across restarts. What is written out in the source is known before anybody has run it, what is
computed is guessed until it is declared, and the place for knowledge that must outlive the process, and be the same on
every replica, is the policy.

On the wire a page is also named by a hash: Streamlit's hash of its name. The default page has a name, and a hash, like
any other, but its path is `/`; which page is the default may differ by person, too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from streamlit.proto.Navigation_pb2 import Navigation
from streamlit.util import calc_hash

from gateway.streamlit.navigation import Entry, folder_entries, read_declared, script_name

# One segment without a dot: Streamlit refuses `/` in a page's path, and what has a file's ending is a prober's guess.
_COULD_BE_PAGE = re.compile(r"/[^/.]{1,128}")

# A tool that makes a page for every record it has would fill the memory; what comes after is not remembered.
LEARNED = 10_000


@dataclass(frozen=True, slots=True)
class DeclaredPage:
    """A page as the running app declares it: its path below the application (`/` for the default), its hash."""

    path: str
    hash: str
    default: bool = False


def page_hash(name: str) -> str:
    """Streamlit's hash of a page with this name, the path without its slash. The default page has its own name's."""
    return calc_hash(name)


def declared(navigation: Navigation) -> tuple[DeclaredPage, ...]:
    """The pages that a `navigation` message declares; links to other sites are none.

    Only that message may be believed. `new_session` repeats pages by title instead of path and, in the first run, with
    the name that the client has asked for.
    """
    return tuple(
        DeclaredPage(f"/{page.url_pathname}", page.page_script_hash, page.is_default)
        for page in navigation.app_pages
        if not page.external_url
    )


class Pages:
    """The pages of the running tool. Not for several threads: the event loop asks and tells.

    `complete`: the source declares all of them, so that no other path is one. `main_hash` names the script itself,
    which every run begins with before any navigation; as a page it is the default one.
    """

    def __init__(
        self, known: Iterable[str] = (), *, complete: bool, entries: Iterable[Entry] = (), main_hash: str = ""
    ) -> None:
        self.known = frozenset(known) | {"/"}
        self.complete = complete
        self.main_hash = main_hash
        self._paths: dict[str, frozenset[str]] = {page_hash(path[1:]): frozenset({path}) for path in self.known}
        if main_hash:
            self._paths[main_hash] = frozenset({"/"})
        for entry in (entry for entry in entries if not entry.external):
            self._take(page_hash(entry.name), _paths_of_entry(entry))

    def page(self, path: str, named: tuple[str, ...] = ()) -> str | None:
        """The page at that path (a trailing slash does not matter), or None. `named`: pages that the policy names."""
        page = path.rstrip("/") or "/"
        if page in self.known or page in named:
            return page
        guessing = not self.complete and not named
        return page if guessing and _COULD_BE_PAGE.fullmatch(page) else None

    def paths_of(self, script_hash: str, named: tuple[str, ...] = ()) -> frozenset[str]:
        """Every path that the hash may stand for, over all that is known; empty: unknown.

        `named` are further paths to look among, such as those of the policy's rules.
        """
        known = self._paths.get(script_hash, frozenset())
        path = _by_hash(named).get(script_hash) if named else None
        return known if path is None else known | {path}

    def learn(self, pages: Iterable[DeclaredPage]) -> None:
        """Take in what the running app has declared to one visitor; it adds up."""
        for page in pages:
            if page.path not in self.known or page.path not in self._paths.get(page.hash, ()):
                if len(self._paths) >= LEARNED:
                    return
                self.known |= {page.path}
                self._take(page.hash, frozenset({page.path}))

    def _take(self, script_hash: str, paths: frozenset[str]) -> None:
        self._paths[script_hash] = self._paths.get(script_hash, frozenset()) | paths


def discover(script: Path, extra: tuple[str, ...] = ()) -> Pages:
    """What can be known of a script's pages without running it, and `extra` ones that the policy names.

    Raises:
        SyntaxError: the script is not valid Python.
    """
    source = read_declared(script)
    known = frozenset(path for entry in source.entries if not entry.external for path in _paths_of_entry(entry))
    # Until `st.navigation` is called for the first time, Streamlit takes its pages from the folder, whatever the script
    # is about to say: they can be asked for by hash.
    from_folder = (Entry(script_name(script), default=True), *folder_entries(script))
    return Pages(
        known | frozenset(extra),
        complete=source.complete,
        entries=(*source.entries, *from_folder),
        main_hash=page_hash(str(script.resolve())),
    )


def _paths_of_entry(entry: Entry) -> frozenset[str]:
    paths = {f"/{entry.name}"} if entry.default is not True else set()
    return frozenset(paths | ({"/"} if entry.default is not False else set()))


@lru_cache(maxsize=8)
def _by_hash(named: tuple[str, ...]) -> Mapping[str, str]:
    return {page_hash(path[1:]): path for path in named}
