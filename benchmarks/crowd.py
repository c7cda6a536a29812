"""`python -m benchmarks.crowd URL`: many visitors who press rerun as soon as their run has finished, in one process.

`python -m benchmarks.crowd URL --in-turn`: the same visitors, one after the other. Prints one line of JSON.
"""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import typer
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.support.streamlit_client import AsyncStreamlitClient, Visitor, connect_async, visit
from tests.support.streamlit_protocol import rerun

LATEST = 60.0  # seconds that a visitor waits for an answer before the benchmark gives up on it
BEGIN = "begin"
REQUEST: BackMsg = rerun()


@dataclass
class Crowd:
    """Runs of each visitor that finished in the window, and the longest time that one of them took, in seconds."""

    runs: list[int]
    longest: float


def main(url: str, visitors: int = 200, seconds: float = 20.0, in_turn: int = 0) -> None:
    """Visit the page with a session for each visitor; with `in_turn`, one after the other, for so many runs."""
    with ThreadPoolExecutor(8) as pool:
        people = list(pool.map(lambda _: visit(url, timeout=LATEST), range(visitors)))
    crowd = asyncio.run(_in_turn(people, in_turn) if in_turn else _together(people, seconds))
    typer.echo(json.dumps(asdict(crowd)))


async def _in_turn(people: list[Visitor], runs: int) -> Crowd:
    longest = 0.0
    for visitor in people:
        client = await connect_async(visitor)
        for _ in range(runs):
            longest = max(longest, await _press(client, within=LATEST))
        await client.close()
    return Crowd([runs] * len(people), longest)


async def _together(people: list[Visitor], seconds: float) -> Crowd:
    clients = [await connect_async(visitor) for visitor in people]
    typer.echo(BEGIN)  # whoever measures may begin
    end = time.perf_counter() + seconds
    done = await asyncio.gather(*(_press_until(client, end) for client in clients))
    # Without goodbyes: a server that is busy would keep us waiting for each of them.
    return Crowd([runs for runs, _ in done], max(longest for _, longest in done))


async def _press_until(client: AsyncStreamlitClient, end: float) -> tuple[int, float]:
    runs, longest = 0, 0.0
    while (left := end - time.perf_counter()) > 0:
        begun = time.perf_counter()
        try:
            await _press(client, within=left)
        except TimeoutError:
            return runs, max(longest, time.perf_counter() - begun)
        runs += 1
        longest = max(longest, time.perf_counter() - begun)
    return runs, longest


async def _press(client: AsyncStreamlitClient, *, within: float) -> float:
    """One rerun to its end; the seconds that it took.

    Raises:
        TimeoutError: it did not end within so many seconds.
    """
    begun = time.perf_counter()
    async with asyncio.timeout(within):
        await client.send(REQUEST)
        message = ForwardMsg()
        while not message.HasField("script_finished"):
            data = await client.socket.recv()
            assert isinstance(data, bytes)
            message.ParseFromString(data)
    assert message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY, message
    return time.perf_counter() - begun


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.crowd")
