"""Script reruns over the WebSocket: from the request to the message that says the script has finished.

A rerun of a small script is mostly Streamlit collecting garbage after it (`runner.postScriptGC`): the collection holds
the interpreter, and what the script has drawn waits for its end. So its length counts here, and with it the number of
objects that the server keeps.
"""

import asyncio
import time
from dataclasses import dataclass

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.http_load import percentile
from tests.support.streamlit_client import AsyncStreamlitClient, Visitor, connect_async
from tests.support.streamlit_protocol import rerun

WARM_UP = 3  # runs of each client that are not counted


@dataclass(frozen=True)
class Reruns:
    """What came of it: runs a second of all clients together, and the time of one run in milliseconds."""

    per_second: float
    p50: float
    p99: float
    runs: int


def measure(visitor: Visitor, clients: int, seconds: float) -> Reruns:
    """Let some clients ask for a run, wait for its end and ask again, for some seconds."""
    return asyncio.run(_measure(visitor, clients, seconds))


async def _measure(visitor: Visitor, clients: int, seconds: float) -> Reruns:
    opened = [await connect_async(visitor) for _ in range(clients)]
    try:
        await asyncio.gather(*(_warm_up(client) for client in opened))
        begun = time.perf_counter()
        times = await asyncio.gather(*(_run_until(client, begun + seconds) for client in opened))
        spent = time.perf_counter() - begun
    finally:
        await asyncio.gather(*(client.close() for client in opened))
    ordered = sorted(each for own in times for each in own)
    return Reruns(len(ordered) / spent, percentile(ordered, 50), percentile(ordered, 99), len(ordered))


async def _warm_up(client: AsyncStreamlitClient) -> None:
    for _ in range(WARM_UP):
        page = await client.rerun()
        assert not page.kinds("exception"), page.text


async def _run_until(client: AsyncStreamlitClient, end: float) -> list[float]:
    request = rerun(page_script_hash=client.page.page_script_hash or "").SerializeToString()
    times: list[float] = []
    while time.perf_counter() < end:
        begun = time.perf_counter()
        await client.send(request)
        await _finished(client)
        times.append((time.perf_counter() - begun) * 1e3)
    return times


async def _finished(client: AsyncStreamlitClient) -> None:
    # Not through the client's page: the benchmark keeps nothing, and looks at no more than the kind of each message.
    message = ForwardMsg()
    while True:
        data = await client.socket.recv()
        assert isinstance(data, bytes)
        message.ParseFromString(data)
        if message.WhichOneof("type") == "script_finished":
            assert message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY, message
            return
