"""`gateway audit tail`: the record, one readable line an event, while the gateway writes it."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from gateway.audit.encode import one_line
from gateway.audit.reader import Cursor, Line, last, logs, merge
from gateway.cli.terminal import EXIT_INVALID, console, print_error, printable

POLL: Final = 0.25  # seconds between two looks for new events

_DECISIONS: Final = {
    1: ("allowed", "green"),
    2: ("denied", "red"),
    3: ("observed", "cyan"),
    4: ("modified", "yellow"),
}
_DENIED: Final = 2
_HEARTBEAT: Final = "audit.heartbeat"
_NO_ACTION: Final = ("-", "dim")
_FAILED: Final = ("failed", "bold red")


def tail(
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many events to begin with.", min=0)] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on and print events as they are recorded.")
    ] = False,
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events as they are recorded, one JSON a line.")
    ] = False,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was denied.")] = False,
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this event code, such as ws.open; `audit.*` for all of a kind. May be repeated.", metavar="CODE"
        ),
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Only what belongs to this request.", metavar="ID")] = None,
) -> None:
    """Print the last events of the record, oldest first: of every process that writes below the state directory.

    The heartbeats of a record in which nothing happens are left out, unless --event asks for them.

    For example:

    gateway audit tail --denied -n 50

    gateway audit tail -f --event ws.open --event ws.close
    """
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    wanted = Filter(denied=denied, codes=tuple(event or ()), request_id=request_id)
    directories = _directories(state, follow=follow)
    # The cursors first: what is recorded while we read the past is printed by them, not lost between the two.
    cursors = {directory: Cursor.at_end(directory) for directory in directories}
    show = _show_json if as_json else _show
    for line in _last(directories, wanted, lines):
        show(line)
    if follow:
        _follow(state, cursors, wanted, show)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are asked for."""

    denied: bool = False
    codes: tuple[str, ...] = ()
    request_id: str | None = None

    def __call__(self, line: Line) -> bool:
        """Whether this one is."""
        metadata = _dict(line.event, "metadata")
        if self.denied and line.event.get("action_id") != _DENIED:
            return False
        if self.request_id is not None and metadata.get("correlation_uid") != self.request_id:
            return False
        code = str(metadata.get("event_code"))
        return any(_matches(each, code) for each in self.codes) if self.codes else code != _HEARTBEAT


def summary(event: dict[str, Any]) -> Text:
    """One line about an event: time, decision, code, who and from where, what for, and what came of it.

    Everything in it is plain text: control characters of the record are written out, and nothing is markup.
    """
    gateway = _dict(event, "unmapped", "gateway")
    decision, style = _DECISIONS.get(event.get("action_id", 0), _FAILED if event.get("status_id") == 2 else _NO_ACTION)
    metadata = _dict(event, "metadata")
    parts = [
        (_time(event), "dim"),
        (f"{decision:8}", style),
        (f"{_text(metadata.get('event_code')):12}", "bold"),
        (f"{_text(gateway.get('phase')):8}", "dim"),
        *((text, "") for text in (_who(event), _what(event), _came_of_it(event, gateway)) if text),
        (_text(metadata.get("correlation_uid")), "dim"),
    ]
    return Text("  ").join(Text(printable(text), style=style) for text, style in parts if text)


def _directories(state: Path, *, follow: bool) -> list[Path]:
    found = logs(state)
    if not found and not follow:
        print_error(f"{state}: no record there", "name the gateway's state directory with --state-dir")
        raise typer.Exit(EXIT_INVALID)
    return found


def _last(directories: Iterable[Path], wanted: Callable[[Line], bool], count: int) -> list[Line]:
    """The newest of each log, merged; of those, the newest of all."""
    newest = merge(line for each in directories for line in islice(filter(wanted, last(each)), count))
    return newest[len(newest) - count :] if len(newest) > count else newest


def _follow(
    state: Path, cursors: dict[Path, Cursor], wanted: Callable[[Line], bool], show: Callable[[Line], None]
) -> None:
    try:
        while True:
            for directory in logs(state):  # another process may begin its log at any time
                cursors.setdefault(directory, Cursor(directory))
            for line in merge(filter(wanted, _new(cursors.values()))):
                show(line)
            time.sleep(POLL)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _new(cursors: Iterable[Cursor]) -> Iterator[Line]:
    for cursor in cursors:
        yield from cursor.read()


def _show(line: Line) -> None:
    console.print(summary(line.event), soft_wrap=True)


def _show_json(line: Line) -> None:
    # Lines of ours are plain already; one that somebody has put there by hand may not be.
    console.print(Text(one_line(line.raw.decode("utf-8", "replace"))), soft_wrap=True)


def _time(event: dict[str, Any]) -> str:
    try:
        return datetime.fromtimestamp(event["time"] / 1000, UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return _text(event["time"])


def _who(event: dict[str, Any]) -> str:
    source = _dict(event, "src_endpoint")
    address = _text(source.get("ip") or source.get("uid") or source.get("hostname"))
    user = _text(_dict(event, "actor", "user").get("uid"))
    return f"{user}@{address}" if user and address else user or address


def _what(event: dict[str, Any]) -> str:
    request = _dict(event, "http_request")
    url = _dict(request, "url") or _dict(event, "url")
    inputs = _dict(event, "unmapped", "gateway", "inputs")
    page = _dict(event, "unmapped", "gateway").get("page")
    method = request.get("http_method") or (event.get("activity_name") if request else None)
    parts = [method, url.get("path"), inputs.get("message"), page and f"page={_text(page)}"]
    return " ".join(_text(part) for part in parts if part) or _text(event.get("message"))


def _came_of_it(event: dict[str, Any], gateway: dict[str, Any]) -> str:
    response = _dict(event, "http_response")
    latency = response.get("latency", event.get("duration"))
    details = _dict(gateway, "details")
    parts = [
        _text(response.get("code", gateway.get("status"))),
        f"close={_text(gateway['close_code'])}" if "close_code" in gateway else "",
        _text(gateway.get("reason")),
        f"rule={_text(_dict(event, 'firewall_rule').get('uid'))}" if "firewall_rule" in event else "",
        f"rev={_text(_dict(event, 'policy').get('version'))}" if "policy" in event else "",
        f"{_text(latency)}ms" if latency is not None else "",
        *(f"{name}={_text(value)}" for name, value in details.items()),
    ]
    return " ".join(part for part in parts if part)


def _matches(wanted: str, code: str) -> bool:
    return code.startswith(wanted[:-1]) if wanted.endswith("*") else code == wanted


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _dict(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """What stands under these keys, empty if nothing does: the record may hold lines that are not ours."""
    found: Any = value
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
