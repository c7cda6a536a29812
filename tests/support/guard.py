"""The guard of the socket without a network: real record, real policy, and an application that a test writes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit import Ledger
from gateway.audit.recorder import Recorder
from gateway.middleware.exchange import SCOPE_KEY, Exchange
from gateway.middleware.session_activity import SessionActivity
from gateway.model import Policy, Surface, Target
from gateway.policy.decide import decide
from gateway.streamlit.ownership import Ownership
from gateway.streamlit.pages import Pages
from gateway.streamlit.stream import Parts, StreamGuard
from gateway.web.brand import Brand
from tests.policy.sources import SMALL, parse
from tests.policy.test_decide import request

CLOSED_VAULT = (
    SMALL
    + '[[rules]]\nid = "vault"\neffect = "deny"\nbecause = "B"\npages = ["/vault"]\n'
    + '[limits]\nmessages = { rate = "1000000/s", burst = 1000000 }\n'
)
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Wire:
    """One socket: what the browser sends, what the application got, what has left for the browser."""

    sends: list[dict] = field(default_factory=list)
    arrived: list[bytes] = field(default_factory=list)
    left: list[bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None

    async def receive(self) -> dict:
        return self.sends.pop(0) if self.sends else {"type": "websocket.disconnect", "code": 1001}

    async def send(self, message: dict) -> None:
        if message["type"] == "websocket.close":
            self.closed = (message["code"], message["reason"])
        elif message["type"] == "websocket.send":
            self.left.append(message["bytes"])


App = Callable[[Wire, Callable[[], Awaitable[dict]], Callable[[dict], Awaitable[None]]], Awaitable[None]]


@dataclass
class Guarded:
    """A guard for as many sockets as a test wants."""

    guard: StreamGuard
    policy: Policy
    at: datetime

    def exchange(self) -> Exchange:
        context = request(
            kind="websocket",
            surface=Surface.STREAM,
            path="/_stcore/stream",
            host="tools.corp.example",
            origin="https://tools.corp.example",
            received_at=self.at,
        )
        decision = decide(self.policy, context)
        return Exchange("req-1", context, self.policy, Target(Surface.STREAM), decision=decision, status=101)

    def run(self, app: App, sends: list[bytes | str] = ()) -> Wire:
        """Send these frames through the guard to the application, then hang up."""
        kinds = (("bytes", each) if isinstance(each, bytes) else ("text", each) for each in sends)
        wire = Wire([{"type": "websocket.receive", kind: each} for kind, each in kinds])

        async def inner(_scope: dict, receive, send) -> None:
            await app(wire, receive, send)

        self.guard.app = inner
        asyncio.run(self.guard({"type": "websocket", SCOPE_KEY: self.exchange()}, wire.receive, wire.send))
        return wire


async def takes(wire: Wire, receive, _send) -> None:
    """An application that takes what comes and says nothing."""
    while (message := await receive())["type"] == "websocket.receive":
        wire.arrived.append(message["bytes"])


def says(frames: list[bytes]) -> App:
    """An application that says this and takes what comes."""

    async def app(wire: Wire, receive, send) -> None:
        for frame in frames:
            await send({"type": "websocket.send", "bytes": frame})
        await takes(wire, receive, send)

    return app


@contextmanager
def guarded(
    directory: Path, text: str = CLOSED_VAULT, *, pages=("/", "/vault"), at: datetime = AT
) -> Iterator[Guarded]:
    """A guard with a record in the directory; its clock stands still."""
    policy = parse(text)
    with Ledger.open(directory, origin="o") as ledger:
        parts = Parts(
            Recorder(ledger),
            Pages(frozenset(pages), complete=True, main_hash="main"),
            Ownership(),
            SessionActivity(),
            Brand(),
            lambda: policy,
        )
        yield Guarded(StreamGuard(takes, parts=parts, clock=lambda: at), policy, at)
