"""A visit in steps: what a reviewer would tell of a session, from the events in the order of time.

Requests for a page's parts are counted, not listed; what was refused, what went in or out as a file, and what broke
always has a step of its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec

COLUMNS: Final = (
    *("time", "log", "sequence", "code", "phase", "request", "user", "session", "client", "method", "path", "page"),
    *("surface", "message", "decision", "reason", "status", "close_code", "duration", "bytes_in", "bytes_out", "file"),
    *("file_size", "text", "details"),
)
_SILENT: Final = frozenset({"static", "component", "media", "gateway", "upload", "probe"})
_COUNTED: Final = "requests"
_FACTS: Final = 120  # characters of an event's own facts


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `gap` is in milliseconds since the step before; `count` how many events it stands for.

    `kind` is a stable word: `page`, `requests`, `socket`, `activity`, `file`, `refusal`, `error`, `other`.
    """

    time: datetime
    kind: str
    what: str
    place: str
    request: str | None
    user: str | None
    client: str | None
    gap: int = 0
    count: int = 1


Row = Mapping[str, Any]


def steps(rows: Iterable[Row]) -> list[Step]:
    """The steps of these events, which are in the order of time."""
    found: list[Step] = []
    for step in _each(rows):
        if found and step.kind == found[-1].kind == _COUNTED:
            found[-1] = replace(found[-1], count=found[-1].count + 1)
            continue
        before = found[-1].time if found else step.time
        found.append(replace(step, gap=max(0, round((step.time - before).total_seconds() * 1000))))
    return [_counted(step) if step.kind == _COUNTED else step for step in found]


def _each(rows: Iterable[Row]) -> Iterator[Step]:
    refused: set[str] = set()
    for row in rows:
        told = _told(row, refused)
        if told is not None and isinstance(row["time"], datetime):
            kind, what = told
            place = f"{row['log']}:{row['sequence']}"
            yield Step(row["time"], kind, what, place, row["request"], row["user"], row["client"])


def _told(row: Row, refused: set[str]) -> tuple[str, str] | None:
    """What an event means, in words; None when another one of its exchange says it already."""
    code, phase = str(row["code"]), row["phase"]
    if row["decision"] == "denied" and phase != "outcome":
        refused.add(str(row["request"]))
        return "refusal", f"refused {_target(row)}: {row['reason']}"
    match code:
        case "http.request":
            return _request(row, refused)
        case "ws.open":
            return "socket", "socket opened"
        case "ws.close":
            return None if row["decision"] == "denied" and str(row["request"]) in refused else ("socket", _closed(row))
        case "page.open":
            return "page", f"page {row['page']}"
        case "socket.activity":
            return "activity", _activity(_details(row))
        case "file.upload" | "file.download":
            return "file", f"{'uploaded' if code == 'file.upload' else 'downloaded'} {row['file']}{_size(row)}"
        case "script.error":
            details = _details(row)
            return "error", f"script raised {details.get('exception')} (at {details.get('frames')})"
        case "csp.violation":
            return "error", f"browser: {row['text']}"
        case _:
            return "other", _other(code, row)


def _other(code: str, row: Row) -> str:
    said = f": {row['text']}" if row["text"] not in (None, code) else ""
    facts = ", ".join(f"{name}={value}" for name, value in _details(row).items())
    return f"{code}{said}" + (f" ({facts[:_FACTS]}{'…' if len(facts) > _FACTS else ''})" if facts else "")


def _request(row: Row, refused: set[str]) -> tuple[str, str] | None:
    if row["phase"] == "outcome":
        if str(row["request"]) in refused or (row["decision"] != "denied" and (row["status"] or 0) < 400):
            return None
        kind = "refusal" if row["decision"] == "denied" else "error"
        return kind, f"{_target(row)} ended with {row['status'] or 'no answer'}: {row['reason']}"
    if row["surface"] in _SILENT:
        return _COUNTED, ""
    return "page" if row["surface"] == "page" else "other", f"asked for {_target(row)}"


def _target(row: Row) -> str:
    if row["message"]:
        page = f" on {row['page']}" if row["page"] else ""
        return f"{row['message']}{page}"
    if row["file"]:
        return f"{row['file']}{_size(row)}"
    method = f"{row['method']} " if row["method"] not in (None, "GET") else ""
    return f"{method}{row['page'] or row['path'] or row['code']}"


def _closed(row: Row) -> str:
    ended = "" if row["reason"] == "allowed-by-rule" else f" by us: {row['reason']}"
    code = f", code {row['close_code']}" if row["close_code"] is not None else ""
    return f"socket closed{ended}{code}, {_bytes(row['bytes_out'] or 0)} out, {_bytes(row['bytes_in'] or 0)} in"


def _activity(details: Mapping[str, Any]) -> str:
    parts = [", ".join(str(each) for each in details.get("actions") or ())]
    if more := details.get("more_actions"):
        parts.append(f"and {more} more")
    if runs := details.get("runs"):
        parts.append(f"{runs} runs, the longest {details.get('longest_run_ms', 0)} ms")
    if failed := sum(int(details.get(name) or 0) for name in ("compile_errors", "exceptions_shown")):
        parts.append(f"{failed} errors shown")
    return "; ".join(part for part in parts if part) or "activity"


def _counted(step: Step) -> Step:
    return replace(step, what=f"{step.count} request{'s' if step.count > 1 else ''} for parts of pages and files")


def _details(row: Row) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(row["details"] or "{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _size(row: Row) -> str:
    return f" ({_bytes(row['file_size'])})" if row["file_size"] is not None else ""


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
