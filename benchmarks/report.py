"""Figures of all rounds, their medians and ratios, and how they are shown and kept."""

import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from gateway import __version__

PARTS = ("streamlit", "starlette", "uvicorn", "uvloop", "h11", "websockets", "msgspec", "cryptography")


@dataclass(frozen=True)
class Metric:
    """One thing that is measured on both sides. A ratio of 1 is as good as bare, less is worse."""

    key: str
    title: str
    unit: str
    more_is_better: bool
    aim: float | None = None

    def ratio(self, bare: float, other: float) -> float:
        return other / bare if self.more_is_better else bare / other


METRICS: tuple[Metric, ...] = (
    Metric("http_per_second", "health route, 32 connections", "requests/s", True, 0.60),
    Metric("http_p50", "health route, median", "ms", False),
    Metric("http_p99", "health route, 99th percentile", "ms", False),
    Metric("processor_per_request", "processor time a request", "µs", False),
    Metric("rerun_p50", "rerun, 1 client, median", "ms", False, 0.97),
    Metric("rerun_p99", "rerun, 1 client, 99th percentile", "ms", False),
    Metric("reruns_per_second", "reruns, 4 clients", "runs/s", True, 0.97),
    Metric("processor_per_rerun", "processor time a rerun, 1 client", "ms", False),
    Metric("peak_memory", "peak memory", "MB", False),
)

Round = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """One metric over all rounds. Ratios are taken within a round, where both sides met the same machine."""

    metric: Metric
    bare: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(self.metric.ratio(*pair) for pair in zip(self.bare, self.other, strict=True))

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None when there is none."""
        return None if self.metric.aim is None else self.ratio >= self.metric.aim


def compare(bare: Sequence[Round], other: Sequence[Round]) -> tuple[Comparison, ...]:
    """Every metric over the rounds of both sides, in the same order."""
    return tuple(
        Comparison(metric, tuple(each[metric.key] for each in bare), tuple(each[metric.key] for each in other))
        for metric in METRICS
    )


def table(names: tuple[str, str], comparisons: Sequence[Comparison], title: str) -> Table:
    """The comparison for people: medians with the least and the greatest of the rounds."""
    shown = Table(title=title, caption="median (least to greatest of the rounds); a ratio below 1 is slower than bare")
    for column in ("", names[0], names[1], "ratio", "aim"):
        shown.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for each in comparisons:
        aim = "" if each.metric.aim is None else f"{each.metric.aim:.2f} {'reached' if each.reached else 'missed'}"
        style = {True: "green", False: "red", None: None}[each.reached]
        shown.add_row(
            f"{each.metric.title} [dim]{each.metric.unit}[/]",
            _spread(each.bare),
            _spread(each.other),
            f"{each.ratio:.3f} ({min(each.ratios):.2f} to {max(each.ratios):.2f})",
            aim,
            style=style,
        )
    return shown


def _spread(values: Sequence[float]) -> str:
    digits = 0 if statistics.median(values) >= 1000 else 2 if statistics.median(values) < 100 else 1
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def as_json(
    names: tuple[str, str], comparisons: Sequence[Comparison], options: Mapping[str, object], state: Path
) -> dict[str, object]:
    """The comparison for machines, with what a reader needs to judge it: machine, versions, options, every round."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": dict(options),
        "machine": machine(state),
        "versions": {"streamlit-gateway": __version__, "python": platform.python_version()}
        | {part: version(part) for part in PARTS},
        "metrics": {
            each.metric.key: {
                "title": each.metric.title,
                "unit": each.metric.unit,
                names[0]: list(each.bare),
                names[1]: list(each.other),
                "ratios": list(each.ratios),
                "ratio": each.ratio,
                "aim": each.metric.aim,
                "reached": each.reached,
            }
            for each in comparisons
        },
    }


def machine(state: Path) -> dict[str, object]:
    """What the figures depend on beside the code: processor, load, and how fast the disk of the record is."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "platform": platform.platform(),
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "load_average": os.getloadavg(),
        "sync_ms": sync_time(state),
    }


def sync_time(directory: Path, times: int = 50) -> float:
    """How long one fdatasync of a small append takes on the disk of a directory; the median, in milliseconds."""
    path = directory / "sync-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    spent: list[float] = []
    try:
        for _ in range(times):
            begun = time.perf_counter()
            os.write(descriptor, b"x" * 1024)
            os.fdatasync(descriptor)
            spent.append((time.perf_counter() - begun) * 1e3)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(spent)
