"""How shipping goes: numbers for people, for a log, and for a monitoring system."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_METRICS: Final = (
    ("sent_total", "counter", "Events confirmed by the receiver, without copies sent once more."),
    ("resent_total", "counter", "Events sent once more, to be sure."),
    ("rejected_total", "counter", "Events that the receiver did not want (OTLP partial success)."),
    ("failures_total", "counter", "Attempts that were not confirmed."),
    ("behind_events", "gauge", "Events in the record that are not confirmed yet."),
    ("behind_seconds", "gauge", "Age of the oldest of them; 0 when there is none."),
    ("confirmed_timestamp_seconds", "gauge", "When the receiver last confirmed something."),
)


@dataclass
class Status:
    """Counters since the start; `behind` and `lag` (seconds) are of now, over all logs."""

    sink: str
    name: str
    sent: int = 0
    resent: int = 0
    rejected: int = 0
    failures: int = 0
    behind: int = 0
    lag: float = 0.0
    confirmed: float = 0.0
    error: str | None = None
    waiting: float = 0.0
    started: float = field(default_factory=time.time)

    @property
    def facts(self) -> dict[str, object]:
        """Everything, by stable names."""
        return {
            "sink": self.sink,
            "name": self.name,
            "sent": self.sent,
            "resent": self.resent,
            "rejected": self.rejected,
            "failures": self.failures,
            "behind_events": self.behind,
            "behind_seconds": round(self.lag, 3),
            "confirmed": round(self.confirmed, 3) or None,
            "error": self.error,
            "retry_in": round(self.waiting, 1) if self.error else None,
        }

    @property
    def sentence(self) -> str:
        """All that a person needs, on one line."""
        parts = [f"{self.sent} sent", f"{self.behind} behind"]
        if self.behind:
            parts.append(f"oldest {self.lag:.0f} s old")
        if self.resent:
            parts.append(f"{self.resent} sent once more")
        if self.rejected:
            parts.append(f"{self.rejected} rejected")
        if self.error:
            parts.append(f"{self.error}; again in {self.waiting:.0f} s")
        return ", ".join(parts)

    @property
    def metrics(self) -> str:
        """The text format of Prometheus, for node_exporter's textfile collector."""
        values = (self.sent, self.resent, self.rejected, self.failures, self.behind, self.lag, self.confirmed)
        label = self.sink.replace("\\", r"\\").replace('"', r"\"")
        lines = []
        for (name, kind, about), value in zip(_METRICS, values, strict=True):
            full = f"gateway_ship_{name}"
            lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}", f'{full}{{sink="{label}"}} {value}']
        return "\n".join(lines) + "\n"


def write_metrics(path: Path, status: Status) -> None:
    """The metrics in a file, complete at any moment.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(status.metrics)
    temporary.rename(path)
