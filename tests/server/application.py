"""A small application behind `gateway.server.serve`, as a process: `python -m tests.server.application OPTIONS`.

OPTIONS is JSON: fields of `ServerOptions`, and `exempt` (addresses), `hook` ("raises", "forbidden-header"), `fail`
("gateway-error", "bug"), `operations` (a port), `plain` (uvicorn as it comes, to compare with).
"""

import json
import sys
from pathlib import Path

import uvicorn

from gateway.errors import StartupError
from gateway.http1.framing import RawAnswer, RawRequest
from gateway.server import ServerOptions, serve

REFUSALS: list[dict[str, object]] = []
ENDED: list[dict[str, object]] = []


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await ROUTES.get(scope["path"], hello)(scope, receive, send)


async def answer(send, body: bytes, status: int = 200):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope, receive, send):
    await answer(send, b'{"hello":"world"}')


async def count(scope, receive, send):
    """The number of body bytes, once all are here."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            ENDED.append({"path": scope["path"], "size": size})
            return
        size += len(message["body"])
        more = message["more_body"]
    await answer(send, b"%d" % size)


async def refuse_early(scope, receive, send):
    """Answers without reading the body."""
    await answer(send, b"too large", 413)


async def big(scope, receive, send):
    """64 MiB, chunk by chunk."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1024):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def some(scope, receive, send):
    """170 kB: more than the kernel holds for a peer that does not read, less than would stop the application."""
    await answer(send, b"x" * 170_000)


async def facts(scope, receive, send):
    """What the application was told of this request and of what came before it."""
    told = {name: scope[name] for name in ("client", "scheme", "path", "http_version")}
    tls = scope.get("extensions", {}).get("tls")
    await answer(send, json.dumps({**told, "tls": tls, "refusals": REFUSALS, "ended": ENDED}).encode())


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


ROUTES = {"/count": count, "/refuse-early": refuse_early, "/big": big, "/some": some, "/facts": facts}


def hook(request: RawRequest) -> RawAnswer:
    REFUSALS.append({"reason": request.reason, "in_exchange": request.scope is not None, "peer": request.peer})
    status = {"method-not-allowed": 405, "headers-too-large": 431, "request-timeout": 408}.get(request.reason, 400)
    headers = [(b"x-reason", request.reason.encode()), (b"x-frame-options", b"DENY")]
    return RawAnswer(status, headers, b"<p>" + request.reason.encode() + b"</p>")


def raising_hook(request: RawRequest) -> RawAnswer:
    raise RuntimeError("the page is broken")


def forbidden_header_hook(request: RawRequest) -> RawAnswer:
    return RawAnswer(400, [(b"x-bad", b"a\r\nset-cookie: b=c")], b"")


HOOKS = {None: hook, "raises": raising_hook, "forbidden-header": forbidden_header_hook}


def with_lifespan(fail: str | None):
    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()
        if fail == "gateway-error":
            raise StartupError("the record is locked by process 42", hint="stop that process")
        if fail == "bug":
            raise RuntimeError("a bug in the application")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("application stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})

    return app


def main(given: dict) -> int:
    hook_name, fail, operations = given.pop("hook", None), given.pop("fail", None), given.pop("operations", None)
    exempt = frozenset(given.pop("exempt", ()))
    if given.pop("plain", False):
        uvicorn.run(with_lifespan(None), port=given["port"], http="h11", loop="uvloop", access_log=False)
        return 0
    for name in ("tls_certificate", "tls_key", "tls_client_ca"):
        if name in given:
            given[name] = Path(given[name])
    return serve(
        with_lifespan(fail),
        ServerOptions(**given, exempt=exempt.__contains__),
        refuse=HOOKS[hook_name],
        operations=(with_lifespan(None), "127.0.0.1", operations) if operations else None,
        on_started=lambda: print("serving", flush=True),
    )


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
