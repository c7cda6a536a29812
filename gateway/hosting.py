"""Which server runs us, when it is not our own: `uvicorn gateway.app:app` works, but not with every option.

uvicorn trusts loopback peers by default to name the client, and rewrites the address before any application sees it: an
allow-list behind that checks what the visitor typed. ASGI has no way to ask a server for its options, so the objects of
the call stack are looked at, once, at start-up.
"""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import structlog
import uvicorn

from gateway.errors import StartupError

log = structlog.get_logger("gateway.server")


def check_server() -> None:
    """Look for the uvicorn that calls us.

    Raises:
        StartupError: it rewrites client addresses, or parses HTTP without limits.
    """
    for caller in _callers(sys._getframe(1)):  # noqa: SLF001  the documented way to the stack is slower and the same
        kind = type(caller)
        if kind.__module__ == "uvicorn.middleware.proxy_headers":
            raise StartupError(
                "uvicorn rewrites client addresses from X-Forwarded-For before the gateway can judge them",
                hint="add --no-proxy-headers, or use `gateway serve`; trusted proxies belong in the policy: [proxies]",
            )
        if kind.__module__.startswith("uvicorn.lifespan") and (config := getattr(caller, "config", None)) is not None:
            _check_config(config)


def _check_config(config: uvicorn.Config) -> None:
    parser = config.http_protocol_class.__mro__
    if parser[0].__module__.startswith("gateway."):
        return  # our own server; with TLS, the class that does the handshake comes before the parser
    if not any(cls.__module__ == "uvicorn.protocols.http.h11_impl" for cls in parser):
        raise StartupError(
            f"uvicorn parses HTTP with {parser[0].__module__}, which sets no limit to a request's header section",
            hint="add --http h11, or use `gateway serve`",
        )
    if parser[0].__module__.startswith("uvicorn."):
        log.warning(
            "server.without-limits",
            hint="uvicorn alone has no time limit for a request's head and body: `gateway serve` has",
        )


def _callers(frame: FrameType | None) -> Iterator[Any]:
    while frame is not None:
        if (caller := frame.f_locals.get("self")) is not None:
            yield caller
        frame = frame.f_back
