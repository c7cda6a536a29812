"""`python -m benchmarks.probe URL`: how long the health route takes, asked over a connection of its own by a process of
its own. Prints one line of JSON.

Asked every `INTERVAL` seconds, but never twice at once. An answer that takes a second leaves out those who would have
asked meanwhile, and waited, too: they are counted with what was left of the second (as HdrHistogram corrects for what
Gil Tene calls coordinated omission), or the percentiles would hide just what they are for.
"""

import http.client
import json
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import typer

from benchmarks.http_load import percentile

INTERVAL = 0.05


@dataclass(frozen=True)
class Health:
    """Times to an answer in milliseconds. `complete` is False when the last one did not come: it took longer."""

    p50: float
    p99: float
    longest: float
    asked: int
    complete: bool


def main(url: str, seconds: float = 20.0, patience: float = 60.0, cookie: str = "") -> None:
    """Ask for some seconds; wait for the last answer no longer than `patience` seconds."""
    times, complete = _ask(url, seconds, patience, cookie)
    typer.echo(json.dumps(asdict(summary(times, complete=complete))))


def summary(times: list[float], *, complete: bool) -> Health:
    """The figures of answers that took so many seconds, and of those who could not ask meanwhile."""
    ordered = sorted(waited * 1e3 for each in times for waited in everybody(each))
    return Health(percentile(ordered, 50), percentile(ordered, 99), ordered[-1], len(times), complete)


def everybody(waited: float) -> list[float]:
    """Who waited when one did: that one, and one more for each interval that was left."""
    others = int(waited / INTERVAL - 1e-9)
    return [waited - count * INTERVAL for count in range(others + 1)]


def _ask(url: str, seconds: float, patience: float, cookie: str) -> tuple[list[float], bool]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    end = time.perf_counter() + seconds
    times: list[float] = []
    while (begun := time.perf_counter()) < end:
        try:
            connection.request("GET", parts.path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            answer.read()
        except TimeoutError:
            return [*times, time.perf_counter() - begun], False
        assert answer.status == 200, answer.status
        times.append(time.perf_counter() - begun)
        time.sleep(max(0.0, begun + INTERVAL - time.perf_counter()))
    return times, True


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.probe")
