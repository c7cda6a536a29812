"""HTML that a script embeds (`st.iframe`, `st.components.v1.html`), as a sandboxed document of its own.

Streamlit puts such HTML into `srcdoc`: a frame in the page's origin, under the page's policy, so that its script either
reaches the whole page or, under `strict`, does not run. Here the HTML is kept in this process and the frame gets an
address instead; what is served there has an origin of its own, its own policy, and no network.
"""

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.middleware.exchange import exchange_of
from gateway.model import ContentSecurity
from gateway.streamlit.bootstrap import read
from gateway.streamlit.content_security import of_embedded
from gateway.web.endpoints import FRAMES

# Bytes of HTML: in one frame, of one session, of all. What is too large stays as Streamlit sent it, and is inert.
LARGEST: Final = 32 * 1024 * 1024
PER_OWNER: Final = 64 * 1024 * 1024
IN_ALL: Final = 512 * 1024 * 1024
FRAMES_PER_OWNER: Final = 256

# Field 38 of Element, `iframe`, on the wire: only messages that contain it are parsed.
_IFRAME_TAG: Final = b"\xb2\x02"
# HTML in `srcdoc` is never in quirks mode; HTML from a server is, unless it says otherwise.
_DOCTYPE = re.compile(r"\s*(<!--.*?-->\s*)*<!doctype", re.IGNORECASE | re.DOTALL)
_SIZES: Final = (("h", "height_config", "height_spec"), ("w", "width_config", "width_spec"))


@dataclass(slots=True)
class _Body:
    html: bytes
    frames: int = 0


@dataclass(frozen=True, slots=True)
class _Frame:
    owner: str
    digest: bytes
    size: int


@dataclass(slots=True)
class _Owned:
    """The frames of one session, the one that was used last at the end."""

    frames: OrderedDict[str, None] = field(default_factory=OrderedDict)
    size: int = 0


class Store:
    """Frames by address, each for the one gateway session that it was sent to.

    The same HTML for the same session has the same address, however often it is sent; the same HTML for many sessions
    is kept once. Beyond a bound the frames that were longest unused go: one that is on a screen stays there, and the
    next run of the script brings it back.
    """

    def __init__(self, per_owner: int = PER_OWNER, in_all: int = IN_ALL, count: int = FRAMES_PER_OWNER) -> None:
        self.per_owner, self.in_all, self.count = per_owner, in_all, count
        self.size = 0
        self._key = secrets.token_bytes(32)
        self._bodies: dict[bytes, _Body] = {}
        self._frames: OrderedDict[str, _Frame] = OrderedDict()
        self._owned: dict[str, _Owned] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, owner: str, html: bytes, kind: str = "") -> str:
        """Keep HTML for a session; the name under which it is served: 192 bits that nobody else can compute."""
        digest = hashlib.sha256(html).digest()
        name = hmac.digest(self._key, b"\0".join((owner.encode(), kind.encode(), digest)), "sha256")[:24].hex()
        if name in self._frames:
            self._frames.move_to_end(name)
            self._owned[owner].frames.move_to_end(name)
            return name
        body = self._bodies.get(digest)
        if body is None:
            body = self._bodies[digest] = _Body(html)
            self.size += len(html)
        body.frames += 1
        self._frames[name] = _Frame(owner, digest, len(html))
        owned = self._owned.setdefault(owner, _Owned())
        owned.frames[name] = None
        owned.size += len(html)
        self._shrink(owned)
        return name

    def get(self, owner: str | None, name: str) -> bytes | None:
        """The HTML of that name, if it was sent to that session."""
        frame = self._frames.get(name)
        if frame is None or owner is None or not hmac.compare_digest(frame.owner, owner):
            return None
        self._frames.move_to_end(name)
        return self._bodies[frame.digest].html

    def forget(self, owner: str) -> None:
        """Let go of everything that was kept for a session."""
        owned = self._owned.get(owner)
        for name in list(owned.frames) if owned is not None else ():
            self._remove(name)

    def _shrink(self, owned: _Owned) -> None:
        while len(owned.frames) > 1 and (owned.size > self.per_owner or len(owned.frames) > self.count):
            self._remove(next(iter(owned.frames)))
        while len(self._frames) > 1 and self.size > self.in_all:
            self._remove(next(iter(self._frames)))

    def _remove(self, name: str) -> None:
        frame = self._frames.pop(name)
        owned = self._owned[frame.owner]
        del owned.frames[name]
        owned.size -= frame.size
        if not owned.frames:
            del self._owned[frame.owner]
        body = self._bodies[frame.digest]
        body.frames -= 1
        if not body.frames:
            del self._bodies[frame.digest]
            self.size -= frame.size


class Frames:
    """Moves embedded HTML out of messages, and serves it.

    http: GET and HEAD below `/.gateway/frame/`, for the session that it was sent to; for others nothing is there.
    websocket, lifespan: never routed here.
    """

    def __init__(self, base_path: str = "", store: Store | None = None) -> None:
        self.base_path = base_path
        self.store = store or Store()

    def rewrite(self, message: ForwardMsg, owner: str | None) -> bool:
        """Give each embedded HTML of a message an address in place of itself; whether anything has changed.

        `owner` is the gateway session of the socket. Without one nobody could be served, so nothing is changed: the
        HTML stays in `srcdoc`, where the page's policy keeps its script from running.
        """
        if owner is None or message.WhichOneof("type") != "delta":
            return False
        names = [name for element in _elements(message) if (name := self._move(element, owner))]
        if names:
            # Browsers keep messages by their hash, and are then only told the hash: what they keep must be this one,
            # with addresses that this process serves, not the one that Streamlit means.
            message.hash = hashlib.sha256("".join((message.hash, *names)).encode()).hexdigest()[:32]
        return bool(names)

    def _move(self, element: Element, owner: str) -> str | None:
        if element.WhichOneof("type") != "iframe" or element.iframe.WhichOneof("type") != "srcdoc":
            return None
        sizes = _sizes(element)
        html = document(element.iframe.srcdoc, measured=bool(sizes))
        if len(html) > LARGEST:
            return None
        name = self.store.put(owner, html, sizes)
        element.iframe.src = self.base_path + FRAMES + name + (f"?size={sizes}" if sizes else "")
        return name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        html = self.store.get(exchange.context.session, exchange.context.path.removeprefix(FRAMES))
        if html is None:
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        headers = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": of_embedded(exchange.policy.content_security).decode(),
            "cache-control": "no-store",
        }
        await Response(html, headers=headers)(scope, receive, send)


def _elements(message: ForwardMsg) -> tuple[Element, ...]:
    """The elements of a delta. A block holds none: its own come in messages of their own."""
    match message.delta.WhichOneof("type"):
        case "new_element":
            return (message.delta.new_element,)
        case "new_transient":
            return tuple(message.delta.new_transient.elements)
        case _:
            return ()


def _sizes(element: Element) -> str:
    """Which of its sizes, `h` and `w`, a frame takes from its content."""
    return "".join(
        letter
        for letter, config, chosen in _SIZES
        if element.HasField(config) and getattr(element, config).WhichOneof(chosen) == "use_content"  # type: ignore[arg-type]
    )


def document(html: str, *, measured: bool) -> bytes:
    """The HTML as a document that looks as it does in `srcdoc`; if `measured`, it tells the page its size."""
    doctype = "" if _DOCTYPE.match(html) else "<!doctype html>"
    script = f"<script>\n{read('frame-size.js')}</script>" if measured else ""
    return f"{doctype}{html}{script}".encode(errors="replace")


def moves(policy: ContentSecurity) -> bool:
    """Whether embedded HTML is moved: under `inline` it keeps the reach into the page that tools may count on."""
    return "inline" not in policy.add


class EmbeddedHtml:
    """Rewrites what leaves through the socket.

    websocket: messages with embedded HTML are changed on their way out. http, lifespan: pass.
    """

    def __init__(self, app: ASGIApp, *, frames: Frames) -> None:
        self.app = app
        self.frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or not moves(exchange_of(scope).policy.content_security):
            await self.app(scope, receive, send)
            return
        owner = exchange_of(scope).context.session

        async def rewritten(message: Message) -> None:
            frame = message.get("bytes")
            if frame is not None and _IFRAME_TAG in frame:
                message = {**message, "bytes": self._rewritten(frame, owner)}
            await send(message)

        await self.app(scope, receive, rewritten)

    def _rewritten(self, frame: bytes, owner: str | None) -> bytes:
        try:
            message = ForwardMsg.FromString(frame)
        except DecodeError:
            return frame
        return message.SerializeToString() if self.frames.rewrite(message, owner) else frame
