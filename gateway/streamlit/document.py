"""Streamlit's document, served by the gateway itself, so that each copy has its own nonce.

Rewriting Streamlit's answer instead has two traps, both seen: a 304 leaves the browser with a stored nonce that the
new header does not know (a blank page), and deep links come gzipped. So nothing here can be answered with 304, and
nothing is stored.
"""

import gzip
import re
import secrets
from pathlib import Path

from starlette.types import Receive, Scope, Send
from streamlit import file_util

from gateway.errors import StartupError
from gateway.middleware.exchange import exchange_of
from gateway.streamlit.bootstrap import bootstrap
from gateway.streamlit.content_security import of_page
from gateway.streamlit.hints import arranged
from gateway.web.representations import header, negotiate

_MARK = "@gateway-nonce@"
_NEEDS_NONCE = re.compile(r'<script(?=[\s>])|<link(?=\s+rel="modulepreload")')
# Vite's preload helper reads the nonce for later chunks from this element.
_META = f'<meta property="csp-nonce" nonce="{_MARK}" />'
_BOOTSTRAP = "@gateway-bootstrap@"  # its text follows the policy, which may change while we run


class Document:
    """Answers every page with Streamlit's document.

    http: GET and HEAD. websocket, lifespan: never routed here.
    """

    def __init__(self) -> None:
        root = Path(file_util.get_static_dir())
        self._pieces = prepare(arranged((root / "index.html").read_text("utf-8"), root))

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        home = exchange_of(scope).context.path == "/"
        if scope["path"].endswith("/") is not home:
            await _moved(scope, send, slash=home)
            return
        nonce = secrets.token_urlsafe(18)
        script = bootstrap(exchange_of(scope).policy.content_security)
        body = nonce.encode().join(self._pieces).replace(_BOOTSTRAP.encode(), script.encode(), 1)
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-encoding"),
            *of_page(scope, nonce),
        ]
        if negotiate(header(scope["headers"], b"accept-encoding"), ("gzip",)) == "gzip":
            # A quarter of the size in 50 µs. Nothing that a request says is in this body, so its length tells nobody
            # anything of the nonce (BREACH).
            body = gzip.compress(body, 4, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def prepare(html: str) -> tuple[bytes, ...]:
    """The document cut at the places where the nonce goes. Raises StartupError when it is not the document we know."""
    first = f"<head>{_META}<script>{_BOOTSTRAP}</script>"
    marked = _NEEDS_NONCE.sub(rf'\g<0> nonce="{_MARK}"', html.replace("<head>", first, 1))
    if "<head>" not in html or marked.count("<script nonce=") != marked.count("<script") or "<script" not in html:
        raise StartupError(
            "Streamlit's index.html is not laid out as expected, so its scripts cannot be given a nonce",
            hint="is this version of Streamlit supported? see docs/architecture.md",
        )
    return tuple(piece.encode() for piece in marked.split(_MARK))


async def _moved(scope: Scope, send: Send, *, slash: bool) -> None:
    """To the same address with a slash at its end, or without: everything in the document is relative to it."""
    # Relative, so that no Host and no forwarded prefix can send the visitor elsewhere.
    path = scope["raw_path"].rstrip(b"/")
    up = b"../" * (len(scope["raw_path"]) - len(path))
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = [
        (b"location", up + path.rpartition(b"/")[2] + (b"/" if slash else b"") + query),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
