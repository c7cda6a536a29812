"""HTTP load: as many requests as a server answers on 32 connections that stay open.

wrk makes the load when it is installed, since it costs little of the machine that it measures; else a small loader on
asyncio protocols, which is slower but reads answers just as strictly. Both sides of a run are loaded by the same one.
"""

import asyncio
import math
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONNECTIONS = 32
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}  # wrk's units, in milliseconds


@dataclass(frozen=True)
class HttpLoad:
    """What came of a load: answers a second, and the time to an answer in milliseconds."""

    answers: int
    per_second: float
    p50: float
    p99: float


class LoadError(Exception):
    """The load met an answer that is not 200, or a connection that broke: its figures would mean nothing."""


def installed() -> str:
    """The name of the loader that `load` uses on this machine unless it is told otherwise."""
    return "wrk" if shutil.which("wrk") else "own loader"


def load(url: str, seconds: float, cookie: str = "", *, own: bool = False) -> HttpLoad:
    """Load a URL for some seconds.

    Raises:
        LoadError: not every answer was a 200.
    """
    wrk = None if own else shutil.which("wrk")
    return _with_wrk(wrk, url, seconds, cookie) if wrk else asyncio.run(_with_protocols(url, seconds, cookie))


def _with_wrk(wrk: str, url: str, seconds: float, cookie: str) -> HttpLoad:
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s", "--latency", "--timeout", "30s"]
    headers = ["-H", f"Cookie: {cookie}"] if cookie else []
    done = subprocess.run([*command, *headers, url], capture_output=True, text=True, check=False)
    return read_wrk(done.stdout + done.stderr)


def read_wrk(output: str) -> HttpLoad:
    """The figures in what wrk printed.

    Raises:
        LoadError: it counted errors, or printed no figures.
    """
    if re.search(r"Non-2xx|Socket errors|unable to connect", output):
        raise LoadError(output.strip())
    times = {
        rank: float(number) * UNITS[unit]
        for rank, number, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s|m)\b", output)
    }
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    answers = re.search(r"(\d+) requests in", output)
    if rate is None or answers is None or not {"50", "99"} <= times.keys():
        raise LoadError(output.strip())
    return HttpLoad(int(answers[1]), float(rate[1]), times["50"], times["99"])


# --- the loader for machines without wrk ----------------------------------------------------------------------


@dataclass
class _Tally:
    until: float
    times: list[float] = field(default_factory=list)
    error: str | None = None


class _Connection(asyncio.Protocol):
    """One request after the other on one connection, until the time is over."""

    def __init__(self, request: bytes, tally: _Tally) -> None:
        self.request, self.tally = request, tally
        self.received = b""
        self.sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.received += data
        length = answer_length(self.received)
        if length is None or len(self.received) < length:
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            self.tally.error = self.received[:200].decode(errors="replace")
            self.transport.abort()
            return
        self.tally.times.append((time.perf_counter() - self.sent_at) * 1e3)
        self.received = b""
        if time.perf_counter() < self.tally.until:
            self._ask()
        else:
            self.done.set_result(None)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.tally.error = self.tally.error or f"connection lost: {exc}"
            self.done.set_result(None)

    def _ask(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)


def answer_length(received: bytes) -> int | None:
    """How many bytes the answer that begins here has; None while its head is not complete. A body has a length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = re.search(rb"\r\ncontent-length:[ \t]*(\d+)", received[: end + 2], re.IGNORECASE)
    return end + 4 + (int(found[1]) if found else 0)


async def _with_protocols(url: str, seconds: float, cookie: str) -> HttpLoad:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    host, port = parts.hostname, parts.port
    extra = f"Cookie: {cookie}\r\n" if cookie else ""
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{extra}\r\n".encode()
    begun = time.perf_counter()
    tally = _Tally(begun + seconds)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(request, tally), host, port) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(connection.done for _, connection in opened))
    if tally.error or not tally.times:
        raise LoadError(tally.error or "no answer")
    ordered = sorted(tally.times)
    rate = len(ordered) / (time.perf_counter() - begun)
    return HttpLoad(len(ordered), rate, percentile(ordered, 50), percentile(ordered, 99))


def percentile(ordered: list[float], rank: float) -> float:
    """The value that `rank` percent of the sorted values do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * rank / 100) - 1, 0)]
