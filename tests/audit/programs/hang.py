"""Runs a log on a disk that stops to answer and comes back. Prints what visitors and the loop notice, as JSON."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from gateway.audit import Durability, Ledger, LedgerOptions, opened, stamp
from gateway.errors import AuditUnavailable
from tests.audit.samples import exchange


def event(request_id: str):
    return opened(exchange(request_id=request_id), stamp())


async def refusal(ledger: Ledger, request_id: str) -> tuple[str | None, float]:
    began = time.monotonic()
    try:
        await ledger.append(event(request_id), Durability.BEFORE).durable()
    except AuditUnavailable as error:
        return error.cause, time.monotonic() - began
    return None, time.monotonic() - began


async def heartbeat(gaps: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        gaps.append(time.monotonic() - before)


async def main(directory: Path, trigger: Path) -> None:
    options = LedgerOptions(ack_timeout=0.5, probe_interval=0.1)
    ledger = Ledger.open(directory, origin="o", options=options)
    gaps: list[float] = []
    beat = asyncio.create_task(heartbeat(gaps))
    found: dict[str, object] = {"before": await refusal(ledger, "before")}
    trigger.touch()
    found["during"] = await asyncio.gather(*(refusal(ledger, f"during-{n}") for n in range(20)))
    found["after the first"] = await refusal(ledger, "refused")
    found["state"] = [ledger.health.state, ledger.health.cause]
    trigger.unlink()
    deadline = time.monotonic() + 10
    while ledger.health.state != "writing" and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    found["again"] = await refusal(ledger, "again")
    beat.cancel()
    found["longest gap"] = max(gaps)
    if "close-hung" in sys.argv:
        trigger.touch()
        ledger.append(event("never"), Durability.ASYNC)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        ledger.close()
        found["close"] = time.monotonic() - began
        trigger.unlink()
    else:
        ledger.close()
    os.write(1, json.dumps(found).encode())


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
