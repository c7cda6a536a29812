"""Streamlit's own scripts, styles and fonts, served by the gateway: compressed, and kept by the browser.

Bare Streamlit sends its bundle as it lies on the disk, 2.7 MB for a first page. Here each file goes out in the
smallest form that the browser takes: at first compressed quickly, from the pack as soon as there is one.

No answer is `public`: who gets it was judged, its headers may set the session's cookie, and a shared cache would hand
out both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.middleware.exchange import exchange_of
from gateway.streamlit.assets_files import CODINGS, AssetFile, asset_files, installed_root
from gateway.streamlit.assets_store import AssetStore, Form
from gateway.streamlit.assets_upkeep import AssetUpkeep, Places
from gateway.streamlit.hints import first_load
from gateway.web.representations import IDENTITY, Part, Unsatisfiable, header, negotiate, none_match, part_of

Headers = list[tuple[bytes, bytes]]

_KEPT: Final = b"private, max-age=31536000, immutable"  # a year: another content has another name
_ASKED_AGAIN: Final = b"private, no-cache"
_CHUNK: Final = 256 * 1024  # bytes handed to the server at a time; it says when the client has taken enough of them


class Assets:
    """Answers every path in `files` that has no more than a file behind it.

    http: GET and HEAD. websocket, lifespan: never routed here.

    Between `start` and `close` the compressed forms are brought to their best; without them it answers just as well.
    """

    def __init__(self, files: Mapping[str, AssetFile], places: Places, first_load: Sequence[str] = ()) -> None:
        self.files = files
        self.store = AssetStore(files)
        self._upkeep = AssetUpkeep(self.store, places, first_load)

    def start(self) -> None:
        """Begin to prepare what the next visitor will ask for. Returns at once."""
        self._upkeep.start()

    async def close(self) -> None:
        """End what `start` has begun."""
        await self._upkeep.close()

    def __contains__(self, path: str) -> bool:
        """Whether the path, below the application, is one of the files."""
        return path in self.files

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        file = self.files[exchange_of(scope).context.path]
        coding = negotiate(header(scope["headers"], b"accept-encoding"), CODINGS if file.compressible else ())
        form = self.store.ready(file.path, coding) or await self.store.form(file.path, coding)
        answer = answer_of(scope["method"], scope["headers"], file, form)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await _send_body(answer.body if scope["method"] != "HEAD" else b"", send)


def installed(places: Places) -> Assets:
    """The front end of the installed Streamlit."""
    root = installed_root()
    return Assets(asset_files(root), places, first_load((root / "index.html").read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` is what GET sends: HEAD has the same headers, and no body."""

    status: int
    headers: Headers
    body: bytes


def answer_of(method: str, headers: Headers, file: AssetFile, form: Form) -> Answer:
    """The answer to a request for a file, of which that form was chosen (RFC 9110 §13.2.2: conditions, then ranges)."""
    described = _described(file, form)
    wanted = header(headers, b"if-none-match")
    if wanted is not None and not none_match(wanted, form.etag):
        return Answer(304, described, b"")
    size = len(form.body)
    entity = [*described, (b"content-type", file.media_type.encode())]
    if form.coding != IDENTITY:
        # The bytes of a compressed form are nobody's to take apart: without Accept-Ranges, Range means nothing (§14.3).
        entity.append((b"content-encoding", form.coding.encode()))
        return Answer(200, [*entity, _length(size)], form.body)
    entity.append((b"accept-ranges", b"bytes"))
    asked = header(headers, b"range") if method == "GET" else None
    match asked and part_of(asked, header(headers, b"if-range"), form.etag, size):
        case Part(first, last):
            place = (b"content-range", f"bytes {first}-{last}/{size}".encode())
            return Answer(206, [*entity, place, _length(last - first + 1)], form.body[first : last + 1])
        case Unsatisfiable():
            place = (b"content-range", f"bytes */{size}".encode())
            return Answer(416, [place, (b"cache-control", b"no-store"), _length(0)], b"")
        case _:
            return Answer(200, [*entity, _length(size)], form.body)


def _described(file: AssetFile, form: Form) -> Headers:
    """What 200, 206 and 304 have in common (§15.4.5)."""
    described = [(b"etag", form.etag.encode()), (b"cache-control", _KEPT if file.hashed else _ASKED_AGAIN)]
    # Also on identity: the next client may be given something else.
    return [*described, (b"vary", b"accept-encoding")] if file.compressible else described


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", str(size).encode()


async def _send_body(body: bytes, send: Send) -> None:
    """A big body in pieces: each `send` waits while the client is behind, so that no copy of it waits in a buffer."""
    for first in range(0, max(len(body), 1), _CHUNK):
        piece = body[first : first + _CHUNK]
        await send({"type": "http.response.body", "body": piece, "more_body": first + _CHUNK < len(body)})
