"""What the guard of the socket costs for one message: `python -m benchmarks.guard`.

In process and without a network, so that nothing else is in it: the same frames go through the guard to an application
that takes them, and to that application directly. The difference is the guard's, the loop's own work included. What is
counted is the processor time of the loop's thread, so a busy machine makes it slower, and no worse than that.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.util import calc_hash

from gateway.middleware.exchange import SCOPE_KEY
from tests.support.guard import guarded

FRAMES = 2_000
ROUNDS = 9
AIM = 30.0  # microseconds a typical frame
Run = Callable[[Receive, Send], Awaitable[None]]
Around = Callable[[ASGIApp], Run]  # what stands before the application


def rerun() -> bytes:
    """A click on a page with twelve widgets."""
    state = ClientState(page_script_hash=calc_hash("hall"))
    for number in range(12):
        widget = state.widget_states.widgets.add(id=f"$$ID-{number:032x}-widget{number}")
        widget.string_value = f"value {number}"
    state.context_info.timezone, state.context_info.url = "Europe/Berlin", "https://tools.corp.example/hall"
    return bytes(BackMsg(rerun_script=state).SerializeToString())


def heartbeat() -> bytes:
    """The smallest message that there is."""
    return bytes(BackMsg(app_heartbeat=True).SerializeToString())


def delta() -> bytes:
    """An element with 400 characters of text."""
    message = ForwardMsg()
    message.metadata.delta_path[:] = [0, 3]
    message.metadata.active_script_hash = calc_hash("hall")
    message.delta.new_element.markdown.body = "text " * 80
    return bytes(message.SerializeToString())


def begins() -> list[bytes]:
    """The run and the page that the deltas belong to."""
    session, navigation = ForwardMsg(), ForwardMsg()
    session.new_session.page_script_hash = session.new_session.main_script_hash = "main"
    session.new_session.initialize.session_id = "s"
    navigation.navigation.app_pages.add(page_script_hash=calc_hash("hall"), is_default=True)
    navigation.navigation.page_script_hash = calc_hash("hall")
    return [bytes(each.SerializeToString()) for each in (session, navigation)]


async def inwards(around: Around, frame: bytes) -> float:
    """Microseconds a frame, from the server to the application."""
    frames = iter([{"type": "websocket.receive", "bytes": frame}] * FRAMES)
    begun = time.thread_time()

    async def receive() -> Message:
        return next(frames, {"type": "websocket.disconnect", "code": 1001})

    async def send(_message: Message) -> None:
        pass

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            BackMsg.FromString(message["bytes"])  # as Streamlit does

    await around(app)(receive, send)
    return (time.thread_time() - begun) / FRAMES * 1e6


async def outwards(around: Around, frame: bytes) -> float:
    """Microseconds a frame, from the application to the server."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("never")

    async def send(_message: Message) -> None:
        pass

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for first in begins():
            await send({"type": "websocket.send", "bytes": first})
        nonlocal spent
        begun = time.thread_time()
        for _ in range(FRAMES):
            await send({"type": "websocket.send", "bytes": frame})
        spent = time.thread_time() - begun

    spent = 0.0
    await around(app)(receive, send)
    return spent / FRAMES * 1e6


Measure = Callable[[Around, bytes], Awaitable[float]]


def directly(app: ASGIApp) -> Run:
    """The application, with nothing before it."""
    return lambda receive, send: app({}, receive, send)


def through_guard(measure: Measure, frame: bytes) -> float:
    """With a guard of its own each time: the runs that this application never ends would fill the line of the next."""
    with tempfile.TemporaryDirectory() as directory, guarded(Path(directory), pages=("/", "/hall")) as one:

        def through(app: ASGIApp) -> Run:
            one.guard.app = app
            return lambda receive, send: one.guard({"type": "websocket", SCOPE_KEY: one.exchange()}, receive, send)

        return asyncio.run(measure(through, frame))  # type: ignore[arg-type]


def main() -> None:
    """Measure the guard's cost for a message, beside the same application without it."""
    rows: list[tuple[str, Measure, bytes]] = [
        ("heartbeat in", inwards, heartbeat()),
        ("rerun in, 12 widgets", inwards, rerun()),
        ("element out", outwards, delta()),
    ]
    table = Table("frame", "bytes", "without, us", "with, us", "guard, us (min-max)", "aim")
    for name, measure, frame in rows:
        bare, with_guard = [], []
        for _ in range(ROUNDS):
            bare.append(asyncio.run(measure(directly, frame)))  # type: ignore[arg-type]
            with_guard.append(through_guard(measure, frame))
        cost = [guarded_ - bare_ for guarded_, bare_ in zip(with_guard, bare, strict=True)]
        middle = statistics.median(cost)
        table.add_row(
            name,
            str(len(frame)),
            f"{statistics.median(bare):.1f}",
            f"{statistics.median(with_guard):.1f}",
            f"{middle:.1f} ({min(cost):.1f}-{max(cost):.1f})",
            f"<= {AIM:.0f}: {'reached' if middle <= AIM else 'missed'}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
