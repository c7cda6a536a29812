"""`python -m benchmarks.first_load`: how long a new visitor waits, bare Streamlit beside the gateway, in one run.

A Chromium with an empty cache opens a page that says one sentence, over a network that is throttled in the browser.
The two sides take turns, so that both meet the same machine.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser, CDPSession, sync_playwright
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.report import machine
from benchmarks.sides import PROGRAM, RESULTS, baked, busy_policies
from tests.browser.conftest import QUIET
from tests.support.processes import Running, free_port, running, streamlit_command

SENTENCE = "The script has run, and this is what it says."
SCRIPT = f"import streamlit as st\n\nst.write({SENTENCE!r})\n"
# When the sentence has a box on the page, the browser is asked for the time of the frame that shows it.
WATCH = f"""
new MutationObserver((_, watching) => {{
  const walk = document.createTreeWalker(document.body || document, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {{
    if (walk.currentNode.data.includes({json.dumps(SENTENCE)}) && walk.currentNode.parentElement.offsetHeight > 0) {{
      watching.disconnect();
      requestAnimationFrame(() => {{ window.textVisible = performance.now(); }});
      return;
    }}
  }}
}}).observe(document, {{ childList: true, subtree: true, characterData: true, attributes: true }});
"""


@dataclass(frozen=True)
class Network:
    """What the browser pretends: megabits a second (0: as fast as it goes) and milliseconds to the first byte."""

    name: str
    megabits: float
    latency: float


NETWORKS = (
    Network("10 Mbit/s, 40 ms", 10, 40),
    Network("1.6 Mbit/s, 150 ms", 1.6, 150),
    Network("unthrottled", 0, 0),
)


@dataclass(frozen=True)
class Side:
    """A running server, and the content codings that the browser offers it (None: its own)."""

    name: str
    url: str
    server: Running
    codings: Sequence[str] | None = None


@dataclass(frozen=True)
class Load:
    """One cold load. Bytes are those of answers, heads included, as the browser counts them. Times in seconds."""

    transferred: float
    scripts: float
    requests: float
    visible: float
    painted: float
    processor: float


@dataclass
class _Tally:
    transferred: float = 0
    scripts: float = 0
    requests: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def watch(self, session: CDPSession) -> None:
        session.on("Network.responseReceived", lambda event: self.kinds.update({event["requestId"]: event["type"]}))
        session.on("Network.loadingFinished", self._finished)

    def _finished(self, event: dict[str, object]) -> None:
        size = float(str(event["encodedDataLength"]))
        self.requests += 1
        self.transferred += size
        if self.kinds.get(str(event["requestId"])) == "Script":
            self.scripts += size


def processor_time(pid: int) -> float:
    """Seconds that all threads of a process have used, the ended ones too (its clock, clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


class Stalls:
    """Loads that the browser has not finished, by side. They are repeated, and told.

    On a busy machine Chromium's own throttle stops now and then for good: the server has sent everything, and what it
    sent lies unread in the browser's sockets (seen with `ss`, one load of fifty).
    """

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def load(self, browser: Browser, side: Side, network: Network) -> Load:
        """One load that was finished."""
        for _ in range(5):
            try:
                return load(browser, side, network)
            except TimeoutError:
                self.seen[side.name] = self.seen.get(side.name, 0) + 1
        raise TimeoutError(f"{side.name}: the page does not show its sentence")


def load(browser: Browser, side: Side, network: Network) -> Load:
    """Open the page once with an empty cache. Raises TimeoutError when it does not show its sentence."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.add_init_script(WATCH)
        session, tally = context.new_cdp_session(page), _Tally()
        session.send("Network.enable")
        tally.watch(session)
        if side.codings is not None:
            headers = {"Accept-Encoding": ", ".join(side.codings)}
            session.send("Network.setExtraHTTPHeaders", {"headers": headers})
        rate = network.megabits * 1e6 / 8 or -1
        conditions = {
            "offline": False,
            "latency": network.latency,
            "downloadThroughput": rate,
            "uploadThroughput": rate,
        }
        session.send("Network.emulateNetworkConditions", conditions)
        begun = processor_time(side.server.pid)
        page.goto(side.url, wait_until="commit")
        _wait_for(lambda: page.evaluate("!!window.textVisible && document.fonts.status === 'loaded'"))
        page.wait_for_load_state("networkidle", timeout=120_000)
        visible = page.evaluate("window.textVisible") / 1e3
        painted = page.evaluate(_LAST_PAINT) / 1e3
        return Load(
            tally.transferred,
            tally.scripts,
            tally.requests,
            visible,
            max(visible, painted),
            processor_time(side.server.pid) - begun,
        )
    finally:
        context.close()


def _wait_for(ready: Callable[[], bool]) -> None:
    # Not `wait_for_function`, which compiles code in the page: the content-security policy forbids that.
    deadline = time.monotonic() + 40
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError("the page did not show its sentence")
        time.sleep(0.05)


# The largest text that was painted so far: while a font is on its way, text has a place and is not painted.
_LAST_PAINT = """() => new Promise(resolve => {
  new PerformanceObserver(list => resolve(list.getEntries().at(-1).startTime))
    .observe({ type: 'largest-contentful-paint', buffered: true });
  setTimeout(() => resolve(0), 2000);
})"""


@contextmanager
def sides(home: Path, packs: Path) -> Iterator[tuple[Side, ...]]:
    """Both servers, with a page of one sentence."""
    script = home / "hello.py"
    script.write_text(SCRIPT)
    with ExitStack() as stack:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = ["benchmarks.bare" if part == "streamlit" else part for part in streamlit_command(script, port)]
        environ = {"HOME": str(home)}
        bare = stack.enter_context(running(command, ready_url=f"{url}/_stcore/health", env=environ))
        bare_url, port = url, free_port()
        url = f"http://127.0.0.1:{port}"
        command = [PROGRAM, "serve", script, "--policies", busy_policies(home / "policies"), "--port", str(port)]
        environ |= {"GATEWAY_STATE_DIR": str(home / "state"), "GATEWAY_ASSETS__DIR": str(packs)}
        gateway = stack.enter_context(running(command, ready_url=f"{url}/_stcore/health", env=environ))
        yield (
            Side("bare", bare_url, bare),
            Side("gateway", url, gateway),
            Side("gateway, gzip only", url, gateway, ("gzip",)),
        )


# --- what came of it ----------------------------------------------------------------------------------------------

FIGURES: tuple[tuple[str, str, float, int, float | None], ...] = (
    # field, title, divided by, digits, aim on the first network
    ("transferred", "bytes, kB", 1e3, 0, 0.38),
    ("scripts", "of them scripts, kB", 1e3, 0, None),
    ("requests", "requests", 1, 0, None),
    ("visible", "text is there, s", 1, 2, 0.55),
    ("painted", "text is painted in its font, s", 1, 2, None),
    ("processor", "processor time of the server, s", 1, 3, 1.0),
)


def ratio(figure: str, bare: Sequence[Load], other: Sequence[Load]) -> float:
    """The median of the rounds' ratios to bare; less is better."""
    return statistics.median(
        getattr(theirs, figure) / getattr(ours, figure) for ours, theirs in zip(bare, other, strict=True)
    )


def table(network: Network, loads: dict[str, list[Load]]) -> Table:
    """All figures on one network: median, least and greatest, and the ratio to bare."""
    shown = Table(title=network.name, caption="median (least to greatest); a ratio below 1 is better than bare")
    for name in ("", *loads):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    for figure, title, unit, digits, aim in FIGURES:
        cells = []
        for name, of_side in loads.items():
            values = [getattr(each, figure) / unit for each in of_side]
            text = f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
            cells.append(text if name == "bare" else f"{text}  {ratio(figure, loads['bare'], of_side):.2f}")
        shown.add_row(title + (f" [dim](aim {aim:.2f})[/]" if aim and network is NETWORKS[0] else ""), *cells)
    return shown


def missed(loads: dict[str, list[Load]]) -> list[str]:
    """The aims that the gateway misses on the first network."""
    return [
        title
        for figure, title, _, _, aim in FIGURES
        if aim is not None and ratio(figure, loads["bare"], loads["gateway"]) > aim
    ]


def measure(rounds: int, stalls: Stalls, tick: Callable[[str], None]) -> dict[str, dict[str, list[Load]]]:
    """Every network, every round, every side, after one load of each that does not count."""
    packs = baked(RESULTS / ".packs")
    with (
        tempfile.TemporaryDirectory(prefix=".first-load-", dir=RESULTS) as home,
        sides(Path(home), packs) as both,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        for side in both:
            tick(f"{side.name}: warming up")
            stalls.load(browser, side, NETWORKS[-1])
        found: dict[str, dict[str, list[Load]]] = {}
        for network in NETWORKS:
            found[network.name] = {side.name: [] for side in both}
            for number in range(rounds):
                for side in both if number % 2 == 0 else reversed(both):
                    tick(f"{network.name}: {side.name}")
                    found[network.name][side.name].append(stalls.load(browser, side, network))
        browser.close()
    return found


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Cold loads of each side on each network.")] = 7,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when an aim is missed.")] = False,
) -> None:
    """Measure the first load in Chromium, bare Streamlit beside the gateway. Also written to benchmarks/results/.

    For example:

    make bench-first-load

    python -m benchmarks.first_load --rounds 5
    """
    RESULTS.mkdir(exist_ok=True)
    stalls = Stalls()
    columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting both sides", total=3 + rounds * len(NETWORKS) * 3)
        found = measure(rounds, stalls, lambda text: progress.update(task, description=text, advance=1))
    console = Console(width=None if sys.stdout.isatty() else 140)
    for network in NETWORKS:
        console.print(table(network, found[network.name]))
    if stalls.seen:
        console.print(f"loads that Chromium did not finish, and that were repeated: {stalls.seen}", markup=False)
    path = RESULTS / f"first-load-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    loads = {
        name: {side: [asdict(each) for each in of_side] for side, of_side in on.items()} for name, on in found.items()
    }
    path.write_text(
        json.dumps({"rounds": rounds, "machine": machine(RESULTS), "stalls": stalls.seen, "loads": loads}, indent=2)
        + "\n"
    )
    console.print(f"written to {os.path.relpath(path)}", soft_wrap=True)
    if strict and (names := missed(found[NETWORKS[0].name])):
        console.print(f"aims missed: {', '.join(names)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m benchmarks.first_load")
