"""What the governor of script runs sees of the process, and how often the interpreter changes hands."""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# The name that Streamlit gives the thread of a script (`ScriptRunner.start`, read in 1.67). The only place that knows
# it; a test runs a real script and looks for it.
THREAD = "ScriptRunner.scriptThread"

# Seconds after which a thread that computes has to let another one have the interpreter, if it waits. Python's own
# value is 5 ms. Two hundred visitors pressing rerun, four scripts at once, two processors, other work on the machine:
# health route 135 ms (median) and 1158 ms (99th percentile) with 5 ms; 49 and 248 ms with 1 ms, and no fewer reruns.
SWITCH = 0.001

# Letting go of the interpreter for the first time, in seconds, costs the second on top when somebody else computes in
# Python: seen in 37 of 40 tries with one such thread, in 40 of 40 with two, in 5 with two that multiply matrices in
# numpy, in none with eight that sleep.
LET_GO = 0.0003
CONTENDED = 0.0004


def switch_often() -> None:
    """Let the event loop have its turn sooner while scripts compute. For the whole process, at its start."""
    sys.setswitchinterval(SWITCH)


def script_threads() -> int:
    """How many script threads are alive in this process."""
    return sum(thread.name == THREAD for thread in threading.enumerate())


def interpreter_contended() -> bool:
    """Whether other threads compute in Python now. Takes 0.4 ms; as long as their turn (`SWITCH`) when they do."""
    begun = time.perf_counter()
    time.sleep(LET_GO)
    return time.perf_counter() - begun > LET_GO + CONTENDED


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Machine:
    """The clock (monotonic, in seconds), whether the interpreter is contended, the script threads that are alive."""

    clock: Callable[[], float] = time.monotonic
    contended: Callable[[], bool] = interpreter_contended
    threads: Callable[[], int] = script_threads
