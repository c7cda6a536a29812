"""Uploads: only into a session of one's own, only what the page has asked for, and within the limits of the policy.

Streamlit takes any number of files, for any session whose id is named, whether an element asked for them or not, under
any name, with a token that the client may make up. Here, before any of it reaches Streamlit: whose session it is, that
its page takes files and that Streamlit gave out the file's id, how many files and bytes the session holds, the kind of
the file, and a name that is safe. The rest passes as it comes; the record has it before the script can.
"""

from contextlib import suppress
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.audit.events import Durability
from gateway.audit.files import Transfer, transferred
from gateway.audit.inbox import Receipt
from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange, exchange_of
from gateway.middleware.refusals import Refusals
from gateway.model import Reason, Surface
from gateway.streamlit.multipart import OneFile, UploadRefusedError
from gateway.streamlit.ownership import Ownership, Uploads

PATH: Final = "/_stcore/upload_file/"

# Elements that take files. A chat input does only if it says so.
_TAKE_FILES: Final = frozenset({"file_uploader", "camera_input", "audio_input"})
MAY_TAKE_FILES: Final = _TAKE_FILES | {"chat_input"}
"""Kinds of elements that `learn` has to be told of."""

_OF_THE_BODY: Final = frozenset({b"content-type", b"content-length"})
_DONE: Final = 204  # what Streamlit answers to an upload and to a removal
_GONE: Final[Message] = {"type": "http.disconnect"}


def learn(ownership: Ownership, streamlit_session: str, message: ForwardMsg) -> None:
    """Remember what this message on the session's socket says about uploads: that it takes files, or where to."""
    match message.WhichOneof("type"):
        case "delta" if accepts_uploads(message):
            ownership.takes_uploads(streamlit_session, folders=message.delta.new_element.file_uploader.accept_directory)
        case "file_urls_response":
            for urls in message.file_urls_response.file_urls:
                ownership.offered(streamlit_session, urls.file_id)
        case _:
            pass


def accepts_uploads(message: ForwardMsg) -> bool:
    """Whether the message shows an element that takes files."""
    if message.WhichOneof("type") != "delta" or message.delta.WhichOneof("type") != "new_element":
        return False
    element = message.delta.new_element
    kind = element.WhichOneof("type")
    if kind == "chat_input":
        return element.chat_input.accept_file != element.chat_input.AcceptFile.NONE or element.chat_input.accept_audio
    return kind in _TAKE_FILES


class UploadGuard:
    """Lets files into the sessions that asked for them.

    http: on the upload surface, PUT and DELETE as this module says; other surfaces pass.
    websocket, lifespan: pass.
    """

    def __init__(self, app: ASGIApp, *, ownership: Ownership, refusals: Refusals) -> None:
        self.app = app
        self.ownership = ownership
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).surface is not Surface.UPLOAD:
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        session, _, file_id = exchange.context.path.removeprefix(PATH).partition("/")
        if is_from_elsewhere(scope):
            await self.refusals.refuse(scope, send, Reason.ORIGIN_NOT_ALLOWED)
        elif not self.ownership.owns(exchange.context.session, session):
            await self.refusals.refuse(scope, send, Reason.UPLOAD_NOT_YOURS)
        elif scope["method"] == "DELETE":
            await self._delete(scope, receive, send, session, file_id)
        elif isinstance(admitted := self._admit(exchange, session, file_id), Uploads):
            await self._put(scope, receive, send, admitted, file_id)
        else:
            await self.refusals.refuse(scope, send, admitted)

    def _admit(self, exchange: Exchange, session: str, file_id: str) -> Uploads | Reason:
        """The session's uploads, when another file may begin to come."""
        uploads = self.ownership.uploads(session)
        if uploads is None:
            return Reason.UPLOAD_NOT_YOURS
        _forget_delivered(session, uploads)
        if uploads.count >= exchange.policy.limits.upload_files:
            return Reason.UPLOADS_TOO_MANY
        return uploads if self.ownership.claim(session, file_id) else Reason.UPLOAD_NOT_EXPECTED

    async def _delete(self, scope: Scope, receive: Receive, send: Send, session: str, file_id: str) -> None:
        answer = _Answer(send)
        await self.app(scope, receive, answer)
        if answer.status == _DONE and (uploads := self.ownership.uploads(session)) is not None:
            uploads.stored.pop(file_id, None)

    async def _put(self, scope: Scope, receive: Receive, send: Send, uploads: Uploads, file_id: str) -> None:
        arrival = _Arrival(exchange_of(scope), receive, self.refusals.recorder, uploads, file_id)
        answer = _Answer(send, arrival)
        try:
            await self.app(arrival.begin(scope), arrival.receive, answer)
        except Exception:
            if arrival.refused is None:
                raise
        finally:
            arrival.end(stored=answer.status == _DONE)
        if arrival.refused is not None:
            await self.refusals.refuse(scope, send, arrival.refused)


class _Arrival:
    """One file on its way to Streamlit. `refused`: why it does not get there; Streamlit then sees its client leave."""

    def __init__(
        self, exchange: Exchange, receive: Receive, recorder: Recorder, uploads: Uploads, file_id: str
    ) -> None:
        self.exchange = exchange
        self.recorder = recorder
        self.uploads = uploads
        self.file_id = file_id
        self.refused: Reason | None = None
        self._receive = receive
        self._file: OneFile | None = None
        self._is_over = False

    def begin(self, scope: Scope) -> Scope:
        """Make room, and give the scope for Streamlit: its body has another boundary and length than was announced."""
        self.uploads.arriving[self.file_id] = 0
        limits = self.exchange.policy.limits
        kinds = [value for name, value in scope["headers"] if name == b"content-type"]
        try:
            self._file = OneFile(
                b",".join(kinds), types=limits.upload_types, folders=self.uploads.folders, grow=self._grow
            )
        except UploadRefusedError as error:
            self.refused = error.reason
            return scope
        headers = [each for each in scope["headers"] if each[0] not in _OF_THE_BODY]
        return {**scope, "headers": [*headers, (b"content-type", self._file.content_type)]}

    def end(self, *, stored: bool) -> None:
        """It is over: Streamlit keeps the file, or nothing of it."""
        size = self.uploads.arriving.pop(self.file_id, 0)
        if stored:
            self.uploads.stored[self.file_id] = size

    async def receive(self) -> Message:
        """The next piece of the rewritten body."""
        if self.refused is not None or self._file is None:
            return _GONE
        message = await self._receive()
        if message["type"] != "http.request" or self._is_over:
            return message
        more: bool = message.get("more_body", False)
        try:
            body = self._file.feed(message.get("body", b""))
            if not more:
                self._is_over = True
                body += self._file.end()
                # The last bytes wait for the record: without them Streamlit has no file.
                await self.recorder.confirm(self._note(self._file, Durability.BEFORE))
        except UploadRefusedError as error:
            self._refuse(self._file, error.reason)
            return _GONE
        except AuditUnavailable:
            self.refused = Reason.AUDIT_UNAVAILABLE
            return _GONE
        return {"type": "http.request", "body": body, "more_body": more}

    def _grow(self, size: int) -> None:
        limits = self.exchange.policy.limits
        self.uploads.arriving[self.file_id] += size
        if self.uploads.arriving[self.file_id] > limits.upload:
            raise UploadRefusedError(Reason.BODY_TOO_LARGE)
        if self.uploads.total > limits.upload_total:
            raise UploadRefusedError(Reason.UPLOADS_TOO_LARGE)

    def _refuse(self, file: OneFile, reason: Reason) -> None:
        self.refused = reason
        if file.name:
            with suppress(AuditUnavailable):  # refused it is anyway, and the exchange's own record says so
                self._note(file, Durability.ASYNC, reason)

    def _note(self, file: OneFile, durability: Durability, refused: Reason | None = None) -> Receipt | None:
        digest = file.sha256 if refused is None else None
        transfer = Transfer("upload", file.name, file.size, digest, file.media_type, refused=refused)
        return self.recorder.note(self.exchange, partial(transferred, transfer), durability)


class _Answer:
    """What Streamlit answers, passed on unless the file has been refused. `status`: as Streamlit meant it."""

    def __init__(self, send: Send, arrival: _Arrival | None = None) -> None:
        self.send = send
        self.arrival = arrival
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if self.arrival is not None and self.arrival.refused is not None:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self.send(message)


def is_from_elsewhere(scope: Scope) -> bool:
    """Whether the browser says that another site, or nobody's page, sends this (W3C Fetch Metadata)."""
    sites = [value for name, value in scope["headers"] if name == b"sec-fetch-site"]
    return any(site != b"same-origin" for site in sites)


def _forget_delivered(streamlit_session: str, uploads: Uploads) -> None:
    """Give back the room of files that Streamlit keeps no longer, such as those of a chat message that was sent."""
    if uploads.stored and runtime.exists():
        manager = runtime.get_instance().uploaded_file_mgr
        kept = {file.file_id for file in manager.get_files(streamlit_session, tuple(uploads.stored))}
        uploads.stored = {file_id: size for file_id, size in uploads.stored.items() if file_id in kept}
