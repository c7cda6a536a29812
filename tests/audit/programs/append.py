"""Appends as fast as it can, and prints the id of every event once it is acknowledged. Meant to be killed."""

import asyncio
import os
import sys
from pathlib import Path

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from tests.audit.samples import exchange


async def visitor(ledger: Ledger, name: str) -> None:
    number = 0
    while True:
        request_id = f"{name}-{number}"
        await ledger.append(opened(exchange(request_id=request_id), stamp()), Durability.BEFORE).durable()
        os.write(1, f"{request_id}\n".encode())
        number += 1


async def main(directory: Path, run: str) -> None:
    ledger = Ledger.open(directory, origin="o", options=LedgerOptions(segment_size=1024 * 1024))
    os.write(1, b"ready\n")
    await asyncio.gather(*(visitor(ledger, f"{run}-{n}") for n in range(32)))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
