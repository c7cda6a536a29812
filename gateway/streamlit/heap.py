"""Keeps Streamlit's garbage collections short.

Streamlit collects all generations after every script run, and holds the interpreter while it does: with the modules of
a real tool loaded, that takes tens of milliseconds in which nobody is served. Objects that live as long as the process
need not be looked at again and again. Measured with benchmarks/app.py: 87 ms of processor time a rerun before, 5 ms
afterwards.
"""

import asyncio
import gc

# Seconds after the first script run begins: by then it has imported what it needs, or nearly.
AFTER_FIRST_RUN = (2.0, 30.0)


def settle() -> None:
    """Collect what is garbage, and take everything else out of later collections. Freed memory is not affected."""
    gc.collect()
    gc.freeze()


class Settling:
    """Settles the heap once the first visitor's script has run. A module it imports then stays for good."""

    def __init__(self) -> None:
        self._begun = False

    def script_runs(self) -> None:
        """To be told of every run; only the first one counts. On the event loop."""
        if not self._begun:
            self._begun = True
            for delay in AFTER_FIRST_RUN:
                asyncio.get_running_loop().call_later(delay, settle)
