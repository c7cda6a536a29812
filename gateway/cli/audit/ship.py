"""`gateway audit ship`: the record to another machine, at least once and in order, by a process of its own."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from gateway.audit.command_log import record
from gateway.audit.directory import known
from gateway.audit.shipping.cursor import NAME, Cursor
from gateway.audit.shipping.errors import ShippingError
from gateway.audit.shipping.shipper import Options, Shipper
from gateway.audit.shipping.source import Begin, Checkpoint, beginning
from gateway.audit.shipping.status import Status, write_metrics
from gateway.audit.shipping.stop import Stop
from gateway.audit.shipping.target import Format, SyslogOptions, Target, Trust, parse_target
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, errors, fail, print_error, print_warning, printable
from gateway.errors import GatewayError, LedgerError, Problem, SettingsError

PATIENCE: Final = 60.0
"""Seconds that `--once` waits for a receiver that is not there."""

_INTERVAL: Final = 60.0  # seconds between two lines when nothing has changed
_METRICS_INTERVAL: Final = 1.0


def ship(  # one parameter an option
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Where the record goes, see above.",
            metavar="ADDRESS",
        ),
    ],
    state_dir: Annotated[
        Path | None, typer.Option(help="State directory; default: GATEWAY_STATE_DIR, else .gateway.", metavar="DIR")
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(help="Ship only the log in this directory. May be repeated.", metavar="DIR"),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once/--follow", help="End when all that is recorded now is confirmed, or go on for ever.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the cursor; default: made from the address.", metavar="NAME")
    ] = None,
    begin: Annotated[
        Begin, typer.Option(help="Where a new cursor begins: the first event, the oldest that is left, or now.")
    ] = "first",
    format_: Annotated[
        Format, typer.Option("--format", help="What syslog messages hold: the record's own OCSF, or CEF.")
    ] = "ocsf",
    ca: Annotated[
        Path | None, typer.Option(help="Authority of the receiver's certificate (PEM).", metavar="FILE")
    ] = None,
    client_certificate: Annotated[Path | None, typer.Option(help="Our certificate (PEM).", metavar="FILE")] = None,
    client_key: Annotated[Path | None, typer.Option(help="Its key (PEM), closed to others.", metavar="FILE")] = None,
    header_file: Annotated[
        Path | None,
        typer.Option(help="HTTP headers, `Name: value` a line, such as a token; closed to others.", metavar="FILE"),
    ] = None,
    batch: Annotated[int, typer.Option(help="Most events at once.", min=1, max=100_000)] = 1000,
    batch_bytes: Annotated[int, typer.Option(help="About so many bytes at once.", min=1024, max=64 * 1024**2)] = 1024
    * 1024,
    overlap: Annotated[
        float,
        typer.Option(
            help="Syslog: seconds to send again when a receiver has gone away without a word.", min=0, max=3600
        ),
    ] = 60.0,
    trust_any_end: Annotated[
        bool,
        typer.Option(
            "--trust-any-end",
            help="Syslog: take a bare end of the connection for a confirmation; somebody in between can forge it.",
        ),
    ] = False,
    max_message: Annotated[
        int,
        typer.Option(help="Syslog: bytes of the longest message; a longer event is shortened.", min=2048, max=65536),
    ] = 8192,
    max_wait: Annotated[
        float, typer.Option(help="Longest pause between two attempts, in seconds.", min=1, max=3600)
    ] = 60.0,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Keep a file of metrics for node_exporter's textfile collector.", metavar="FILE"),
    ] = None,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="Do not record that it is shipped: for a copy of a record.")
    ] = False,
) -> None:
    """Send the record to a receiver: every acknowledged event at least once, in the order of its log.

    Receivers: otlp+https://host/v1/logs and otlp+http://… for OTLP/HTTP, syslog+tls://host:6514 for RFC 5424 over TLS,
    syslog+tcp-insecure://… for the same in the clear, drop:/directory for sealed segments, stdout for one event a line.

    How far the receiver has confirmed is kept beside the log, so a restart goes on where the last one ended.

    For example:

    gateway audit ship --to syslog+tls://logs.example:6514 --ca /etc/gateway/logs-ca.pem

    gateway audit ship --to otlp+https://collector.example/v1/logs --header-file /run/secrets/otlp-headers

    gateway audit ship --to drop:/mnt/archive --once
    """
    try:
        target = parse_target(to, Trust(ca, client_certificate, client_key), header_file)
        cursor_name = _checked_name(name or target.name)
    except SettingsError as error:
        fail(error)
    options = Options(
        once=once,
        sealed=target.kind == "drop",
        batch=batch,
        batch_bytes=batch_bytes,
        longest_wait=max_wait,
        give_up=PATIENCE if once else None,
    )
    state = state_dir or Path(os.environ.get("GATEWAY_STATE_DIR", ".gateway"))
    find = _finder(state, log)
    if not unrecorded:
        _record(_state_of(log[0]) if log else state, target, cursor_name)
    status = Status(target.label, cursor_name)
    sink = target.sink(SyslogOptions(format_, overlap, max_message, trust_any_end))
    stop = Stop()
    stop.listen()
    with _Reporter(metrics) as report:
        shipper = Shipper(find, sink, _opener(target, cursor_name, begin), options, status, stop, report)
        _run(shipper, status, once=once)


def _run(shipper: Shipper, status: Status, *, once: bool) -> None:
    try:
        shipper.run()
    except ShippingError as error:
        print_error(str(error), error.hint)
        raise typer.Exit(EXIT_FINDING) from None
    except OSError as error:
        print_error(f"{error.filename or 'the record'}: {(error.strerror or str(error)).lower()}")
        raise typer.Exit(EXIT_FINDING) from None
    except GatewayError as error:
        fail(error)
    if status.rejected:
        print_warning(
            f"{status.rejected} events were rejected by the receiver",
            "rejected-*.jsonl in the log's directory has which",
        )
        if once:
            raise typer.Exit(EXIT_FINDING)


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise SettingsError([Problem("--name", f"{name}: not a name", "write a-z, 0-9, dots, dashes, at most 63")])
    return name


def _record(state: Path, target: Target, name: str) -> None:
    """Who sends the record where is in the record."""
    try:
        record(state, "audit.ship", {"sink": target.label, "cursor": name})
    except LedgerError as error:
        fail(error, EXIT_INVALID)


def _state_of(log: Path) -> Path:
    """The state directory that a log is in: <state>/audit/<instance>/<worker>."""
    above = log.resolve().parents
    return above[2] if len(above) > 2 else log


def _finder(state: Path, chosen: list[Path] | None) -> Callable[[], list[Path]]:
    """What lists the logs to ship, each time anew: another process may begin one at any time."""
    if chosen:
        missing = [each for each in chosen if not each.is_dir()]
        if missing:
            fail(
                SettingsError(
                    [Problem("--log", f"{each}: no such directory", "name a log's directory") for each in missing]
                )
            )
        return lambda: chosen
    if not _logs(state):
        print_error(f"{state}: no record there", "name the gateway's state directory with --state-dir")
        raise typer.Exit(EXIT_INVALID)
    told: set[Path] = set()

    def find() -> list[Path]:
        found = []
        for directory in _logs(state):
            if ".damaged-" not in directory.name:
                found.append(directory)
            elif directory not in told:
                told.add(directory)
                print_warning(f"{directory}: set aside as damaged: not shipped", "ship it with --log, or keep a copy")
        return found

    return find


def _logs(state: Path) -> list[Path]:
    return sorted(path for path in (state / "audit").glob("*/*") if known(path))


def _opener(target: Target, name: str, begin: Begin) -> Callable[[Path, Checkpoint], Cursor]:
    def open_cursor(directory: Path, log: Checkpoint) -> Cursor:
        start = partial(beginning, directory, begin, log.size)
        return Cursor.open(directory, name, origin=log.origin, sink=target.label, begin=start)

    return open_cursor


class _Reporter:
    """Tells how it goes, on stderr: one line that changes on a terminal, else JSON lines; and in the metrics file."""

    def __init__(self, metrics: Path | None) -> None:
        self._metrics = metrics
        self._metrics_due = 0.0
        self._due = 0.0
        self._error: str | None = None
        self._last: Status | None = None
        self._live = errors.status("starting") if sys.stderr.isatty() else None

    def __enter__(self) -> "_Reporter":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._last is not None:
            self._write_metrics(self._last)
            self._line(self._last)

    def __call__(self, status: Status) -> None:
        self._last = status
        now = time.monotonic()
        if now >= self._metrics_due:
            self._metrics_due = now + _METRICS_INTERVAL
            self._write_metrics(status)
        if self._live is not None:
            self._live.update(printable(status.sentence))
        elif status.error != self._error or now >= self._due:
            self._error, self._due = status.error, now + _INTERVAL
            self._line(status)

    def _line(self, status: Status) -> None:
        if self._live is not None:
            errors.print(printable(status.sentence), markup=False, soft_wrap=True)
        else:
            sys.stderr.write(msgspec.json.encode({"ship": status.facts}).decode() + "\n")
            sys.stderr.flush()

    def _write_metrics(self, status: Status) -> None:
        if self._metrics is None:
            return
        try:
            write_metrics(self._metrics, status)
        except OSError as error:
            # The record goes on its way all the same: a monitoring system misses a file that gets old.
            cause = (error.strerror or "unknown error").lower()
            print_warning(f"{self._metrics}: the metrics cannot be written: {cause}", "shipping goes on without them")
            self._metrics = None
