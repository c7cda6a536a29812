"""`gateway audit verifier`: the stand-alone verifier, to be taken along to another machine."""

import sys
from pathlib import Path

from gateway.audit import verifier as program


def verifier() -> None:
    """Print the stand-alone verifier: one file, Python 3.11 or newer, and the package cryptography.

    It is the code that `gateway audit verify` runs. Read it once, keep it, and verify copies of the record with it
    where the gateway is not installed.

    For example:

    gateway audit verifier > verifier.py

    python verifier.py log copy-of-the-log --key 'tools.example/w0+18d4e562+AQOh…'
    """
    sys.stdout.buffer.write(Path(program.__file__).read_bytes())
