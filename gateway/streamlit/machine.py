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

_TICKS = 100  # a second, in /proc: USER_HZ, the same on every Linux that Python runs on


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
    # By its number: the clock of a thread that has just ended is undefined by its handle, and here a missing file.
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / _TICKS  # utime and stime


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Machine:
    """The clock (monotonic, in seconds), and the script threads that are alive with their processor times."""

    clock: Callable[[], float] = time.monotonic
    threads: Callable[[], Mapping[int, float]] = script_threads
