"""The run itself: both sides started once, then measured in rounds, one after the other in changing order."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import http_load, reruns
from benchmarks.report import Comparison, Round, compare
from benchmarks.sides import Conditions, Side, bare, gateway

STEPS = 3  # measurements of a side in a round
Tick = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to measure. `self_check` compares bare with bare, `own_loader` leaves wrk aside although it is there."""

    rounds: int = 7
    seconds: float = 4.0
    self_check: bool = False
    own_loader: bool = False
    httptools: bool = False
    collection: bool = True

    @property
    def steps(self) -> int:
        """How often `run` tells of its progress."""
        return self.rounds * 2 * STEPS + 2

    def conditions(self, home: Path) -> Conditions:
        return Conditions(home, httptools=self.httptools, collection=self.collection)


@dataclass(frozen=True)
class Outcome:
    """The names of the two sides, the comparison of each metric, and the loader that made the HTTP load."""

    names: tuple[str, str]
    comparisons: tuple[Comparison, ...]
    loader: str


def run(options: Options, directory: Path, tick: Tick) -> Outcome:
    """Measure both sides. The directory becomes their home, with the record in it; `tick` hears of each step.

    Raises:
        http_load.LoadError: a server answered something else than 200.
        AssertionError: a server did not start, or the script failed.
    """
    conditions = options.conditions(directory)
    other = bare(conditions, "bare again") if options.self_check else gateway(conditions)
    with _both(bare(conditions), other) as sides:
        for side in sides:
            tick(f"{side.name}: warming up")
            _load_health(side, 1.0, options)
            reruns.measure(side.visitor, 4, 1.0)
        measured: dict[str, list[Round]] = {side.name: [] for side in sides}
        for number in range(options.rounds):
            # The order changes with each round, so that neither side always has the warmer machine.
            for side in sides if number % 2 == 0 else reversed(sides):
                measured[side.name].append(_measure(side, options, tick))
    names = (sides[0].name, sides[1].name)
    loader = "own loader" if options.own_loader else http_load.installed()
    return Outcome(names, compare(measured[names[0]], measured[names[1]]), loader)


@contextmanager
def _both(one: AbstractContextManager[Side], other: AbstractContextManager[Side]) -> Iterator[tuple[Side, Side]]:
    with one as first, other as second:
        yield first, second


def _measure(side: Side, options: Options, tick: Tick) -> Round:
    tick(f"{side.name}: health route")
    begun = side.processor_time()
    health = _load_health(side, options.seconds, options)
    after_health = side.processor_time()
    tick(f"{side.name}: reruns of one client")
    one = reruns.measure(side.visitor, 1, options.seconds)
    after_one = side.processor_time()
    tick(f"{side.name}: reruns of four clients")
    four = reruns.measure(side.visitor, 4, options.seconds)
    return {
        "http_per_second": health.per_second,
        "http_p50": health.p50,
        "http_p99": health.p99,
        "processor_per_request": (after_health - begun) * 1e6 / health.answers,
        "rerun_p50": one.p50,
        "rerun_p99": one.p99,
        "reruns_per_second": four.per_second,
        "processor_per_rerun": (after_one - after_health) * 1e3 / (one.runs + reruns.WARM_UP),
        "peak_memory": side.peak_memory(),
    }


def _load_health(side: Side, seconds: float, options: Options) -> http_load.HttpLoad:
    cookie = "; ".join(f"{name}={value}" for name, value in side.visitor.cookies.items())
    return http_load.load(f"{side.visitor.url}/_stcore/health", seconds, cookie, own=options.own_loader)
