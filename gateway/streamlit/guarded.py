"""One open socket between a visitor and Streamlit: what comes in is judged, what goes out is held against the pages.

browser ─▶ rate ─▶ parse ─▶ kind ─▶ page ─▶ queue for a script ─▶ Streamlit
browser ◀─ grants of files ◀─ notice, menu ◀─ pages ◀─────────── Streamlit
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import structlog
from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from gateway.audit.recorder import Recorder
from gateway.errors import AuditUnavailable
from gateway.middleware.exchange import Exchange
from gateway.middleware.quotas import Meter
from gateway.middleware.session_activity import SessionActivity
from gateway.model import Allow, Decision, Method, Policy, Reason, RequestContext
from gateway.policy.decide import decide
from gateway.policy.lease import lease_until
from gateway.reasons import OUTCOMES, POLICY_VIOLATION
from gateway.streamlit import media, notice, uploads
from gateway.streamlit.access import ACCESS, RERUN, Access, Judged
from gateway.streamlit.activity import Activity
from gateway.streamlit.governor import Governor
from gateway.streamlit.heap import Settling
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.pages import Pages, page_hash
from gateway.streamlit.view import Passed, Template, View
from gateway.streamlit.wire import FINAL, Incoming, frame_of, read_incoming, read_outgoing, stop_script
from gateway.web.brand import Brand

SLOW: Final = 10.0
"""Seconds for which a message may wait until the visitor's side has read what came before it."""

_NOTED: Final = 256 * 1024  # bytes of messages that have left and are not yet accounted for
_QUEUE: Final = 64  # messages that wait for Streamlit; it takes them at once unless the loop is late
_PATIENCE: Final = 1.0  # seconds in the queue after which the visitor is told, and then every so many
_TOLD_EVERY: Final = 3.0
_UNSUPPORTED: Final = 1003  # RFC 6455 §7.4.1: a kind of data that we cannot accept

_GONE: Final[Message] = {"type": "websocket.disconnect", "code": 1006}

log = structlog.get_logger("gateway.sockets")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sockets of the process share."""

    recorder: Recorder
    pages: Pages
    ownership: Ownership
    governor: Governor
    sessions: SessionActivity
    brand: Brand
    clock: Callable[[], datetime]
    template: Template
    settling: Settling


class GuardedSocket:
    """Lives as long as the socket. Everything in it runs on the event loop."""

    def __init__(self, shared: Shared, exchange: Exchange, receive: Receive, send: Send) -> None:
        self.shared = shared
        self.exchange = exchange
        self._receive = receive
        self._send = send
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._meter = Meter()
        self.access = Access(exchange, shared.clock)
        self.view = View(self.access, shared.pages, shared.template, self._words)
        self.activity = Activity(self._note)
        self.seat = shared.governor.seat(owner_of(exchange), exchange.policy.limits.scripts, self._release)
        self._streamlit_session: str | None = None
        self._left: list[tuple[ForwardMsg, int]] = []
        self._left_bytes = 0
        self._sending_since: float | None = None
        self._told_at = 0.0
        self._asking: BackMsg | None = None  # the rerun that is being put to the line at this moment
        self._late: asyncio.Task[None] | None = None  # a refusal at the moment of release, on its way
        self._running = self._closed = False
        self.due = self._next_due()

    @property
    def policy(self) -> Policy:
        """The policy that judges it now."""
        return self.exchange.policy

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application behind the guard, until either side has ended."""
        pump = asyncio.create_task(self._pump(), name="gateway-socket")
        try:
            await app({**scope, ACCESS: self.access}, self._to_app.get, self._from_app)
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            self.seat.close()
            self._account()
            self.activity.write()
            if self._streamlit_session is not None:
                self.shared.ownership.closed(self._streamlit_session)

    # --- inwards ----------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Everything from the browser, one message after the other; a fault of ours ends the socket, never opens it."""
        try:
            while not self._closed:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._to_app.put_nowait(message)
                    return
                if message["type"] == "websocket.receive":
                    await self._received(message)
                else:
                    self._to_app.put_nowait(message)
                if self._to_app.qsize() > _QUEUE:
                    await self._until(lambda: self._to_app.qsize() <= _QUEUE)
        except Exception:
            log.exception("socket.failed", request_id=self.exchange.request_id)
            await self.close(Reason.APPLICATION_ERROR)
        self._to_app.put_nowait(_GONE)  # whatever ended it, Streamlit waits for nothing more

    async def _received(self, message: Message) -> None:
        self._account()
        rate = self.policy.limits.messages
        if not self._meter.admits("", rate, monotonic()):
            await self.close(Reason.RATE_LIMITED)
            return
        frame = message.get("bytes")
        read = read_incoming(frame, self.policy.limits.message)
        if isinstance(read, Reason):
            await self.close(read, _UNSUPPORTED if frame is None else None)
            return
        if not (judged := self.access.message(read.kind)).allowed:
            await self._refused(judged)
            return
        self._touch(read)
        if read.kind == RERUN:
            await self._rerun(read.message)
            return
        self._to_app.put_nowait(message)
        if read.kind == "stop_script" and self.seat.cancel_waiting() and not self._running:
            await self._tell(notice.idle())

    async def _rerun(self, message: BackMsg) -> None:
        state = message.rerun_script
        named = state.page_script_hash or (page_hash(state.page_name) if state.page_name else "")
        if (judged := self.access.pages(self.view.asked(state))) is not None:
            await self._refuse_page(judged, named)
            return
        if self._sending_since is not None:
            await self._until(lambda: self._sending_since is None)  # who does not read gets nothing more to read
        self.shared.settling.script_runs()
        self.activity.asked(message)
        self._asking = message
        self.seat.submit(message)
        self._asking = None
        if self.seat.stands and self.seat.weight > self.policy.limits.message:  # clicks, merged while they wait
            await self.close(Reason.MESSAGE_TOO_LARGE)

    async def _refuse_page(self, judged: Judged, script_hash: str) -> None:
        await self._refused(judged)
        if self._running:
            self._to_app.put_nowait(_frame(stop_script()))
        await self._tell(*self.view.refuse(judged, script_hash or self.shared.pages.main_hash, seal=self._running))

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Take nothing more from the browser until `ready`, or the end. Rare, so it looks instead of being told."""
        patience = 0.0  # the first look is after one turn of the loop, in which Streamlit takes all that it is given
        while not (ready() or self._closed):
            await asyncio.sleep(patience)
            patience = 0.02

    def _release(self, message: BackMsg) -> None:
        """Its turn has come. Judged once more if it had to wait: what was allowed then may have ended meanwhile."""
        state = message.rerun_script
        judged = None if message is self._asking else self.access.pages(self.view.asked(state))
        if judged is None:
            self._to_app.put_nowait(_frame(frame_of(message)))
            return
        self.seat.finished()
        self._late = asyncio.get_running_loop().create_task(self._refuse_page(judged, state.page_script_hash))

    def _touch(self, read: Incoming) -> None:
        """The session is in use. What a page does by itself keeps nobody signed in who has left."""
        context = self.exchange.context
        by_itself = read.kind == "app_heartbeat" or (read.kind == RERUN and read.message.rerun_script.is_auto_rerun)
        if context.session is not None and (context.principal.method is Method.NONE or not by_itself):
            self.shared.sessions.touch(context.session, self.shared.clock())

    async def _refused(self, judged: Judged) -> None:
        """Record that a message or a page was refused; it does not pass, whether that can be recorded or not."""
        self.activity.refused()
        recorder = self.shared.recorder
        with suppress(AuditUnavailable):
            await recorder.confirm(recorder.message_refused(self.exchange, judged.context, judged.decision))

    # --- outwards ---------------------------------------------------------------------------------------------

    async def _from_app(self, message: Message) -> None:
        if self._closed:
            return
        if message["type"] != "websocket.send":
            await self._write(message)
            return
        try:
            parsed = read_outgoing(message["bytes"])
        except (DecodeError, KeyError, TypeError):
            log.exception("socket.unknown-frame", request_id=self.exchange.request_id)  # no Streamlit that we know
            await self.close(Reason.APPLICATION_ERROR)
            return
        kind = parsed.WhichOneof("type")
        if kind == "delta" and self.view.passes(parsed):  # nearly every message of a run
            self._leaves(parsed, message["bytes"])
            await self._write(message)
            return
        if kind != "script_finished":  # for which somebody waits
            self._account()
        self._observe(parsed)
        await self._show(self.view.shows(parsed), message)
        self._account()

    def _observe(self, message: ForwardMsg) -> None:
        """What the message says about the run and the session, whether it leaves or not."""
        match message.WhichOneof("type"):
            case "new_session":
                self._streamlit_session = message.new_session.initialize.session_id
                self.shared.ownership.opened(self._streamlit_session, self.exchange.context.session)
                self._running = True
                self.seat.started()
                self.activity.begins()
            case "script_finished":
                self.activity.ends(message)
                if message.script_finished in FINAL:
                    self._running = False
                    self.seat.finished()
            case _:
                pass

    async def _show(self, passed: Passed, original: Message | None = None) -> None:
        if passed.refused is not None:
            await self._refused(passed.refused)
            self._to_app.put_nowait(_frame(stop_script()))
        for message in passed.messages:
            frame = original["bytes"] if original is not None and not passed.changed else frame_of(message)
            self._leaves(message, frame)
            await self._write({"type": "websocket.send", "bytes": frame})
        self.activity.on_page(None if self.view.sealed else self.view.page)

    def _leaves(self, message: ForwardMsg, frame: bytes) -> None:
        """The visitor may fetch what the message names; the rest of what there is to note of it can wait."""
        if media.MARK in frame and self._streamlit_session is not None:
            owner = self.exchange.context.session
            media.learn(self.shared.ownership, owner, self._streamlit_session, message, frame)
        self._left.append((message, len(frame)))
        self._left_bytes += len(frame)
        if self._left_bytes > _NOTED:
            self._account()

    def _account(self) -> None:
        """Note what has left: not while a run is drawn, but before anything is asked that depends on it."""
        for message, size in self._left:
            element = self.activity.shown(message, size)
            self.view.took(message)
            if self._streamlit_session is not None and (element is None or element in uploads.MAY_TAKE_FILES):
                uploads.learn(self.shared.ownership, self._streamlit_session, message)
        self._left.clear()
        self._left_bytes = 0

    async def _tell(self, *messages: ForwardMsg) -> None:
        for frame in notice.frames(messages):
            await self._write({"type": "websocket.send", "bytes": frame})

    async def _write(self, message: Message) -> None:
        if self._closed:  # while a refusal was being recorded: nobody hears what comes after
            return
        self._sending_since = monotonic()
        exchange = self.exchange
        try:
            if exchange.wire is not None and message["type"] == "websocket.send":
                exchange.bytes_out += len(message["bytes"])  # as Recording would
                await exchange.wire(message)
            else:
                await self._send(message)
        except OSError:  # the visitor has gone; the server tells the application by its next message
            self._closed = True
        finally:
            self._sending_since = None

    def _words(self, reason: Reason, place: int) -> list[ForwardMsg]:
        return notice.refusal(self.shared.brand, reason, self.exchange.request_id, place)

    def _note(self, code: str, page: str | None, facts: Mapping[str, object]) -> None:
        self.shared.recorder.happened(self.exchange, code, page, facts)

    # --- watched ----------------------------------------------------------------------------------------------

    async def rejudge(self, policy: Policy) -> None:
        """Ask the engine again about the open socket, and about the page that it shows."""
        if self._closed or self.exchange.status != 101:
            return
        now = self.shared.clock()
        if (ends := self._session_ends(policy)) is not None and ends <= now:
            await self.close(Reason.SESSION_ENDED)
            return
        context = replace(self.exchange.context, received_at=now)
        decision = decide(policy, context)
        if not isinstance(decision, Allow):
            await self._record(context, decision)
            await self.close(decision.reason)
            return
        if policy is not self.policy:
            await self._record(context, decision)
            self.exchange.policy = policy
        self.access.forget()
        self.due = self._next_due()
        self._account()
        await self._show(self.view.rejudge())

    @property
    def restless(self) -> bool:
        """Whether `tick` has something to do. Asked of every socket, five times a second."""
        return self._stalled or self.activity.due or self._waits_untold

    @property
    def _stalled(self) -> bool:
        return self._sending_since is not None and monotonic() - self._sending_since > SLOW

    @property
    def _waits_untold(self) -> bool:
        waits = self.seat.waiting is not None and self.seat.waited > _PATIENCE
        return waits and monotonic() - self._told_at > _TOLD_EVERY

    async def tick(self) -> None:
        """What has to happen while nothing happens."""
        if self._stalled:
            await self.close(Reason.READER_TOO_SLOW)
        if self.activity.due:
            self.activity.write()
        if self._waits_untold and not self._closed:
            self._told_at = monotonic()
            await self._tell(notice.busy(), notice.waiting(self.seat.waiting or 0))

    async def close(self, reason: Reason, code: int | None = None) -> None:
        """End the socket with that reason. What Streamlit still says is dropped."""
        if self._closed:
            return
        self._closed = True
        self.exchange.reason = reason
        code = code or OUTCOMES[reason].close_code or POLICY_VIOLATION
        with suppress(TimeoutError):  # who does not read does not read this either: the server drops the connection
            async with asyncio.timeout(1.0):
                await self._send({"type": "websocket.close", "code": code, "reason": reason.value})
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason.value})

    async def _record(self, context: RequestContext, decision: Decision) -> None:
        recorder = self.shared.recorder
        with suppress(AuditUnavailable):  # a refusal stands; an allow that cannot be recorded was recorded at the door
            await recorder.confirm(recorder.rejudged(self.exchange, context, decision))

    def _session_ends(self, policy: Policy) -> datetime | None:
        exchange = self.exchange
        session, started, seen = exchange.context.session, exchange.session_started, exchange.session_seen
        if session is None or started is None or seen is None:
            return None
        times = policy.sessions
        return self.shared.sessions.ends(session, started, seen, times.idle, times.lifetime)

    def _next_due(self) -> datetime | None:
        now = self.shared.clock()
        context = replace(self.exchange.context, received_at=now)
        ends = self._session_ends(self.policy)
        # An idle session's end moves with every use, so it is looked at no later than it could come.
        instants = [each for each in (lease_until(self.policy, context), ends) if each is not None]
        return max(min(instants), now + timedelta(milliseconds=1)) if instants else None


def owner_of(exchange: Exchange) -> str:
    """Whom a socket counts for: the principal, else the session, and only without one the client's address."""
    context = exchange.context
    if context.principal.method is not Method.NONE:
        return f"principal {context.principal.id}"
    return f"session {context.session}" if context.session is not None else f"client {context.client.address}"


def _frame(data: bytes) -> Message:
    return {"type": "websocket.receive", "bytes": data}
