"""Media and downloads: `/media/<id>` is for whom the id was sent to, and each file leaves a record.

Streamlit serves its media to everybody who knows the address, and an address is a hash of the content. What goes out on
the socket of a gateway session tells which ids are that session's. Only those fields count in which Streamlit itself
puts such addresses, or ids that the script of that very Streamlit session has published: a visitor who makes the tool
repeat `/media/<somebody's id>` in a text has gained nothing.
"""

import asyncio
import re
from collections.abc import Collection, Iterator
from email.message import Message as EmailMessage
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as ProtobufMessage
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.proto.Block_pb2 import Block
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.audit.events import Durability
from gateway.audit.files import Transfer, transferred
from gateway.audit.recorder import Recorder
from gateway.audit.redact import pseudonym
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Reason, Surface
from gateway.streamlit.ownership import Ownership

PATH: Final = "/media/"
MARK: Final = b"/media/"
"""In every frame that may hold an address of media: one search, and most frames need no closer look."""

_ID: Final = r"[0-9A-Za-z]{16,128}(?:\.[0-9A-Za-z]{1,16})?"
# Relative, so that no address of another host counts; a base path may stand before it.
_ADDRESS: Final = re.compile(rf"(?:/(?!/)[^?#]*)?/media/({_ID})")
_ANYWHERE: Final = re.compile(rf"/media/({_ID})")
_MOST: Final = 1000  # ids in one message that are looked at

# Kinds that a browser shows without running anything. Everything else is to be saved: HTML, SVG and XML are documents.
# An image element loads what is in its source whatever the disposition says, so that SVG pictures are still seen.
_SHOWN: Final = re.compile(
    r"(?:image/(?!svg)[\w.+-]+|audio/[\w.+-]+|video/[\w.+-]+|application/pdf)\s*(?:;|$)", re.ASCII
)
_BIG: Final = 256 * 1024  # bytes whose hash takes longer than the event loop should wait: about 0.2 ms


def learn(ownership: Ownership, owner: str | None, streamlit_session: str, message: ForwardMsg, frame: bytes) -> None:
    """Grant what this message, in this frame, brings to a gateway session on its socket."""
    if MARK not in frame:
        return
    known = set(media_ids(message))
    others = set(islice((found[1] for text in _texts(message) for found in _ANYWHERE.finditer(text)), _MOST)) - known
    if others and (published := _published(streamlit_session)):
        known.update(each for each in others if each.partition(".")[0] in published)
    ownership.grant(owner, known)


def media_ids(message: ForwardMsg) -> Iterator[str]:
    """The ids in the fields of a message that Streamlit fills with addresses of media, and with nothing else.

    Not among them are a page's icon and the source of a frame: Streamlit passes a script's own text on in those.
    """
    for address in _addresses(message):
        if found := _ADDRESS.fullmatch(address):
            yield found[1]


def _addresses(message: ForwardMsg) -> Iterator[str]:
    match message.WhichOneof("type"):
        case "delta":
            yield from _in_delta(message.delta)
        case "logo":
            yield message.logo.image
            yield message.logo.icon_image
        case "backend_operation_response":
            yield message.backend_operation_response.deferred_file.url
        case _:
            pass


def _in_delta(delta: Delta) -> Iterator[str]:
    match delta.WhichOneof("type"):
        case "new_element":
            yield from _in_element(delta.new_element)
        case "new_transient":
            for element in delta.new_transient.elements:
                yield from _in_element(element)
        case "add_block" if delta.add_block.chat_message.avatar_type == Block.ChatMessage.AvatarType.IMAGE:
            yield delta.add_block.chat_message.avatar
        case _:
            pass


def _in_element(element: Element) -> Iterator[str]:
    match element.WhichOneof("type"):
        case "imgs":
            yield from (image.url for image in element.imgs.imgs)
        case "audio":
            yield element.audio.url
        case "video":
            yield element.video.url
            yield from (track.url for track in element.video.subtitles)
        case "download_button":
            yield element.download_button.url
        case _:
            pass


def _texts(message: ProtobufMessage) -> Iterator[str]:
    """Every text in a message, however deep."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from value if field.is_repeated else (value,)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry:
            for inner in value if field.is_repeated else (value,):
                yield from _texts(inner)


def _published(streamlit_session: str) -> Collection[str]:
    """Ids, without the end that tells the kind, that the script of this session has published and still uses.

    Streamlit keeps this to itself, and may keep it elsewhere one day: then only the known fields count. Its lock is not
    taken, since a script's thread holds it while it hashes a file; making a tuple of a dict's values is one step.
    """
    if not runtime.exists():
        return ()
    by_session = getattr(runtime.get_instance().media_file_mgr, "_files_by_session_and_coord", {})
    return frozenset(tuple(by_session.get(streamlit_session, {}).values()))


class Media:
    """Serves media to whom they were sent.

    http: on the media surface, 404 for everybody else; what is served leaves an event with name, size and digest
        before its first byte, and has a disposition by which a browser runs nothing. Other surfaces pass.
    websocket, lifespan: pass.
    """

    def __init__(self, app: ASGIApp, *, ownership: Ownership, refusals: Refusals) -> None:
        self.app = app
        self.ownership = ownership
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).surface is not Surface.MEDIA:
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        media_id = exchange.context.path.removeprefix(PATH)
        if self.ownership.may_read(exchange.context.session, media_id):
            await self._serve(scope, receive, send, media_id)
            return
        # Told as an address where nothing is, word for word; only the record knows.
        await self.refusals.answer(scope, send, Reason.NOT_FOUND)
        exchange.reason = Reason.MEDIA_NOT_YOURS

    async def _serve(self, scope: Scope, receive: Receive, send: Send, media_id: str) -> None:
        delivery = _Delivery(exchange_of(scope), media_id, self.refusals.recorder, send)
        await self.app(scope, receive, delivery)
        if delivery.failed:
            await self.refusals.answer(scope, send, Reason.AUDIT_UNAVAILABLE)


class _Delivery:
    """The way of one answer out: hashed as it passes, and held until its event is durable.

    An answer in several pieces, which Streamlit does not send, is recorded when its last one has come. `failed`: it
    could not be recorded, and nothing of it was sent.
    """

    def __init__(self, exchange: Exchange, media_id: str, recorder: Recorder, send: Send) -> None:
        self.exchange = exchange
        self.media_id = media_id
        self.recorder = recorder
        self.send = send
        self.failed = False
        self._held: Message | None = None
        self._headers = Headers()
        self._is_transfer = False
        self._size = 0
        self._hash = sha256()

    async def __call__(self, message: Message) -> None:
        if self.failed:
            return
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        if self._is_transfer and not await self._is_recorded(message):
            self.failed = True
            return
        if self._held is not None:
            held, self._held = self._held, None
            await self.send(held)
        await self.send(message)

    def _begin(self, message: Message) -> None:
        self._headers = headers = MutableHeaders(raw=list(message.get("headers", ())))
        if message["status"] in {200, 206}:
            if "content-disposition" not in headers and not _SHOWN.match(headers.get("content-type", "")):
                headers["content-disposition"] = "attachment"
            headers.setdefault("cache-control", "private, no-store")
            self._is_transfer = self.exchange.context.method == "GET"
        self._held = {**message, "headers": headers.raw}

    async def _is_recorded(self, message: Message) -> bool:
        """Take a piece of the body; False when it may not go out."""
        body = message.get("body", b"")
        self._size += len(body)
        if len(body) > _BIG:
            await asyncio.to_thread(self._hash.update, body)
        else:
            self._hash.update(body)
        if message.get("more_body", False):
            return True
        durability = Durability.ASYNC if self._held is None else Durability.HOLD
        try:
            receipt = self.recorder.note(self.exchange, partial(transferred, self._transfer()), durability)
            if self._held is not None:
                await self.recorder.confirm(receipt)
        except AuditUnavailable:
            return self._held is None  # else it is out already
        return True

    def _transfer(self) -> Transfer:
        headers = self._headers
        return Transfer(
            "download",
            _file_name(headers.get("content-disposition", "")) or pseudonym(self.media_id),
            self._size,
            self._hash.hexdigest(),
            headers.get("content-type", ""),
            headers.get("content-range"),
        )


def _file_name(disposition: str) -> str | None:
    """The name in a Content-Disposition (RFC 6266), in either of its forms."""
    header = EmailMessage()
    header["content-disposition"] = disposition
    return header.get_filename()
