"""What the governor of script runs sees of the process: its script threads, the processor time that it uses."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# The name that Streamlit gives the thread of a script (`ScriptRunner.start`, read in 1.67). The only place that knows
# it; a test runs a real script and looks for it.
THREAD = "ScriptRunner.scriptThread"


def script_threads() -> int:
    """How many script threads are alive in this process."""
    return sum(thread.name == THREAD for thread in threading.enumerate())


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Machine:
    """The clock (monotonic, in seconds), the processor time used so far (in seconds), the script threads alive."""

    clock: Callable[[], float] = time.monotonic
    processor_time: Callable[[], float] = time.process_time
    threads: Callable[[], int] = script_threads
