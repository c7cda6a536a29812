"""What the governor of script runs sees of the process, and how often the interpreter changes hands."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# The name that Streamlit gives the thread of a script (`ScriptRunner.start`, read in 1.67). The only place that knows
# it; a test runs a real script and looks for it.
THREAD = "ScriptRunner.scriptThread"

# Seconds after which a thread that computes has to let another one have the interpreter, if it waits. Python's own
# value is 5 ms. Two hundred visitors pressing rerun, four scripts at once, two processors, other work on the machine:
# health route 135 ms (median) and 1158 ms (99th percentile) with 5 ms; 49 and 248 ms with 1 ms, and no fewer reruns.
SWITCH = 0.001


_CPUCLOCK_PERTHREAD, _CPUCLOCK_SCHED = 4, 2  # Linux, include/linux/posix-timers_types.h


def switch_often() -> None:
    """Let the event loop have its turn sooner while scripts compute. For the whole process, at its start."""
    sys.setswitchinterval(SWITCH)


def script_threads() -> dict[int, float]:
    """The script threads that are alive, with the processor time that each has used, in seconds.

    Elsewhere than on Linux that is not known, and each seems to compute all the time.
    """
    alive = [thread.native_id for thread in threading.enumerate() if thread.name == THREAD]
    return {number: _processor_time(number) for number in alive if number is not None}


def _processor_time(thread: int) -> float:
    # The clock that glibc's pthread_getcpuclockid gives, by the thread's number: the kernel refuses one that has ended,
    # where the function would follow its stale handle. A file in /proc says the same, but each step of reading it lets
    # go of the interpreter, and with two scripts that compute the loop has it back 10 ms later.
    try:
        return time.clock_gettime(~thread << 3 | _CPUCLOCK_PERTHREAD | _CPUCLOCK_SCHED)
    except (OSError, AttributeError):
        return time.monotonic()


def processors(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """How many processors this process may use: those of its affinity, or fewer by a container's quota (cgroup v2)."""
    own = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        most, period = quota.read_text().split()
        return own if most == "max" else min(own, int(most) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return own


@dataclass(frozen=True, slots=True)
class Machine:
    """The clock (monotonic, in seconds), and the script threads that are alive with their processor times."""

    clock: Callable[[], float] = time.monotonic
    threads: Callable[[], Mapping[int, float]] = script_threads
