"""The smallest application, recorded in three ways: not at all, by the ledger, and by structlog to a file.

`python -m benchmarks.recorded none|ledger|structlog PORT DIRECTORY h11|httptools`. Each request leaves two events, its
decision and its outcome, with the same facts either way. The ledger's answer waits until the decision is signed and on
the disk (`hold`); structlog's promises nothing.
"""

import itertools
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit import Durability, Ledger, closed, opened, stamp
from gateway.audit.event import Event, Unbuilt
from gateway.audit.mask_keys import masks_of
from gateway.model import ExchangeClosed, ExchangeOpened, Reason
from tests.audit.samples import exchange

BODY = b"fine"
TEMPLATE = exchange()


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"%d" % len(BODY)), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def with_ledger(app: ASGIApp, directory: Path) -> ASGIApp:
    """As the gateway does it: built by the writer, a batch at a time."""
    ledger = Ledger.open(directory / "log", origin="benchmark/w0")
    masks = masks_of(directory, ("session",), 90)  # as a gateway has them by default
    decided, ended = partial(opened, masks=masks), partial(closed, masks=masks)
    numbers = itertools.count()

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        before = replace(TEMPLATE, request_id=f"req-{next(numbers):016x}")
        receipt = ledger.append(Unbuilt(decided, before, stamp()), Durability.HOLD)

        async def held(message: Message) -> None:
            if message["type"] == "http.response.start":
                await receipt.durable()
            await send(message)

        await app(scope, receive, held)
        ledger.append(Unbuilt(ended, end_of(before), stamp()), Durability.ASYNC)

    return recorded


def with_structlog(app: ASGIApp, directory: Path) -> ASGIApp:
    """The usual set-up: structlog's processors, JSON, the standard library's logging, a file."""
    log = usual_logger(directory / "log.jsonl")
    numbers = itertools.count()
    decision = facts_of(opened(TEMPLATE, stamp()))
    outcome = facts_of(closed(end_of(TEMPLATE), stamp()))

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = f"req-{next(numbers):016x}"
        log.info("http.request", request_id=request_id, uid=str(uuid4()), **decision)
        await app(scope, receive, send)
        log.info("http.request", request_id=request_id, uid=str(uuid4()), **outcome)

    return recorded


def end_of(before: ExchangeOpened) -> ExchangeClosed:
    return ExchangeClosed(before, Reason.ALLOWED_BY_RULE, 200, 1, 0, len(BODY))


def facts_of(event: Event) -> dict[str, object]:
    """What an event of ours says, for somebody else's logger to say the same."""
    facts: dict[str, object] = msgspec.json.decode(event.line(0, b'"benchmark/w0"', b'"hold"'))
    return facts


def usual_logger(path: Path) -> structlog.stdlib.BoundLogger:
    """structlog in front of `logging.FileHandler`, as its manual shows it."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger("access")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("access")
    return logger


WAYS: dict[str, Callable[[ASGIApp, Path], ASGIApp]] = {
    "none": lambda app, _: app,
    "ledger": with_ledger,
    "structlog": with_structlog,
}

if __name__ == "__main__":
    way, port, directory, parser = sys.argv[1:]
    served: Callable[..., Awaitable[None]] = WAYS[way](application, Path(directory))
    uvicorn.run(served, port=int(port), loop="uvloop", http=parser, access_log=False, log_level="error", lifespan="off")
